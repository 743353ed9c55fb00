import json

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.labels import CutOut
from model.motion.scene_store import StoredScene, read_scenes, write_scene

CLASSES = ("person", "motor_cycle")


def cut_out(label: int) -> CutOut:
    rng = np.random.default_rng(label)
    return CutOut(
        rng.integers(0, 256, (30, 11, 3), np.uint8), rng.integers(0, 256, (30, 11), np.uint8), label
    )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": list(CLASSES)}))
    return tmp_path


def test_what_is_written_is_read_back(root):
    front = np.zeros((40, 60), np.int32)
    front[:, 20:25] = 1 << 15
    whole = StoredScene("gate", (0.25, -3.5), front, True, [cut_out(1), cut_out(2)])
    write_scene(root, StoredScene("yard"), CLASSES)
    write_scene(root, whole, CLASSES, {"frames": 7})

    read, plain = read_scenes(root)

    assert (read.name, read.perspective, read.upside_down) == ("gate", (0.25, -3.5), True)
    assert (read.front == front).all()
    assert [c.label for c in read.cut_outs] == [1, 2]
    assert (read.cut_outs[0].image == whole.cut_outs[0].image).all()
    assert (read.cut_outs[1].alpha == whole.cut_outs[1].alpha).all()
    assert (plain.name, plain.perspective, plain.front, plain.cut_outs) == ("yard", None, None, [])
    assert json.loads((root / "scenes/gate/scene.json").read_text())["frames"] == 7


def test_a_data_set_that_was_not_made_from_motion_has_no_scenes(tmp_path):
    (tmp_path / "images").mkdir()

    assert read_scenes(tmp_path) == []
    assert read_scenes(tmp_path / "annotations.json") == []


def test_all_faults_of_all_scenes_are_listed(root):
    write_scene(root, StoredScene("gate", cut_outs=[cut_out(1)]), ["elephant", "mouse"])
    write_scene(root, StoredScene("yard", cut_outs=[cut_out(1)]), CLASSES)
    (root / "scenes/yard/cutouts/00001_person.png").write_bytes(b"no picture")
    (root / "scenes/yard/front.png").write_bytes(b"no picture")
    (root / "scenes/yard/scene.json").write_text('{"schema": 1, "perspective": [1]}')
    (root / "scenes/zoo").mkdir()
    (root / "scenes/zoo/scene.json").write_text("{")

    with pytest.raises(ConfigurationError) as caught:
        read_scenes(root)

    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    for part in ("'elephant'", "yard/cutouts/00001", "yard/front.png", "[1]", "zoo/scene.json"):
        assert part in text


def test_scenes_need_the_class_names_of_their_data_set(tmp_path):
    write_scene(tmp_path, StoredScene("gate"), CLASSES)

    with pytest.raises(ConfigurationError, match=r"dataset\.json: missing"):
        read_scenes(tmp_path)
