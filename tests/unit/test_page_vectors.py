"""What the page's modules are tested with is what pycocotools and the overlay say today."""

import json

from tests.page import write_vectors


def test_the_vectors_are_those_of_today() -> None:
    assert json.loads(write_vectors.PATH.read_text()) == json.loads(write_vectors.text()), (
        "write them anew: python -m tests.page.write_vectors"
    )
