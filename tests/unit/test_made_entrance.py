import numpy as np

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
