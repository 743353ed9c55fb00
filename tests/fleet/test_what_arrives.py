"""What a user writes into the overlay arrives in the pods."""

from tests.fleet.fleet import Fleet
from tests.fleet.kube_api import Object
from tests.fleet.test_releases import NewFleet

WRITTEN = {
    "WORKER_SECURITY_PROTOCOL": "SASL_SSL",
    "WORKER_MAX_BATCH_SIZE": "32",
    "WORKER_PROVIDER": "auto",
}
"""What a component sets as well, to something else."""


def settings(fleet: Fleet, component: str) -> dict[str, str]:
    """Return what a pod of a component has in its environment by the API server's word."""
    pod: Object = fleet.pods(component)[0]
    found: dict[str, str] = {}
    for each in pod["spec"]["containers"][0]["envFrom"]:
        if "configMapRef" in each:
            name = each["configMapRef"]["name"]
            path = f"/api/v1/namespaces/{fleet.namespace}/configmaps/{name}"
            found |= fleet.plane.api.get(path)["data"]
    return found


def test_settings_of_the_overlay_arrive_in_the_workers(new_fleet: NewFleet) -> None:
    fleet = new_fleet()
    fleet.add_nodes(gpus=(2,), others=1)
    fleet.install(workers=2)
    (file,) = fleet.overlay.rglob("worker.env")
    file.write_text(
        file.read_text() + "".join(f"{key}={value}\n" for key, value in WRITTEN.items())
    )
    fleet.run_documented("Release", 1)
    assert fleet.versions("worker") == {("1", "ready"): 2}
    assert {key: settings(fleet, "worker").get(key) for key in WRITTEN} == WRITTEN
    fleet.row("settings in the overlay", f"{', '.join(WRITTEN)} in the pods as written")
