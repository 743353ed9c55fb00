"""Data are examined before a training: within a bound, and with all faults in one list."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError
from model.data.label_maps import LabelMaps
from model.recipes.recipe import load_recipe
from model.training.examination import SECONDS, examine, require_objects, without_broken
from tests.data_sets import SIZE, write_label_maps, write_picture


def data_set(root: Path, broken: str = "", names: str = "abcdef") -> LabelMaps:
    write_label_maps(root, tuple(names))
    for name in broken:
        (root / "images" / f"{name}.png").write_bytes(b"")
    return LabelMaps(root)


def test_faults_of_all_data_sets_come_in_one_list(tmp_path: Path):
    parts = [data_set(tmp_path / "one", "b"), data_set(tmp_path / "two", "ef")]

    with pytest.raises(BrokenSampleError) as raised:
        examine([(data, range(len(data))) for data in parts], "stop")

    told = str(raised.value)
    assert "3 pictures cannot be used" in told
    assert all(name in told for name in ("one/images/b.png", "two/images/e.png", "two/images/f.p"))


def test_broken_pictures_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = data_set(tmp_path, "be")

    (report,) = examine([(data, range(len(data)))], "ignore")

    assert without_broken(data, report).names == ("a", "c", "d", "f")
    assert "left out: " in caplog.text
    assert "e.png: is empty" in caplog.text


def test_leaving_every_picture_out_is_refused(tmp_path: Path):
    data = data_set(tmp_path, "ab", names="ab")

    with pytest.raises(ConfigurationError, match="none of its 2 pictures can be used"):
        examine([(data, range(2))], "ignore")


def test_an_examination_ends_in_time_and_refuses_no_data_that_it_did_not_see(tmp_path: Path):
    data = data_set(tmp_path, "f")
    for name in "abc":
        write_picture(tmp_path / "instances" / f"{name}.png", np.zeros(SIZE, np.uint16))
    ticks = itertools.count(0, 0.4 * SECONDS)

    (report,) = examine([(data, range(len(data)))], "stop", clock=lambda: next(ticks))

    assert report.looked == 3  # 0.4, 0.8 and 1.2 of the time
    require_objects(load_recipe("small"), [report], None, complete=False)
    with pytest.raises(ConfigurationError, match="no object to learn from in 3 pictures"):
        require_objects(load_recipe("small"), [report], None, complete=True)


def test_to_leave_pictures_out_all_are_seen_however_long_it_takes(tmp_path: Path):
    data = data_set(tmp_path, "f")
    ticks = itertools.count(0, SECONDS)

    (report,) = examine([(data, range(len(data)))], "ignore", clock=lambda: next(ticks))

    assert report.looked == 6
    assert len(report.broken) == 1
