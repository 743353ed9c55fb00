import numpy as np
import pytest

from benchmarks.bench_made_entrance import PAGE, SECTION, commands, figures
from benchmarks.made_entrance import entrance, known
from model.data.labels import IGNORE


def test_the_truth_of_the_made_entrance_leaves_out_whoever_is_hardly_seen() -> None:
    street = entrance()
    ignored = 0
    for number in (310, 319, 339):
        instances, classes = known(street, number)
        _, whole = street.render(number)
        ignored += int((classes == IGNORE).any())

        assert np.array_equal(instances > 0, classes == 1)
        assert np.array_equal(whole > 0, classes > 0)
        for index in np.unique(instances[instances > 0]):
            assert (instances == index).sum() >= street.whole(index - 1, number) / 4
    assert ignored


def test_the_benchmark_runs_what_the_tutorial_says() -> None:
    assert [line.split()[:2] for line in commands(PAGE.read_text())] == [
        ["python", "-m"],
        ["seedstream", "label-from-motion"],
        ["seedstream", "train"],
        ["seedstream", "release"],
        ["seedstream", "evaluate"],
    ]


def test_the_benchmark_reads_the_table_that_evaluate_prints() -> None:
    """The page shows what it printed."""
    section = PAGE.read_text().partition(SECTION)[2]
    found = figures(section.partition("```console")[2].partition("```")[0])
    assert min(found["recall"], found["precision"]) >= 0.95
    assert found["AP@0.5"] > found["mean AP"] > 0


@pytest.mark.parametrize("page", ["", f"# A page\n\n{SECTION}\n\nNothing.\n\n## Next\n\n$ ls\n"])
def test_a_page_without_commands_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="expected this section"):
        commands(page)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a table"):
        figures("no picture")
