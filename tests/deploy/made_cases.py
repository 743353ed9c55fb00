"""Cases of `promtool test rules` that take many series or long times; beside those in YAML."""

from typing import Any

Case = dict[str, Any]

RUNBOOK = "docs/operate/runbook.md#"
_PER_MINUTE = 1000


def expected(
    alert: str, severity: str, summary: str, description: str, **labels: str
) -> dict[str, Any]:
    """Return what promtool expects of a firing alert."""
    return {
        "exp_labels": {"severity": severity, **labels},
        "exp_annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": RUNBOOK + alert.lower(),
        },
    }


def asked(alert: str, when: str, *alerts: dict[str, Any]) -> dict[str, Any]:
    """Return the question which alerts of a name fire at a time."""
    return {"alertname": alert, "eval_time": when, "exp_alerts": list(alerts)}


def case(name: str, interval: str, series: dict[str, str], *questions: dict[str, Any]) -> Case:
    """Return a case."""
    return {
        "name": name,
        "interval": interval,
        "input_series": [{"series": key, "values": value} for key, value in series.items()],
        "alert_rule_test": list(questions),
    }


def cameras_down() -> Case:
    """Return: of 30 cameras 12, of 18 seven, of 16 twelve, of 3 two, the only one."""
    down = {"many": (12, 30), "few": (7, 18), "most": (12, 16), "two": (2, 3), "one": (1, 1)}
    series = {
        f'seedstream_camera_up{{namespace="{namespace}",camera="{number}"}}': (
            "1x5 0x30 1x30" if number < gone else "1x65"
        )
        for namespace, (gone, count) in down.items()
        for number in range(count)
    }
    alone = [("few", str(number)) for number in range(7)] + [("one", "0")]
    downs = [
        expected(
            "SeedstreamCameraDown", "warning", f"Camera {camera} gives no frames",
            f"The producer has had no frame of {camera} for a minute; it goes on trying.",
            namespace=namespace, camera=camera,
        )
        for namespace, camera in alone
    ]  # fmt: skip
    many = expected(
        "SeedstreamCamerasDown", "warning", "12 cameras give no frames",
        "Of 30 cameras, these went together; the dashboard lists them.", namespace="many",
    )  # fmt: skip
    most = [
        expected(
            "SeedstreamMostCamerasDown", "critical", f"{share} of the cameras give no frames",
            "They went together: look at what they share, a network or a power supply.",
            namespace=namespace,
        )
        for namespace, share in (("most", "75%"), ("two", "66.67%"))
    ]  # fmt: skip
    names = ("SeedstreamCameraDown", "SeedstreamCamerasDown", "SeedstreamMostCamerasDown")
    return case(
        "cameras go down alone, many at once, and most of them; and come back",
        "10s",
        series,
        *(asked(name, when) for name in names for when in ("1m30s", "9m")),
        asked(names[0], "3m30s", *downs),
        *(asked(names[1], "2m20s"), asked(names[1], "3m30s", many)),
        *(asked(names[2], "2m20s"), asked(names[2], "3m30s", *most)),
    )


def cameras_late() -> Case:
    """Return: the results of twelve cameras come late, and those of seven."""
    name = "seedstream_end_to_end_latency_seconds"
    series = {}
    for namespace, count in (("many", 12), ("few", 7)):
        for number in range(count):
            labels = f'namespace="{namespace}",camera="{number}"'
            series[f'{name}_bucket{{{labels},le="1.5"}}'] = "0x90"
            series[f"{name}_count{{{labels}}}"] = "0+10x60 600x30"
    alone = [
        expected(
            "SeedstreamLatencyHigh", "warning", f"Results of {number} come late",
            "100% of its results come later than 1.5 s after capture.",
            namespace="few", camera=str(number),
        )
        for number in range(7)
    ]  # fmt: skip
    many = expected(
        "SeedstreamManyCameras", "warning", "12 cameras have the same trouble: late",
        "A part that they share is at fault, rather than each of them; the dashboard lists them.",
        namespace="many", trouble="late",
    )  # fmt: skip
    return case(
        "the results of many cameras come late: one alert; of few: one for each",
        "10s",
        series,
        asked("SeedstreamLatencyHigh", "4m"),
        asked("SeedstreamLatencyHigh", "7m", *alone),
        *(asked("SeedstreamManyCameras", when) for when in ("5m", "5m40s", "18m")),
        asked("SeedstreamManyCameras", "7m", many),
    )


def objective(namespace: str, *phases: tuple[int, float], live: int = 1) -> dict[str, str]:
    """Return the series of a namespace that misses so much of its objective.

    Args:
        namespace: Its name.
        phases: Minutes, and the share of frames whose result does not come in time.
        live: Whether its workers run in live mode.
    """
    published, prompt = ["0"], ["0"]
    total, good = 0, 0
    for minutes, missed in phases:
        step = round(_PER_MINUTE * (1 - missed))
        published.append(f"{total + _PER_MINUTE}+{_PER_MINUTE}x{minutes - 1}")
        prompt.append(f"{good + step}+{step}x{minutes - 1}")
        total, good = total + minutes * _PER_MINUTE, good + minutes * step
    labels = f'namespace="{namespace}"'
    lost = f'seedstream_frames_dropped_total{{{labels},camera="a",reason="buffer_full"}}'
    return {
        f'seedstream_frames_published_total{{{labels},camera="a"}}': " ".join(published),
        lost: f"0x{total // _PER_MINUTE}",
        f'seedstream_result_latency_seconds_bucket{{{labels},le="1.5"}}': " ".join(prompt),
        f"seedstream_live_mode{{{labels}}}": f"{live}x{total // _PER_MINUTE}",
        f"seedstream_model_info{{{labels}}}": f"1x{total // _PER_MINUTE}",
    }


def budget_burns_fast() -> Case:
    """Return what an hour's and what six hours' windows must and must not see."""
    name = "SeedstreamBudgetBurnsFast"

    def burns(namespace: str, share: str) -> dict[str, Any]:
        return expected(
            name, "critical", f"{share} of the frames have no result within 1.5 s",
            "At this rate the month's budget (1 %) is used up within days.", namespace=namespace,
        )  # fmt: skip

    series = (
        objective("outage", (360, 0.0), (12, 1.0), (10, 0.1), (98, 0.0))
        | objective("steady", (360, 0.08), (120, 0.045))
        | objective("begins", (240, 0.0), (120, 0.12), (120, 0.0))
        | objective("complete", (480, 1.0), live=0)
    )
    return case(
        "the budget burns fast: twelve minutes without a result, or 8 % for hours; and it resolves",
        "1m",
        series,
        asked(name, "368m", burns("steady", "7.942%")),
        asked(name, "372m", burns("steady", "7.903%")),
        asked(name, "373m", burns("outage", "17.74%"), burns("steady", "7.893%")),
        asked(name, "376m", burns("outage", "20%"), burns("steady", "7.864%")),
        asked(name, "379m", burns("steady", "7.835%")),
        asked(name, "390m"),
    )


def budget_burns_slowly() -> Case:
    """Return what three days and six hours must and must not see."""
    name = "SeedstreamBudgetBurnsSlowly"

    def burns(namespace: str, share: str) -> dict[str, Any]:
        return expected(
            name, "warning",
            f"{share} of the frames of three days have no result within 1.5 s",
            "More than the objective allows (1 %), and it goes on.", namespace=namespace,
        )  # fmt: skip

    series = (
        objective("steady", (100, 0.015))
        | objective("little", (700, 0.007))
        | objective("new", (400, 0.0), (300, 0.02))
        | objective("over", (300, 0.02), (400, 0.007))
        | objective("complete", (700, 0.02), live=0)
    )
    return case(
        "the budget burns slowly: more than 1 % of the frames, for three days and still",
        "1m",
        series,
        asked(name, "50m"),
        asked(name, "70m", burns("steady", "1.5%"), burns("over", "2%")),
        asked(name, "340m", burns("over", "1.854%")),
        asked(name, "645m"),
        asked(name, "690m"),
    )


MADE = {"10s": [cameras_down(), cameras_late()], "1m": [budget_burns_fast(), budget_burns_slowly()]}
"""The cases by how often rules are evaluated in them."""
