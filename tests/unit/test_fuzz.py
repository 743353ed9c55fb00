"""What once broke a parser, and thousands of inputs more; `python -m tests.fuzz` runs millions."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.errors import InvalidMessageError
from contract.frame import decode_frame, encode_frame
from contract.mask import decode_mask
from contract.result import decode_result
from contract.toml_text import read_toml
from contract.yaml_text import MAX_DEPTH, RepeatedKeyError, read_yaml
from media.picture_files import UnreadableInputError
from media.pictures import read_image
from segmentation.instances import Instances
from tests.fakes import make_frame
from tests.fuzz.session import run_session
from tests.fuzz.targets import CORPUS, TARGETS, sample_result

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

_FEW = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_its_named_errors_alone(name: str) -> None:
    """The corpus first; of that, each input broke the parser once."""
    committed = len(list((CORPUS / name).glob("*")))
    end_at = time.monotonic() + 5
    seen = run_session(name, committed + 300, 7, lambda: time.monotonic() > end_at)
    assert not seen.findings
    assert seen.inputs >= committed


def test_every_folder_of_the_corpus_belongs_to_a_parser() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


TEXTS = st.text(max_size=40)
HEADERS = ["ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "content-type",
           "ce_width", "ce_height", "ce_session", "ce_sequence", "traceparent"]  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.datetimes().map(lambda moment: moment.isoformat().encode()),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat().encode()),
    st.integers().map(lambda number: str(number).encode()),
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@_FEW
@given(
    changes=st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=3),
    more=st.lists(st.tuples(TEXTS, VALUES), max_size=3),
    key=st.one_of(st.none(), st.binary(max_size=200)),
    keeps_key=st.booleans(),
)
def test_a_record_is_a_frame_or_an_invalid_message(
    changes: dict[str, bytes | None],
    more: list[tuple[str, bytes | None]],
    key: bytes | None,
    keeps_key: bool,
) -> None:
    good_key, value, headers = encode_frame(make_frame())
    changed: Any = [(name, changes.get(name, text)) for name, text in headers] + more
    try:
        frame = decode_frame(good_key if keeps_key else key, value, changed, max_bytes=100_000)
    except InvalidMessageError:
        return
    again = encode_frame(frame)
    assert decode_frame(*again, max_bytes=100_000) == frame, "what is read can be written"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PLACES = [("schema",), ("camera",), ("session",), ("captured_at",), ("width",), ("model",),
          ("latency_seconds",), ("instances",), ("instances", 0, "box"), ("instances", 0, "id"),
          ("instances", 0, "mask"), ("instances", 0, "mask", "size"), ("instances", 0, "center"),
          ("instances", 0, "mask", "counts"), ("instances", 0, "score")]  # fmt: skip


@_FEW
@given(place=st.sampled_from(PLACES), value=JSON | st.lists(st.integers(-5, 2**40), max_size=5))
def test_a_document_is_a_result_or_an_invalid_message(place: tuple[Any, ...], value: Any) -> None:
    document = sample_result()
    within: Any = document
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = value
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    try:
        found = Instances.from_result(decode_result(text))
        shapes = [(mask.box[3], mask.box[2]) for mask in found.masks]
        assert [mask.array.shape for mask in found.masks] == shapes
    except InvalidMessageError:
        return


@_FEW
@given(
    size=st.lists(st.integers(-1, 300), max_size=3),
    counts=st.text(st.characters(min_codepoint=40, max_codepoint=130), max_size=30),
    box=st.none() | st.tuples(*[st.integers(-1, 300)] * 4),
)
def test_run_lengths_are_a_mask_or_an_invalid_message(
    size: list[int], counts: str, box: tuple[int, int, int, int] | None
) -> None:
    try:
        mask = decode_mask({"size": size, "counts": counts}, box)
    except InvalidMessageError:
        return
    assert mask.shape == (tuple(size) if box is None else (box[3], box[2]))


LAUGHS = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "aliases stand for more than"),
        (MERGES, "aliases stand for more than"),
        ("&a [*a]", "an alias stands for itself"),
        ("&a {b: {c: *a}}", "an alias stands for itself"),
        ("[" * 10_000, "nested more than"),
        ("- " * 10_000, "nested more than"),
        ("\n".join(" " * n + "a:" for n in range(200)), "nested more than"),
        ("2026-99-99", "not what YAML takes it for"),
        ("!!timestamp x", "not what YAML takes it for"),
        ("!!int ''", "not what YAML takes it for"),
        ("!!bool maybe", "not what YAML takes it for"),
        ("!!float .", "not what YAML takes it for"),
        ("9" * 5000, "not what YAML takes it for"),
        ("0x" + "f" * 5000, "a whole number of 20000 bits"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
    ],
)  # fmt: skip
def test_yaml_of_unbounded_cost_or_wrong_tags_is_not_yaml(text: str, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(yaml.YAMLError, match=problem):
        read_yaml(text)
    assert time.process_time() - began < 1


def test_anchors_and_nesting_that_people_write_are_read() -> None:
    text = "base: &b {fps: 5}\ncameras:\n- {<<: *b, id: a}\n- {<<: *b, id: b}\n"
    both = read_yaml(text)["cameras"]
    assert both == [{"fps": 5, "id": "a"}, {"fps": 5, "id": "b"}]
    deep = MAX_DEPTH - 2
    assert str(read_yaml("[" * deep + "]" * deep)).count("[") == deep
    assert read_yaml("") is None
    assert math.isinf(read_yaml(".inf"))


@pytest.mark.parametrize(
    ("text", "first", "again"),
    [
        ("a: 1\nb: 2\na: 3", 1, 3),
        ("a:\n- x: 1\n  'x': 2", 2, 3),
        ("1: a\n0x1: b", 1, 2),
        ("{a: 1,\n a: 1}", 1, 2),
        ("base: &b {fps: 5}\nc:\n  <<: *b\n  id: a\n  id: a", 4, 5),
        ("? [k]\n: {a: 1,\n   a: 2}", 2, 3),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(
    text: str, first: int, again: int
) -> None:
    with pytest.raises(
        RepeatedKeyError, match=f"line {first} and again on line {again} of one mapping"
    ):
        read_yaml(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "x: &x {fps: 5, q: 1}\ny: &y {<<: *x, fps: 7}\nz: {<<: [*y, *x], q: 2}",
            {"x": {"fps": 5, "q": 1}, "y": {"fps": 7, "q": 1}, "z": {"fps": 7, "q": 2}},
        ),
        ("a: {k: 1}\nb: {k: 1}", {"a": {"k": 1}, "b": {"k": 1}}),
        ("a: &l [{k: 1}, {k: 1}]\nb: *l", {"a": [{"k": 1}] * 2, "b": [{"k": 1}] * 2}),
        ("1: a\n'1': b", {1: "a", "1": "b"}),
    ],
)
def test_keys_that_are_merged_or_stand_in_other_mappings_do_not_count_as_twice(
    text: str, read: object
) -> None:
    assert read_yaml(text) == read


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = 0x" + "f" * 5000, "a = " + "9" * 5000])
def test_toml_that_is_too_deep_or_has_endless_numbers_is_not_toml(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|bits|limit"):
        read_toml(text)


def test_a_picture_whose_name_is_no_file_name_is_a_fault_of_its_data_set(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="File name too long"):
        read_image(tmp_path / ("x" * 5000))
