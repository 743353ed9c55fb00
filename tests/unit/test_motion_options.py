import math
import re
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from model.motion.motion_options import preset_of
from model.motion.options_file import load_options, parse_range

ROOT = Path(__file__).parents[2]
STREET = ROOT / "model" / "recipes" / "street"


@pytest.mark.parametrize(
    ("name", "preset"),
    [("person", "person"), ("People", "person"), ("delivery van", "vehicle"), ("cars", "vehicle"),
     ("cow", "any"), ("carton", "any")],
)  # fmt: skip
def test_the_class_name_chooses_the_preset(name, preset):
    assert preset_of(name) == preset


def test_flags_come_before_the_file_and_the_file_before_the_preset(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text('class = "car"\nstep = 5\n[motion]\nthreshold = 31\nshadow = 0.4\n')

    options = load_options(file, step=2, last=None, motion={"threshold": 33.0, "min_pixels": None})

    assert (options.step, options.last) == (2, None)
    assert options.preset == "vehicle"
    assert (options.motion.threshold, options.motion.shadow) == (33.0, 0.4)
    assert options.motion.hull


def test_lengths_follow_the_resolution_and_pixels_stay_pixels():
    motion = load_options(None, **{"class": "person", "motion": {"max_pixels": 9000}}).motion

    small, large = motion.for_picture(576, 768), motion.for_picture(1152, 1536)

    assert small.gap == (3, 7)
    assert small.min_pixels == pytest.approx(150, abs=1)
    assert large.min_pixels == pytest.approx(4 * small.min_pixels)
    assert (small.max_pixels, large.max_pixels) == (9000, 9000)


def test_all_faults_of_a_file_are_listed(tmp_path):
    file = tmp_path / "gate.toml"
    file.write_text(
        'class = "a/b"\nfirst = 0\ncolour = 3\n[motion]\nsolidity = 2\n[[occluders]]\nfoot = 3\n'
    )

    with pytest.raises(ConfigurationError) as caught:
        load_options(file)

    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    for part in ("class", "first is 0", "colour", "motion.solidity is 2", "occluders.0.polygon"):
        assert part in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no class"),
        ({"class": "ignore"}, "expected the name of what moves"),
        ({"class": "person", "first": 9, "last": 3}, "expected at least first"),
        ({"class": "person", "preset": "fish"}, "preset is 'fish'"),
    ],
)
def test_a_fault_says_what_was_expected(values, message):
    with pytest.raises(ConfigurationError, match=message):
        load_options(None, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"motion": {"max_pixels": math.inf}}, r"motion\.max_pixels is inf: .*finite"),
        ({"motion": {"threshold": math.nan}}, r"motion\.threshold is nan: .*finite"),
        ({"motion": {"girth": [0.1, math.inf]}}, r"motion\.girth\.1 is inf: .*finite"),
        ({"motion": {"gap": [0, -3]}}, r"motion\.gap\.1 is -3: .*greater than or equal to 0"),
        ({"motion": {"aspect": [0.6, 0.2]}}, r"motion\.aspect is \[0\.6, 0\.2\]: .*smallest"),
        ({"background": [50, 10]}, r"background is \[50, 10\]: expected \[smallest, largest\]"),
        ({"validation": math.nan}, "validation is nan"),
        ({"ignore": [[[0, 0], [9, 0], [math.nan, 9]]]}, r"ignore\.0\.2\.0 is nan: .*finite"),
        ({"ignore": [[[0, 0], [9, 0], [0, 1e9]]]}, r"ignore\.0\.2\.1 is 1000000000\.0: .*65535"),
        ({"ignore": [[[0, 0], [9, 0]]]}, r"ignore\.0 is .*: 2 corners \[x, y\], expected at least"),
        (
            {"occluders": [{"foot": 90_000, "polygon": [[0, 0], [9, 0], [9, 9]]}]},
            r"occluders\.0\.foot is 90000: .*65535",
        ),
    ],
)
def test_a_number_that_no_picture_can_have_is_the_only_fault_named(values, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_options(None, **{"class": "person"}, **values)

    assert len(caught.value.faults) == 1


def test_a_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "gate.toml").write_text("class = ")

    with pytest.raises(ConfigurationError, match=r"gate\.toml: not a TOML file"):
        load_options(tmp_path / "gate.toml")
    with pytest.raises(ConfigurationError, match=r"yard\.toml: cannot be read"):
        load_options(tmp_path / "yard.toml")


def test_a_range_of_frames_is_read():
    assert parse_range("455-500") == (455, 500)
    with pytest.raises(ConfigurationError, match="expected FIRST-LAST"):
        parse_range("500-455")


def test_the_file_in_the_tutorial_is_read(tmp_path):
    text = (ROOT / "docs" / "train" / "labels-from-a-camera.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "entrance.toml").write_text(example, encoding="utf-8")

    options = load_options(tmp_path / "entrance.toml")

    assert options.classes() == ("person", "vehicle")
    assert options.occluders[0].foot == 392


@pytest.mark.parametrize("name", ["vtest", "traffic", "car-park"])
def test_the_options_of_the_demo_are_read(name):
    options = load_options(STREET / f"{name}.toml")

    assert options.credits
    assert options.class_name in ("person", "vehicle")
    assert name != "vtest" or options.last == 300  # the later frames measure the model
