"""Lists of thousands of cameras are applied, and a changed one restarts no producer."""

import json
import time

import pytest
import yaml

from tests.fleet.fleet import Fleet
from tests.fleet.kube_api import Object
from tests.fleet.test_releases import NewFleet

A_FILE = 5_000
"""Cameras of a file, and of its ConfigMap, which holds 1 MiB."""
ANNOTATION_BYTES = 262_144
"""What `kubectl apply` may write beside an object that it applies on the client's side."""
QUIET_SECONDS = 4.0
"""For so long the controllers do nothing after a change that is none of theirs."""
CAMERAS = "/etc/seedstream/cameras"


def entry(number: int, *, fps: int = 5) -> Object:
    """Return one camera as lists have them."""
    address = f"10.{20 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
    url = f"rtsp://viewer:${{CAMERA_PASSWORD}}@{address}:554/Streaming/Channels/101"
    return {
        "id": f"site-{number // 100:03}-camera-{number:05}",
        "url": url,
        "fps": fps,
        "max_side": 960,
    }


def write_list(fleet: Fleet, cameras: list[Object]) -> None:
    """Write a list as its user does: files of so many cameras, a ConfigMap and a source each."""
    target = fleet.overlay.parent / "fleet"
    generated, sources = [], []
    for index, first in enumerate(range(0, len(cameras), A_FILE)):
        name = f"cameras-{index}" if index else "cameras"
        lines = [f"  - {json.dumps(each)}" for each in cameras[first : first + A_FILE]]
        (target / f"{name}.yaml").write_text("\n".join(["cameras:", *lines, ""]))
        generated.append({
            "name": name,
            "behavior": "create" if index else "replace",
            "files": [f"{name}.yaml"],
            "options": {"disableNameSuffixHash": True},
        })  # fmt: skip
        if index:
            sources.append({"configMap": {"name": name}})
    fleet.kustomization["configMapGenerator"] = generated
    path = f"/spec/template/spec/volumes/{volume_index(fleet)}/projected/sources/-"
    patch = [{"op": "add", "path": path, "value": each} for each in sources]
    fleet.more[:] = [("StatefulSet", "producer", patch)] if patch else []


def volume_index(fleet: Fleet) -> int:
    """Return where the volume that is mounted at ``CAMERAS`` stands."""
    file = fleet.overlay.parent.parent / "base" / "producer" / "statefulset.yaml"
    spec = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]
    mounts = spec["containers"][0]["volumeMounts"]
    (name,) = (each["name"] for each in mounts if each["mountPath"] == CAMERAS)
    return [each["name"] for each in spec["volumes"]].index(name)


def listed(fleet: Fleet) -> dict[str, Object]:
    """Return all cameras, by id, that the API server would mount in a producer."""
    spec = fleet.pods("producer")[0]["spec"]
    cameras: list[Object] = []
    for each in spec["volumes"][volume_index(fleet)]["projected"]["sources"]:
        path = f"/api/v1/namespaces/{fleet.namespace}/configmaps/{each['configMap']['name']}"
        for text in fleet.plane.api.get(path)["data"].values():
            cameras += yaml.load(text, yaml.CSafeLoader).get("cameras", ())
    return {each["id"]: each for each in cameras}


def uids(fleet: Fleet) -> dict[str, str]:
    """Return which pod has which name."""
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in fleet.pods("producer")}


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_thousands_of_cameras_are_applied_and_a_changed_one_restarts_nothing(
    count: int, new_fleet: NewFleet
) -> None:
    fleet = new_fleet(producers=40)
    fleet.add_nodes(gpus=(2,), others=8)
    cameras = [entry(number) for number in range(count)]
    write_list(fleet, cameras)
    took = fleet.install()
    assert listed(fleet) == {each["id"]: each for each in cameras}
    files = -(-count // A_FILE)
    fleet.row(
        f"{count:,} cameras in {files} ConfigMaps, 40 producers", f"ready {took:.0f} s after apply"
    )

    before, revision = uids(fleet), revisions(fleet)
    cameras[count // 2] = entry(count // 2, fps=10)
    write_list(fleet, cameras)
    fleet.apply()
    time.sleep(QUIET_SECONDS)
    assert listed(fleet)[cameras[count // 2]["id"]]["fps"] == 10
    assert (uids(fleet), revisions(fleet)) == (before, revision)
    fleet.row("... one of them changed", "0 of 40 producers restarted")


def test_a_list_in_one_file_is_too_long_for_an_apply_on_the_clients_side(
    new_fleet: NewFleet,
) -> None:
    fleet = new_fleet(producers=1)
    fleet.add_nodes(gpus=(2,), others=1)
    cameras = [entry(number) for number in range(2_000)]
    write_list(fleet, cameras)
    done = fleet.plane.tried("apply", "-k", str(fleet.write()))
    assert "Too long" in done.stderr, f"2,000 cameras fit now: {done.stderr}"
    assert str(ANNOTATION_BYTES) in done.stderr
    fleet.apply()
    fleet.wait_ready(producer=1)
    assert len(listed(fleet)) == 2_000
    fleet.row("2,000 cameras, plain `kubectl apply`", "too long; then --server-side takes them")


def test_one_producer_less_and_more_leaves_the_others_alone(new_fleet: NewFleet) -> None:
    fleet = new_fleet(producers=12)
    fleet.add_nodes(gpus=(2,), others=4)
    fleet.install()
    before = uids(fleet)
    for count in (11, 12):
        fleet.producers = count
        fleet.apply()
        fleet.wait_ready(producer=count)
        time.sleep(QUIET_SECONDS)
        now = uids(fleet)
        assert len(now) == count
        assert {name: now[name] for name in list(now) if name != "producer-11"} == {
            name: uid for name, uid in before.items() if name != "producer-11"
        }
    fleet.row("12, 11 and 12 producers again", "the other 11 were not restarted")


def revisions(fleet: Fleet) -> tuple[str, str]:
    """Return the revisions of the producers' pods."""
    status = fleet.get("apps/v1", "statefulsets", "producer")["status"]
    return status["currentRevision"], status["updateRevision"]
