"""Write the Grafana dashboard: `make monitoring`.

A dashboard's JSON is nine tenths layout; the panels, which matter, stand here; a test compares.
Exporters besides our own metrics: kafka_exporter (danielqsj), redis_exporter (oliver006), NVIDIA's
DCGM exporter.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).resolve().parent / "dashboards" / "seedstream.json"
_WIDTH, _HEIGHT = 24, 7
_NS = 'namespace="$namespace"'
_CAMERA = f'{_NS},camera=~"$camera"'


class Panel(NamedTuple):
    """One panel: its title, what it tells, its unit, and its queries by legend."""

    title: str
    tells: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"


ROWS: dict[str, list[Panel]] = {
    "Overview": [
        Panel("Frames per second", "Results stored per second, all cameras.", "ops",
              {"fps": f"namespace:seedstream_frames_processed:rate1m{{{_NS}}}"}, "stat"),
        Panel("Cameras up", "Cameras delivering frames, and all cameras.", "short",
              {"up": f"sum(max by (camera) (seedstream_camera_up{{{_NS}}}))",
               "all": f"count(max by (camera) (seedstream_camera_up{{{_NS}}}))"}, "stat"),
        Panel("Latency p95", "Capture to stored result, all cameras.", "s",
              {"p95": f"namespace:seedstream_end_to_end_latency_seconds:p95_5m{{{_NS}}}"}, "stat"),
        Panel("Lag", "Age of the oldest unfinished frame.", "s",
              {"lag": f"namespace:seedstream_lag_seconds:max{{{_NS}}}"}, "stat"),
        Panel("From camera to result", "Captured, published, processed, all cameras.", "ops",
              {"captured": f"sum(camera:seedstream_frames_captured:rate1m{{{_NS}}})",
               "published": f"sum(camera:seedstream_frames_published:rate1m{{{_NS}}})",
               "processed": f"namespace:seedstream_frames_processed:rate1m{{{_NS}}}"}),
        Panel("Instances per second", "By class.", "ops",
              {"{{class}}": f"namespace:seedstream_instances:rate1m{{{_NS}}}"}),
    ],
    "Cameras": [
        Panel("Processed", "Results stored per second and camera.", "ops",
              {"{{camera}}": f"camera:seedstream_frames_processed:rate1m{{{_CAMERA}}}"}),
        Panel("Latency p95", "Capture to stored result by camera.", "s",
              {"{{camera}}": f"camera:seedstream_end_to_end_latency_seconds:p95_5m{{{_CAMERA}}}"}),
        Panel("Dropped by the producer", "Share of captured frames, but for the cap and damage.",
              "percentunit",
              {"{{camera}}": f"camera:seedstream_frames_dropped:ratio5m{{{_CAMERA}}}"}),
        Panel("Damaged pictures", "Share of what the camera sends: cut, corrupt or undecodable.",
              "percentunit",
              {"{{camera}}": f"camera:seedstream_pictures_damaged:ratio5m{{{_CAMERA}}}"}),
        Panel("Skipped by workers", "Share of the frames offered to workers.", "percentunit",
              {"{{camera}}": f"camera:seedstream_frames_skipped:ratio5m{{{_CAMERA}}}"}),
        Panel("Skipped, by reason", "Frames per second.", "ops",
              {"{{reason}}": "sum by (reason) (rate(seedstream_frames_skipped_total"
                             f"{{{_CAMERA}}}[5m]))"}),
        Panel("Reconnections", "In the last hour.", "short",
              {"{{camera}}": f"increase(seedstream_camera_reconnects_total{{{_CAMERA}}}[1h])"}),
        Panel("Objects tracked", "Confirmed objects in the newest frame; after a rebalance the old "
              "worker's value stays for 5 minutes.", "short",
              {"{{camera}}": f"max by (camera) (seedstream_tracks_active{{{_CAMERA}}})"}),
        Panel("Tracks", "New and forgotten objects per second, and cameras whose tracks a "
              "worker took over.", "ops",
              {"began": f"sum(rate(seedstream_tracks_began_total{{{_CAMERA}}}[5m]))",
               "ended": f"sum(rate(seedstream_tracks_ended_total{{{_CAMERA}}}[5m]))",
               "taken over": f"sum(rate(seedstream_track_conflicts_total{{{_NS}}}[5m]))"}),
    ],
    "Workers": [
        Panel("Stages p95", "fetch is the time in Kafka; the others are per batch or frame.",
              "s", {"{{stage}}": f"stage:seedstream_stage_seconds:p95_5m{{{_NS}}}"}),
        Panel("Busy, by stage", "Share of its time that each stage works; the busiest one is the "
              "bottleneck (seedstream top shows one worker).", "percentunit",
              {"{{stage}}": "sum by (stage) (rate(seedstream_stage_time_seconds_total"
                            f'{{{_NS},state="working"}}[5m])) / sum by (stage) '
                            f"(rate(seedstream_stage_time_seconds_total{{{_NS}}}[5m]))"}),
        Panel("Batch size", "Mean frames per batch.", "short",
              {"{{pod}}": f"rate(seedstream_batch_size_sum{{{_NS}}}[5m])"
                          f" / rate(seedstream_batch_size_count{{{_NS}}}[5m])"}),
        Panel("Model", "Workers by model, version, provider and precision.", "short",
              {"{{name}}/{{version}} {{provider}} {{precision}}":
               "count by (name, version, provider, precision)"
               f" (seedstream_model_info{{{_NS}}})"}),
        Panel("Rebalances", "Partition changes in 10 minutes.", "short",
              {"{{pod}}": f"increase(seedstream_rebalances_total{{{_NS}}}[10m])"}),
        Panel("CPU", "Cores in use.", "short",
              {"{{pod}}": f"rate(process_cpu_seconds_total{{{_NS}}}[5m])"}),
        Panel("Memory", "Resident memory.", "bytes",
              {"{{pod}}": f"process_resident_memory_bytes{{{_NS}}}"}),
    ],
    "Kafka, Redis, GPU": [
        Panel("Lag by partition", "Records not finished by workers yet.", "short",
              {"{{partition}}": f"partition:seedstream_lag_records:max{{{_NS}}}"}),
        Panel("Lag of the group", "As the brokers see it (kafka_exporter).", "short",
              {"{{consumergroup}}": "sum by (consumergroup) (kafka_consumergroup_lag)"}),
        Panel("Dead letters", "In 10 minutes, by reason.", "short",
              {"{{reason}}": "sum by (reason) (increase("
                             f"seedstream_dead_letters_total{{{_NS}}}[10m]))"}),
        Panel("Redis memory", "In use and maximum (redis_exporter).", "bytes",
              {"used": "redis_memory_used_bytes", "bound": "redis_memory_max_bytes"}),
        Panel("GPU", "Utilisation (DCGM exporter).", "percent",
              {"{{gpu}} {{Hostname}}": "DCGM_FI_DEV_GPU_UTIL"}),
        Panel("GPU memory", "In use (DCGM exporter), in MiB.", "decmbytes",
              {"{{gpu}} {{Hostname}}": "DCGM_FI_DEV_FB_USED"}),
    ],
    "Live page": [
        Panel("Pages open", "Browsers that look at cameras, and cameras looked at.", "short",
              {"pages": f"sum(seedstream_view_pages{{{_NS}}})",
               "cameras": f"sum(seedstream_view_cameras_watched{{{_NS}}})"}),
        Panel("Pictures sent", "Per second, and those that newer ones overtook.", "ops",
              {"sent": f"sum(rate(seedstream_view_pictures_sent_total{{{_NS}}}[5m]))",
               "overtaken": f"sum(rate(seedstream_view_pictures_overtaken_total{{{_NS}}}[5m]))"}),
        Panel("Age of pictures, p95", "From the result to the picture's sending.", "s",
              {"p95": "histogram_quantile(0.95, sum by (le) (rate("
                      f"seedstream_view_picture_age_seconds_bucket{{{_NS}}}[5m])))"}),
        Panel("Logins", "In 10 minutes, by outcome.", "short",
              {"{{outcome}}": "sum by (outcome) (increase("
                              f"seedstream_view_logins_total{{{_NS}}}[10m]))"}),
    ],
}  # fmt: skip


def build() -> dict[str, Any]:
    """Return the dashboard."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, content in ROWS.items():
        panels.append(
            {"type": "row", "title": row, "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1}}
        )
        y, x = y + 1, 0
        for each in content:
            width, height = (6, 4) if each.kind == "stat" else (12, _HEIGHT)
            panels.append(_panel(each, {"x": x, "y": y, "w": width, "h": height}))
            x += width
            if x >= _WIDTH:
                x, y = 0, y + height
        if x:  # an odd number of panels
            y += height
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    return {
        "uid": "seedstream",
        "title": "Seedstream",
        "tags": ["seedstream"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_source(), _variable("namespace"), _variable("camera")]},
        "panels": panels,
    }


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.tells,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + i), "expr": query, "legendFormat": legend, "datasource": source}
            for i, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus"}


def _variable(name: str) -> dict[str, Any]:
    within = '{namespace="$namespace"}' if name == "camera" else ""
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": f"label_values(seedstream_camera_up{within}, {name})",
        "refresh": 2,
        "multi": name == "camera",
        "includeAll": name == "camera",
        "allValue": ".*" if name == "camera" else None,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(build(), indent=1) + "\n")
