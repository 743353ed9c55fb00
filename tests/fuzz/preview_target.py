"""What Redis may hold under the live page's keys, as functions of bytes."""

from collections.abc import Callable
from pathlib import Path

from contract.errors import InvalidMessageError
from contract.minutes import KEPT_MINUTES, class_counts, read_minutes
from contract.preview import Preview, decode_preview, encode_preview, wanted_width
from contract.result import decode_result, encode_result
from tests.fakes import jpeg
from tests.fuzz.set_targets import FIELDS
from tests.sink_parts import make_tracked


def preview(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a pair: what it takes is what was joined, and its result a document."""

    def run(data: bytes) -> object:
        pair = decode_preview(data)
        assert encode_preview(*pair) == data
        result = pair.result()
        assert decode_result(encode_result(result)) == result
        return pair, class_counts(result.instances)

    return run


def preview_seeds() -> list[bytes]:
    """Return pairs with and without objects, and one whose lengths are at fault."""
    documents = [encode_result(make_tracked("gate", 7, lanes=range(n)).result) for n in (0, 2)]
    pairs = [Preview(document, jpeg()) for document in documents]
    return [*(encode_preview(*pair) for pair in pairs), encode_preview(documents[0], b"")]


def minutes(_: Path) -> Callable[[bytes], object]:
    """Make the reader of a hash of minutes, and of the width that is asked for."""

    def run(data: bytes) -> object:
        texts = data.split(FIELDS)
        found = read_minutes(dict(zip(texts[::2], texts[1::2], strict=False)))
        starts = [minute.start_seconds for minute in found]
        assert starts == sorted(starts)
        told = [(each.mean(name), each.most(name)) for each in found for name in each.classes]
        return told, [wanted_width(text) for text in texts]

    return run


def minutes_seeds() -> list[bytes]:
    """Return hashes of one minute, and of as many as are kept."""
    value = b'{"frames":300,"classes":{"person":{"total":960,"most":6}}}'
    full = [part for n in range(KEPT_MINUTES) for part in (b"%d" % (29_932_560 + n), value)]
    return [FIELDS.join([b"29932560", value]), FIELDS.join(full), FIELDS.join([b"384", b"0"])]


INVALID = (InvalidMessageError,)
WORDS = (b'"schema":2', b'"position":[', b'"class":', b"\0\0\0\0", b"\xff\xff\xff\xff")
MINUTE_WORDS = (
    *(FIELDS, b'"frames":', b'"classes":', b'"total":-1', b'"most":', b"1e308", b"null", b"9" * 25),
)
