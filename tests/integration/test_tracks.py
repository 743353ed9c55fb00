"""Tracks of made videos with known identities: what `evaluate` measures and `segment` writes."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("onnx", reason="the workshop's extra `train` is not installed")

from contract.errors import ConfigurationError
from contract.result import decode_result
from model.evaluation.boxes import read_tracks
from model.evaluation.track_scores import (
    TrackBox,
    TrackEvalError,
    TrackSequence,
    find_trackeval,
    score_tracks,
)
from seedstream.cli import main
from tests.tiny_model import CARD, tiny_model, write_artifact
from tracking.offline import find_and_observe
from viewer.segment_files import segment
from viewer.segment_outputs import UnwritableOutputError

SIZE = (128, 240)
RADIUS, FRAMES, RATE = 10, 24, 5
STARTS = ((26, 20, 4), (100, 200, -4))
"""Row and column of each disc's middle in the first frame, and its pixels a frame."""


def middle(disc: int, number: int) -> tuple[int, int]:
    row, column, speed = STARTS[disc]
    return row, column + speed * number


def picture(number: int) -> NDArray[np.uint8]:
    """Two white discs on black that pass each other."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    image = np.zeros((*SIZE, 3), np.uint8)
    for disc in range(len(STARTS)):
        row, column = middle(disc, number)
        image[(y - row) ** 2 + (x - column) ** 2 <= RADIUS**2] = 255
    return image


def true_lines(names: Callable[[int, int], int]) -> str:
    """The true boxes, each disc under the name that it has in a frame."""
    return "".join(
        f"{number + 1},{names(disc, number)},{column - RADIUS + 1},{row - RADIUS + 1},21,21\n"
        for number in range(FRAMES)
        for disc in range(len(STARTS))
        for row, column in [middle(disc, number)]
    )


@pytest.fixture(scope="module")
def trackeval() -> Path:
    try:
        return find_trackeval()
    except ConfigurationError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = msgspec.structs.replace(CARD, height=SIZE[0], width=SIZE[1])
    folder = tmp_path_factory.mktemp("model") / "tiny" / "1"
    return write_artifact(folder, tiny_model(height=SIZE[0], width=SIZE[1]), card)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "discs.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.height, stream.width = SIZE
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        container.mux(stream.encode(None))
    return path


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Call the command in this process, as the console script does."""
    monkeypatch.setattr(sys, "argv", ["seedstream", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def boxes(*names: Sequence[int]) -> list[list[TrackBox]]:
    """A frame for each list of names: the n-th name is at the n-th place."""
    return [[TrackBox(name, (50 * i, 0, 9, 9)) for i, name in enumerate(row)] for row in names]


PLACE = [[TrackBox(1, (0, 0, 10, 10))]] * 5
SHIFTED = [[TrackBox(1, (4, 0, 10, 10))]] * 5
"""They share 6 of 14 parts."""


def test_the_figures_are_those_of_known_identities(trackeval: Path) -> None:
    true = boxes(*[(1, 2)] * 10)
    scores = score_tracks(
        trackeval,
        {
            "perfect": TrackSequence(true, boxes(*[(1_796_000_000_000, 4)] * 10)),
            "swapped": TrackSequence(true, boxes(*[(1, 2)] * 5, *[(2, 1)] * 5)),
            "gap": TrackSequence(true, boxes(*[(1, 2)] * 4, (1,), *[(1, 2)] * 5)),
            "nothing": TrackSequence(true, [[]] * 10),
            "shifted": TrackSequence(PLACE, SHIFTED),
        },
    )
    perfect, swapped, gap = scores["perfect"], scores["swapped"], scores["gap"]
    assert (perfect.idf1, perfect.hota, perfect.assa, perfect.mota) == (1, 1, 1, 1)
    assert (perfect.switches, perfect.fragmentations) == (0, 0)
    assert (perfect.true_tracks, perfect.found_tracks) == (2, 2)
    assert (swapped.idf1, swapped.switches, swapped.mota) == (0.5, 2, 0.9)
    assert swapped.hota == pytest.approx((1 / 3) ** 0.5)  # half of a track: 5 / (10 + 10 - 5)
    assert (gap.switches, gap.fragmentations) == (0, 1)
    assert scores["shifted"].idf1 == 0
    assert scores["shifted"].hota > 0, "it looks at other overlaps, too"
    assert (scores["nothing"].idf1, scores["nothing"].found_tracks) == (0, 0)


def test_the_least_overlap_of_a_pair_is_passed_on(trackeval: Path) -> None:
    shifted = {"a": TrackSequence(PLACE, SHIFTED)}
    assert score_tracks(trackeval, shifted, iou=0.4)["a"].idf1 == 1


def test_no_pixel_is_lost_between_the_table_and_a_box(trackeval: Path, tmp_path: Path) -> None:
    """The table's first pixel is 1, a result's is 0: a table read as it stands is a pixel off."""
    table = tmp_path / "tracks.csv"
    table.write_text("1,7,1,1,10,20\n")
    ((_, box),) = read_tracks(table)[1].items()
    true = [[TrackBox(7, box)]]
    sequences = {
        "same": TrackSequence(true, [[TrackBox(3, (0, 0, 10, 20))]]),
        "beside": TrackSequence(true, [[TrackBox(3, (1, 1, 10, 20))]]),
    }
    scores = score_tracks(trackeval, sequences, iou=0.999)
    assert (scores["same"].idf1, scores["same"].hota) == (1, 1)
    assert scores["beside"].idf1 == 0


def test_a_failure_of_the_evaluator_is_told(trackeval: Path) -> None:
    twice = [[TrackBox(1, (0, 0, 9, 9)), TrackBox(1, (50, 0, 9, 9))]]
    with pytest.raises(TrackEvalError, match=r"TrackEval failed: .*same ID"):
        score_tracks(trackeval, {"a": TrackSequence(twice, twice)})


@pytest.mark.usefixtures("trackeval")
def test_tracks_are_measured_at_each_rate_against_known_identities(
    tmp_path: Path,
    model: Path,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right, swapped = tmp_path / "right.csv", tmp_path / "swapped.csv"
    right.write_text(true_lines(lambda disc, _: disc + 1))
    swapped.write_text(true_lines(lambda disc, number: (disc + (number >= FRAMES // 2)) % 2))
    given = ("--model", model, "--video", video, "--provider", "cpu", "--first", 1, "--last")
    rates = ("--every", "2", "--drop", "0.3", "--seed", "1")

    code = evaluate(
        monkeypatch, *given, FRAMES, *rates, "--tracks", right, "--out", tmp_path / "right.json"
    )
    assert code == 0
    said = capsys.readouterr().out
    assert "frames 1..24, person, IoU 0.5" in said
    assert "trackeval 1.3.0" in said
    figures = json.loads((tmp_path / "right.json").read_text())
    whole, half, dropped = figures["rows"]
    assert (whole["every"], whole["frames"], half["every"], half["frames"]) == (1, 24, 2, 12)
    assert 12 < dropped["frames"] < 22
    for row in (whole, half, dropped):
        assert (row["idf1"], row["switches"], row["found_tracks"]) == (1.0, 0, 2), row

    code = evaluate(
        monkeypatch, *given, FRAMES, "--tracks", swapped, "--out", tmp_path / "swapped.json",
        "--no-appearance", "--confirmed-only", "--drop", 0,
    )  # fmt: skip
    assert code == 0
    assert "without appearance, confirmed tracks only" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "swapped.json").read_text())["rows"]
    assert row["idf1"] < 0.6
    assert row["switches"] == 2

    code = evaluate(monkeypatch, *given, FRAMES + 1, "--tracks", right)
    assert code == 2
    assert (
        "expected true boxes of the frames 1..25, found those of 1..24" in capsys.readouterr().err
    )
    code = evaluate(monkeypatch, *given, FRAMES, "--tracks", right, "--drop", 1)
    assert code == 2
    assert "no frame of 1..24 is left" in capsys.readouterr().err


def test_without_trackeval_the_command_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    code = evaluate(monkeypatch, "--model", "m", "--video", "v", "--tracks", "t")
    assert code == 2
    said = capsys.readouterr().err
    assert "run `make setup`, or `" in said
    assert f"-m pip install --no-deps --target {tmp_path / 'trackeval'} trackeval==1.3.0`" in said


def test_what_make_setup_installs_is_what_the_message_names() -> None:
    from model.evaluation.track_scores import TRACKEVAL
    from tests.conftest import REPOSITORY

    lines = (REPOSITORY / "requirements" / "trackeval.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [TRACKEVAL]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--video", "v", "--boxes", "b", "--tracks", "t"], "either --boxes or --tracks"),
        (["--tracks", "t"], "--video and --tracks"),
        (["--video", "v", "--boxes", "b", "--every", "2"], "--every: use only with --tracks"),
        (["--data", "d", "--seed", "2"], "--seed: use only with --tracks"),
        (["--video", "v", "--tracks", "t", "--sweep"], "--sweep: use only with --data or --boxes"),
        (["--video", "v", "--tracks", "t", "--every", "0"], "--every is '0'"),
        (["--video", "v", "--tracks", "t", "--every", "two"], "--every is 'two'"),
    ],
)
def test_options_of_tracks_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert evaluate(monkeypatch, "--model", "m", *arguments) == 2
    assert said in capsys.readouterr().err


def test_segment_writes_who_is_who_into_documents_and_motchallenge_text(
    tmp_path: Path, model: Path, video: Path
) -> None:
    out, file = tmp_path / "out", tmp_path / "new" / "tracks.txt"
    done = segment(
        [video], model, out, provider="cpu", batch_size=5, tracks=file, show_progress=False
    )
    assert done == 0
    results = [decode_result(line) for line in (out / "discs.jsonl").read_bytes().splitlines()]
    by_row = {each.track: each.center[1] for each in results[0].instances}
    assert sorted(by_row) == [1, 2]
    for number, result in enumerate(results):
        for each in result.instances:
            assert each.track is not None
            assert each.center[1] == pytest.approx(by_row[each.track], abs=1)
            assert each.age_seconds == pytest.approx(number / RATE, abs=0.01)
    last = {each.track: each for each in results[-1].instances}
    downwards = max(last.values(), key=lambda each: each.center[1])
    assert downwards.velocity is not None
    assert downwards.velocity[0] == pytest.approx(-4 * RATE, abs=4)
    assert downwards.confirmed

    lines = [line.split(",") for line in file.read_text().splitlines()]
    assert len(lines) == 2 * FRAMES
    assert {tuple(line[-3:]) for line in lines} == {("-1", "-1", "-1")}
    assert [int(line[0]) for line in lines[::2]] == list(range(1, FRAMES + 1))
    first = results[0].instances[0]
    written = next(line for line in lines if line[:2] == ["1", str(first.track)])
    assert [int(part) for part in written[2:6]] == [
        first.box[0] + 1, first.box[1] + 1, *first.box[2:],
    ]  # fmt: skip
    assert list(file.parent.iterdir()) == [file]


def test_without_tracking_documents_say_nothing_of_tracks(
    tmp_path: Path, model: Path, video: Path
) -> None:
    done = segment([video], model, tmp_path, provider="cpu", track=False, show_progress=False)
    assert done == 0
    assert b'"track"' not in (tmp_path / "discs.jsonl").read_bytes()


def test_a_video_is_tracked_without_looking_at_colours(
    tmp_path: Path, model: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def counted(*given: object, appearance: bool) -> object:
        seen.append(appearance)
        return find_and_observe(*given, appearance=appearance)

    monkeypatch.setattr("viewer.segment_outputs.find_and_observe", counted)
    arguments = ["segment", video, "--model", model, "--out", tmp_path, "--provider", "cpu"]
    monkeypatch.setattr(sys, "argv", ["seedstream", *map(str, arguments), "--no-track-appearance"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert set(seen) == {False}
    assert b'"track":2' in (tmp_path / "discs.jsonl").read_bytes()


def test_tracks_are_those_of_one_video(
    tmp_path: Path, model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tracks.txt"
    with pytest.raises(ConfigurationError, match="expected one video, found 2 inputs"):
        segment([video, video], model, tmp_path, tracks=file, show_progress=False)
    with pytest.raises(ConfigurationError, match="use only without --no-track"):
        segment([video], model, tmp_path, tracks=file, track=False, show_progress=False)
    for own in (video, tmp_path / f"{video.stem}.jsonl"):
        with pytest.raises(ConfigurationError, match="is the input or one of its other outputs"):
            segment([video], model, tmp_path, tracks=own, show_progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableOutputError):
        segment([video], model, tmp_path, tracks=tmp_path / "file" / "t", show_progress=False)
    assert not list(tmp_path.glob(".*.partial"))
    still = tmp_path / "still.png"
    Image.fromarray(picture(0)).save(still)
    assert segment([still], model, tmp_path, provider="cpu", tracks=file, show_progress=False) == 1
    assert "a picture, --tracks expects a video" in capsys.readouterr().err
    assert not file.exists()
