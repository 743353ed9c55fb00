from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from model.evaluation.boxes import read_boxes, read_tracks


def table(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "tracks.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_tracks_are_read_by_frame_with_pixels_from_zero(tmp_path: Path) -> None:
    file = table(tmp_path, "7,3,1,11,30.5,60\n7,0,5,5,1,1,0.9,-1\n9,3,2,11,30,60\n")
    assert read_tracks(file) == {
        7: {3: (0, 10, 30.5, 60), 0: (4, 4, 1, 1)},
        9: {3: (1, 10, 30, 60)},
    }


def test_a_byte_order_mark_is_no_part_of_the_first_number(tmp_path: Path) -> None:
    file = table(tmp_path, "\ufeff1,1,1,1,5,5\r\n")
    assert read_tracks(file) == {1: {1: (0, 0, 5, 5)}}
    assert read_boxes(file)[1].tolist() == [[0, 0, 5, 5]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,3,4,5", "expected frame,track,x,y,w,h in numbers"),
        ("frame,track,x,y,w,h", "expected frame,track,x,y,w,h in numbers"),
        ("1,2,3,four,5,6", "expected frame,track,x,y,w,h in numbers"),
        ("", "expected frame,track,x,y,w,h in numbers"),
        ("1,2,3,nan,5,6", "expected finite numbers"),
        ("inf,2,3,4,5,6", "expected finite numbers"),
        ("0,2,3,4,5,6", "frame 0, expected a whole number: frames count from 1"),
        ("1.5,2,3,4,5,6", "frame 1.5, expected a whole number"),
        ("1,2,3,4,0,6", "a box of 0x6 pixels, expected sides above 0"),
        ("1,2,3,4,5,-6", "a box of 5x-6 pixels, expected sides above 0"),
    ],
)
def test_a_wrong_line_is_named_in_both_tables(tmp_path: Path, line: str, said: str) -> None:
    file = table(tmp_path, f"1,1,1,1,1,1\n{line}\n")
    for read in (read_boxes, read_tracks):
        with pytest.raises(ConfigurationError, match="line 2: ") as refused:
            read(file)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("4,1,9,9,1,1", "line 3: track 1 has a box in frame 4 already, in line 1; expected one"),
        ("5,1.5,9,9,1,1", "line 3: track 1.5, expected a whole number from 0"),
        ("5,-1,9,9,1,1", "line 3: track -1, expected a whole number from 0"),
    ],
)
def test_a_track_is_a_number_with_one_box_in_a_frame(tmp_path: Path, line: str, said: str) -> None:
    file = table(tmp_path, f"4,1,1,1,1,1\n4,2,1,1,1,1\n{line}\n")
    with pytest.raises(ConfigurationError, match=said):
        read_tracks(file)
    assert len(read_boxes(file)) in (1, 2), "boxes alone need no identities"


def test_an_empty_table_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="empty, expected lines frame,track,x,y,w,h"):
        read_tracks(table(tmp_path, ""))
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0\n")
    with pytest.raises(ConfigurationError, match="cannot read the true boxes"):
        read_tracks(tmp_path / "picture.csv")
