"""Shards of the camera list: each camera in exactly one, and all processes agree on how many."""

import re
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from contract.settings import load_settings
from producer.camera_list import load_cameras, load_list
from producer.settings import MAX_CAMERAS, ProducerSettings
from producer.shards import MOST_SHARDS, Shard

CAMERAS = [f"camera-{number}" for number in range(2000)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2/2", "no part 2 of 2"),
        ("0/0", "no part 0 of 0"),
        ("-1/2", "INDEX/COUNT"),
        ("0/10001", "at most 10000"),
        ("$(POD_INDEX)/2", "INDEX/COUNT"),
        ("a/b", "INDEX/COUNT"),
    ],
)
def test_what_is_no_shard_is_refused_with_what_was_seen(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match="PRODUCER_SHARD") as caught:
        load_settings(ProducerSettings, shard=text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


def write_list(tmp_path: Path, cameras: list[str]) -> Path:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n" + "".join(f"  - {{id: {c}, url: 'test:'}}\n" for c in cameras))
    return path


def test_the_processes_of_a_list_share_it(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[:60])
    parts = [
        [c.id for c in load_cameras(ProducerSettings(config=path, shard=f"{i}/12"))]  # type: ignore[arg-type]
        for i in range(12)
    ]
    assert sorted(camera for part in parts for camera in part) == sorted(CAMERAS[:60])


def test_the_bound_on_cameras_is_that_of_one_process(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[: 3 * MAX_CAMERAS])
    with pytest.raises(ConfigurationError, match=rf"at most {MAX_CAMERAS}.*PRODUCER_SHARD"):
        load_cameras(ProducerSettings(config=path, shard=Shard(0, 2)))


def test_a_fault_of_a_camera_of_another_shard_is_told_by_all(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  - {id: gate, url: 'rtsp://h/s', fps: -1}\n")
    for index in range(3):
        with pytest.raises(ConfigurationError, match="gate"):
            load_cameras(ProducerSettings(config=path, shard=Shard(index, 3)))


def test_a_shard_without_cameras_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  - {id: gate, url: 'test:'}\n")
    sizes = [len(load_cameras(ProducerSettings(config=path, shard=Shard(i, 2)))) for i in (0, 1)]
    assert sorted(sizes) == [0, 1]


def shards_of(path: Path, shard: str | None, **values: object) -> tuple[Shard, list[str], set[str]]:
    settings = ProducerSettings(config=path, shard=shard, **values)  # type: ignore[arg-type]
    listed = load_list(settings, [], {})
    return listed.shard, [camera.id for camera in listed.cameras], set(listed.arriving)


def test_the_list_says_how_many_shards_there_are(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[:60])
    path.write_text("shards: 12\n" + path.read_text())
    parts = [shards_of(path, str(index))[1] for index in range(13)]
    assert sorted(camera for part in parts for camera in part) == sorted(CAMERAS[:60])
    assert max(len(part) for part in parts) <= 6
    assert parts[12] == []  # one process too many is no fault: it waits for the next list
    assert shards_of(path, "3/12")[0] == Shard(3, 12)


@pytest.mark.parametrize(
    ("shard", "said", "message"),
    [
        (None, "shards: 12\n", "the list says shards: 12, and PRODUCER_SHARD"),
        ("3", "", "a number without a count"),
        ("3/4", "shards: 12\n", "'3/4', but the list says shards: 12"),
        ("3", "shards: 0\n", "a whole number from 1 to 10000, found 0"),
        ("3", "shards: many\n", "a whole number from 1 to 10000, found str"),
        ("3", "shards: true\n", "a whole number from 1 to 10000, found bool"),
        ("3", f"shards: {MOST_SHARDS + 1}\n", "found 10001"),
        ("3", "shards: 4\nshards_before: 0\n", "shards_before: expected a whole number"),
    ],
)
def test_settings_and_list_that_disagree_on_the_shards_are_refused(
    tmp_path: Path, shard: str | None, said: str, message: str
) -> None:
    path = write_list(tmp_path, CAMERAS[:4])
    path.write_text(said + path.read_text())
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        shards_of(path, shard)


def test_the_list_says_which_cameras_another_process_carried_before(tmp_path: Path) -> None:
    path = write_list(tmp_path, CAMERAS[:60])
    text = path.read_text()
    path.write_text("shards: 11\n" + text)
    before = {camera: index for index in range(11) for camera in shards_of(path, str(index))[1]}
    path.write_text("shards: 12\nshards_before: 11\n" + text)
    for index in range(12):
        _, ours, arriving = shards_of(path, str(index))
        assert arriving == {camera for camera in ours if before[camera] != index}


def test_a_folder_is_one_list_whose_files_have_defaults_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "cameras"
    folder.mkdir()
    (folder / "shards.yaml").write_text("shards: 2\n")
    (folder / "north.yaml").write_text("defaults: {fps: 5}\ncameras: [{id: n, url: 'test:'}]\n")
    (folder / "south.yml").write_text("cameras: [{id: s, url: 'test:'}, {id: t, url: 'test:'}]\n")
    (folder / "notes.txt").write_text("not a list: [")
    (folder / "..data").mkdir()
    (folder / ".hidden.yaml").write_text("not a list: [")
    cameras = {
        camera.id: camera.fps
        for index in range(2)
        for camera in load_list(ProducerSettings(config=folder, shard=Shard(index)), [], {}).cameras
    }
    assert cameras == {"n": 5, "s": None, "t": None}


def test_faults_of_a_folder_name_their_file_and_ids_must_differ_over_all(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("shards: 2\ncameras: [{id: a, url: 'test:'}]\n")
    (tmp_path / "b.yaml").write_text("shards: 3\ncameras: [{id: a, url: 'test:', fps: -1}]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_list(ProducerSettings(config=tmp_path, shard=Shard(0)), [], {})
    text = str(caught.value)
    assert f"shards is 2 in {tmp_path}/a.yaml, 3 in {tmp_path}/b.yaml" in text
    assert f"{tmp_path}/b.yaml: camera a: fps" in text
    assert "camera a: the id is used 2 times" in text


def test_a_folder_without_a_list_and_a_folder_of_passwords_that_is_not_there_are_faults(
    tmp_path: Path,
) -> None:
    settings = ProducerSettings(config=tmp_path, credentials=tmp_path / "none")
    with pytest.raises(ConfigurationError) as caught:
        load_list(settings, [], {})
    assert f"{tmp_path}: no file *.yaml" in str(caught.value)
    assert f"{tmp_path}/none: cannot read the folder of passwords" in str(caught.value)


def test_passwords_come_from_files_before_the_environment_and_never_show(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "GATE").write_text("p@ss/word\n")
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "cameras:\n"
        "  - {id: gate, url: 'rtsp://user:${GATE}@10.0.0.7/s'}\n"
        "  - {id: yard, url: 'rtsp://user:${YARD}@10.0.0.8/s'}\n"
    )
    settings = ProducerSettings(config=path, credentials=secrets)
    gate, yard = load_list(settings, [], {"GATE": "old", "YARD": "env"}).cameras
    assert gate.source_url == "rtsp://user:p%40ss%2Fword@10.0.0.7/s"
    assert yard.source_url == "rtsp://user:env@10.0.0.8/s"
    (secrets / "GATE").write_bytes(b"p@ss\xff")
    with pytest.raises(ConfigurationError) as caught:
        load_list(settings, [], {"YARD": "env"})
    assert "p@ss" not in str(caught.value)
    assert "GATE: cannot read a password: not UTF-8 text" in str(caught.value)
    assert "the variable GATE is not set" in str(caught.value)
