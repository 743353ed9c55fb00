"""Labels from motion are right, or refused, where every pixel of a made video is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.errors import ConfigurationError
from model.data.open import open_data_set
from model.motion.make import label_from_motion
from model.motion.options_file import load_options
from tests.walkers import Street, Walker, crowded, procession

FRAMES = 120
PEOPLE = procession(FRAMES)
PERSON = load_options(None, **{"class": "person"})


def flock() -> list[Walker]:
    """Small dark movers, more than people, as tall in every row."""
    random = np.random.default_rng(8)
    ways = [(int(random.integers(-40, FRAMES)), int(random.integers(120, 262))) for _ in range(40)]
    speeds = random.uniform(1.5, 4, 40) * random.choice([-1, 1], 40)
    return [
        Walker(enters, foot, 18, float(speed), (30, 30, 30))
        for (enters, foot), speed in zip(ways, speeds, strict=True)
    ]


def near_and_far() -> Street:
    """People of 26 pixels far away, and of 150 right in front of the camera."""
    random = np.random.default_rng(8)
    far = [
        Walker(enters, int(random.integers(60, 90)), 26, 1.5, (200, 60, 60))
        for enters in range(-60, FRAMES, 20)
    ]
    near = [
        Walker(enters, int(random.integers(225, 262)), 150, -7.0, (60, 60, 200))
        for enters in range(-60, FRAMES, 25)
    ]
    return Street((*far, *near))


def overlaps(out: Path, street: Street) -> list[float]:
    """IoU of the labels of every fourth frame with what is truly there."""
    data = open_data_set(out)
    found = []
    for index in range(0, len(data), 4):
        picture = data.read(index)
        _, truth = street.render(int(data.names[index][-6:]) - 1)
        for number in np.unique(picture.instances)[1:]:
            own = picture.instances == number
            best = 1 + np.argmax(np.bincount(truth[own], minlength=2)[1:])
            found.append((own & (truth == best)).sum() / (own | (truth == best)).sum())
    return found


@pytest.mark.parametrize(
    ("street", "share"),
    [(PEOPLE, 0.4), (crowded(PEOPLE, *flock()), 0.3), (near_and_far(), 0.4)],
    ids=["people", "people below a flock", "two scales"],
)
def test_labels_are_whole_people(street, share, tmp_path):
    video = street.write(tmp_path / "street.avi", FRAMES)

    (summary,) = label_from_motion({video: PERSON}, tmp_path / "out")

    found = overlaps(tmp_path / "out", street)
    assert len(found) > 30
    assert np.mean(np.array(found) > 0.5) > 0.97
    assert summary.evidence.explained > share
    assert summary.evidence.more_above < 0.25
    assert summary.evidence.tracks > 4
    assert summary.evidence.seconds == pytest.approx(FRAMES / 10, abs=0.1)


@pytest.mark.parametrize("trace", [0.0, 0.1])
def test_people_whose_upper_half_has_the_colour_of_the_background_are_refused(trace, tmp_path):
    street = replace(PEOPLE, hidden="upper half", trace=trace)
    video = street.write(tmp_path / "dark coats.avi", FRAMES)

    with pytest.raises(ConfigurationError, match=r"not to be trusted|parts of what moves"):
        label_from_motion({video: PERSON}, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_labels_that_are_forced_carry_their_warning(tmp_path):
    street = replace(PEOPLE, hidden="upper half", trace=0.1)
    video = street.write(tmp_path / "coats.avi", FRAMES)
    out = tmp_path / "out"

    (summary,) = label_from_motion({video: PERSON}, out, force=True)

    card = json.loads((out / "dataset.json").read_text())
    assert card["warnings"] == [f"coats: {text}" for text in summary.warnings]
    assert any("right above them" in text for text in summary.warnings)
    assert open_data_set(out, split="train").warnings() == tuple(card["warnings"])
    scene = json.loads((out / "scenes/coats/scene.json").read_text())
    assert scene["evidence"]["more_above"] > 0.5
