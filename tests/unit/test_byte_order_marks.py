"""Editors on Windows put a byte order mark before UTF-8 text: files that people write are read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.artifact_files import CARD_FILE, read_card, write_card
from model.data import label_maps
from model.evaluation.boxes import read_boxes
from model.evaluation.on_video import read_accuracy
from model.motion import scene_store
from model.motion.options_file import load_options
from model.recipes.recipe import load_recipe
from model.registry.store_files import HISTORY_FILE, read_history
from producer.camera_list import load_cameras
from producer.settings import ProducerSettings
from tests.unit.test_contract_artifact import ARTIFACT

RECIPE = """
input_size = [384, 512]
stages = [{ crop = 256, epochs = 1, batch = 8, crops_per_epoch = 8 }]
"""
CAMERAS = "cameras:\n  - id: door\n    url: rtsp://127.0.0.1/a\n"
CLASSES = '{"classes": ["person"]}'


def camera_ids(path: Path) -> list[str]:
    return [camera.id for camera in load_cameras(ProducerSettings(config=path), [], {})]


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("recipe.toml", RECIPE, lambda path: load_recipe(str(path))),
        ("options.toml", 'class = "person"\nlast = 300\n', load_options),
        ("cameras.yaml", CAMERAS, camera_ids),
        (label_maps.CARD, CLASSES, lambda path: label_maps.read_card(path.parent)),
        ("dataset.json", CLASSES, lambda path: scene_store.read_classes(path.parent)),
        (HISTORY_FILE, '{"promoted": ["1"]}', lambda path: read_history(path.parent)),
        ("figures.json", '{"recall": 0.5}', read_accuracy),
        ("report.json", '{"accuracy": {"recall": 0.5}}', read_accuracy),
        ("boxes.csv", "1,1,10,10,5,5\n", lambda path: read_boxes(path)[1].tolist()),
    ],
)
def test_a_byte_order_mark_counts_for_nothing(
    tmp_path: Path, name: str, text: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    before = read(path)
    path.write_text(text, encoding="utf-8-sig")

    assert read(path) == before


def test_a_model_card_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    write_card(ARTIFACT, tmp_path)
    before = read_card(tmp_path)
    card = tmp_path / CARD_FILE
    card.write_text(card.read_text(encoding="utf-8"), encoding="utf-8-sig")

    assert read_card(tmp_path) == before
