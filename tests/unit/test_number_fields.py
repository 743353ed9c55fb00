"""A truth value is no number: ``jpeg_quality: yes`` must not become a quality of 1."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from contract.number_fields import NumberFields
from producer.cameras import Camera
from producer.motion_gate import MotionSettings

CAMERA = {"id": "gate", "url": "test:"}
YES_OR_NO = {"drop_corrupt", "pass_through", "loop", "motion"}


def faults(model: type[BaseModel], values: dict[str, Any]) -> set[Any]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return {fault["loc"][0] for fault in error.errors() if fault["loc"]}
    return set()


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("field", sorted(set(Camera.model_fields) - YES_OR_NO))
def test_no_setting_of_a_camera_but_those_of_yes_or_no_takes_a_truth_value(
    field: str, value: bool
) -> None:
    assert field in faults(Camera, CAMERA | {field: value})


@pytest.mark.parametrize("field", sorted(MotionSettings.model_fields))
def test_a_motion_gate_takes_no_truth_value(field: str) -> None:
    assert faults(MotionSettings, {field: True}) == {field}


@pytest.mark.parametrize(
    "crop", [[True, 0, 16, 16], [0, 0, 16, False], (0, True, 16, 16)], ids=["x", "height", "y"]
)
def test_nor_does_a_part_of_a_list(crop: object) -> None:
    assert faults(Camera, CAMERA | {"crop": crop}) == {"crop"}


def test_numbers_and_truth_values_pass_where_they_belong() -> None:
    camera = Camera.model_validate(
        CAMERA
        | {"fps": 5, "jpeg_quality": "80", "crop": [0, 0, 16, 16], "rotate": 90, "motion": True}
    )
    assert (camera.fps, camera.jpeg_quality, camera.rotate) == (5, 80, 90)
    assert camera.motion == MotionSettings()
    assert camera.model_copy(update={"pass_through": False}).pass_through is False


def test_the_fault_says_what_was_seen_and_what_was_expected() -> None:
    class Table(NumberFields):
        count: int | None = None
        pair: tuple[float, float] = (0, 1)
        either: bool | int = False

    with pytest.raises(ValidationError, match="expected a number, found a truth value"):
        Table.model_validate({"count": True})
    assert faults(Table, {"pair": [0.5, True]}) == {"pair"}
    assert Table.model_validate({"either": True, "count": None, "pair": [0, 2]}).either is True
