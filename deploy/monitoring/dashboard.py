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
_NAMESPACE = 'namespace="$namespace"'
_NS = f'{_NAMESPACE},lane=~"$lane"'
_CAMERA = f'{_NS},camera=~"$camera"'
_PODS = f'{_NAMESPACE},job=~"seedstream-.+"'
_WORST = 10
"""Most lines of a panel about cameras or pods: thousands would show nothing."""


def _worst(query: str) -> str:
    return f"topk({_WORST}, {query})"


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
              {"fps": f"sum(lane:seedstream_frames_processed:rate1m{{{_NS}}})"}, "stat"),
        Panel("Cameras down", "Cameras without frames, and all cameras.", "short",
              {"down": f'count(camera:seedstream_trouble{{{_NS},trouble="down"}})',
               "all": f"sum(lane:seedstream_cameras:count{{{_NS}}})"}, "stat"),
        Panel("Not in time", "Share of the frames without a result within 1.5 s: of the last hour, "
              "and of three days (objective: 1 %).", "percentunit",
              {"1 h": f"max(lane:seedstream_objective_missed:ratio1h{{{_NS}}})",
               "3 d": f"max(lane:seedstream_objective_missed:ratio3d{{{_NS}}})"}, "stat"),
        Panel("Servers", "Share of the processes that Kafka and Redis answer.", "percentunit",
              {"Kafka": f"avg(seedstream_kafka_connected{{{_NS}}})",
               "Redis": f"avg(seedstream_redis_connected{{{_NS}}})"}, "stat"),
        Panel("From camera to result", "Captured, published, processed, all cameras.", "ops",
              {"captured": f"sum(camera:seedstream_frames_captured:rate1m{{{_NS}}})",
               "published": f"sum(lane:seedstream_frames_published:rate1m{{{_NS}}})",
               "processed": f"sum(lane:seedstream_frames_processed:rate1m{{{_NS}}})"}),
        Panel("Latency", "Capture to stored result, all cameras.", "s",
              {"p50 {{lane}}": f"lane:seedstream_result_latency_seconds:p50_5m{{{_NS}}}",
               "p95 {{lane}}": f"lane:seedstream_result_latency_seconds:p95_5m{{{_NS}}}"}),
        Panel("Lag", "Age of the oldest unfinished frame.", "s",
              {"{{lane}}": f"lane:seedstream_lag_seconds:max{{{_NS}}}"}),
        Panel("Instances per second", "By class.", "ops",
              {"{{class}}": f"sum by (class) (lane:seedstream_instances:rate1m{{{_NS}}})"}),
    ],
    "Cameras": [
        Panel("Cameras in trouble", "By kind of trouble.", "short",
              {"{{trouble}}": "count by (trouble) "
                              f"(camera:seedstream_trouble{{{_CAMERA}}})"}),
        Panel("Worst cameras", "Those in trouble now, and how badly: a share of its frames, or "
              "frames per second where it gives or gets too few.", "short",
              {"": "topk(100, max by (lane, camera, trouble) "
                   f"(camera:seedstream_trouble{{{_CAMERA}}}))"}, "table"),
        Panel("Latest results", "Mean time from capture to result; the ten latest cameras.", "s",
              {"{{camera}}": _worst(
                  f"camera:seedstream_end_to_end_latency_seconds:mean5m{{{_CAMERA}}}")}),
        Panel("Results too late", "Share later than 1.5 s; the ten worst cameras.", "percentunit",
              {"{{camera}}": _worst(f"camera:seedstream_results_late:ratio5m{{{_CAMERA}}}")}),
        Panel("Lost by the producer", "Share of what is owed, the ten worst cameras.",
              "percentunit",
              {"{{camera}}": _worst(f"camera:seedstream_frames_lost:ratio5m{{{_CAMERA}}}")}),
        Panel("Damaged pictures", "Share of what the camera sends: cut, corrupt or undecodable; "
              "the ten worst cameras.", "percentunit",
              {"{{camera}}": _worst(f"camera:seedstream_pictures_damaged:ratio5m{{{_CAMERA}}}")}),
        Panel("Skipped by workers", "Share of the frames offered to workers; the ten worst.",
              "percentunit",
              {"{{camera}}": _worst(f"camera:seedstream_frames_skipped:ratio5m{{{_CAMERA}}}")}),
        Panel("Skipped, by reason", "Frames per second.", "ops",
              {"{{reason}}": "sum by (reason) (rate(seedstream_frames_skipped_total"
                             f"{{{_CAMERA}}}[5m]))"}),
        Panel("Reconnections", "In the last hour, the ten cameras with most.", "short",
              {"{{camera}}": _worst("sum by (camera) (increase("
                                    f"seedstream_camera_reconnects_total{{{_CAMERA}}}[1h]))")}),
        Panel("Objects tracked", "Confirmed objects in the newest frame, the ten highest; "
              "after a rebalance the old worker's value stays for 5 minutes.", "short",
              {"{{camera}}": _worst(
                  f"max by (camera) (seedstream_tracks_active{{{_CAMERA}}})")}),
        Panel("Tracks", "New and forgotten objects per second, and cameras whose tracks a "
              "worker took over.", "ops",
              {"began": f"sum(rate(seedstream_tracks_began_total{{{_CAMERA}}}[5m]))",
               "ended": f"sum(rate(seedstream_tracks_ended_total{{{_CAMERA}}}[5m]))",
               "taken over": f"sum(rate(seedstream_track_conflicts_total{{{_NS}}}[5m]))"}),
    ],
    "Workers": [
        Panel("Stages p95", "fetch is the time in Kafka; the others are per batch or frame.",
              "s", {"{{lane}} {{stage}}": f"stage:seedstream_stage_seconds:p95_5m{{{_NS}}}"}),
        Panel("Busy, by stage", "Share of its time that each stage works; the busiest one is the "
              "bottleneck (seedstream top shows one worker).", "percentunit",
              {"{{stage}}": "sum by (stage) (rate(seedstream_stage_time_seconds_total"
                            f'{{{_NS},state="working"}}[5m])) / sum by (stage) '
                            f"(rate(seedstream_stage_time_seconds_total{{{_NS}}}[5m]))"}),
        Panel("Batch size", "Mean frames per batch, all workers and the fullest ones.", "short",
              {"all": f"sum(rate(seedstream_batch_size_sum{{{_NS}}}[5m]))"
                      f" / sum(rate(seedstream_batch_size_count{{{_NS}}}[5m]))",
               "{{pod}}": _worst(f"rate(seedstream_batch_size_sum{{{_NS}}}[5m])"
                                 f" / rate(seedstream_batch_size_count{{{_NS}}}[5m])")}),
        Panel("Model", "Workers by model, version, provider and precision.", "short",
              {"{{lane}} {{name}}/{{version}} {{provider}} {{precision}}":
               "count by (lane, name, version, provider, precision)"
               f" (seedstream_model_info{{{_NS}}})"}),
        Panel("Rebalances", "Partition changes in 10 minutes, the ten workers with most.", "short",
              {"{{pod}}": _worst(f"increase(seedstream_rebalances_total{{{_NS}}}[10m])")}),
        Panel("CPU", "Cores in use, the ten pods with most.", "short",
              {"{{pod}}": _worst(f"rate(process_cpu_seconds_total{{{_PODS}}}[5m])")}),
        Panel("Memory", "Resident memory, the ten pods with most.", "bytes",
              {"{{pod}}": _worst(f"process_resident_memory_bytes{{{_PODS}}}")}),
    ],
    "Kafka, Redis, GPU": [
        Panel("Lag by partition", "Records not finished by workers yet, the ten longest.", "short",
              {"{{lane}} {{partition}}": _worst(
                  f"partition:seedstream_lag_records:max{{{_NS}}}")}),
        Panel("Lag of the group", "As the brokers see it (kafka_exporter).", "short",
              {"{{consumergroup}}": "sum by (consumergroup) "
                                    '(kafka_consumergroup_lag{consumergroup=~"$group"})'}),
        Panel("Dead letters", "In 10 minutes, by reason.", "short",
              {"{{reason}}": "sum by (reason) (increase("
                             f"seedstream_dead_letters_total{{{_NS}}}[10m]))"}),
        Panel("Redis memory", "In use and maximum, of this namespace (redis_exporter).", "bytes",
              {"used": f"redis_memory_used_bytes{{{_NAMESPACE}}}",
               "bound": f"redis_memory_max_bytes{{{_NAMESPACE}}}"}),
        Panel("GPU", "Utilisation of those that pods of this namespace hold, the ten least used "
              "(DCGM exporter).", "percent",
              {"{{gpu}} {{Hostname}}":
               f"bottomk({_WORST}, DCGM_FI_DEV_GPU_UTIL{{{_NAMESPACE}}})"}),
        Panel("GPU memory", "In use, the ten fullest (DCGM exporter), in MiB.", "decmbytes",
              {"{{gpu}} {{Hostname}}": _worst(f"DCGM_FI_DEV_FB_USED{{{_NAMESPACE}}}")}),
    ],
    "Live page": [
        Panel("Pages open", "Browsers that look at cameras, and cameras looked at.", "short",
              {"pages": f"sum(seedstream_view_pages{{{_NS}}})",
               "cameras": f"sum(seedstream_view_cameras_watched{{{_NS}}})"}),
        Panel("Pictures sent", "Per second, and those that newer ones overtook.", "ops",
              {"sent": f"sum(rate(seedstream_view_pictures_sent_total{{{_NS}}}[5m]))",
               "overtaken": "sum(rate(seedstream_view_pictures_overtaken_total"
                            f"{{{_NS}}}[5m]))"}),
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
        "templating": {"list": _variables()},
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
            {
                "refId": chr(65 + i),
                "expr": query,
                "legendFormat": legend,
                "datasource": source,
                **({"instant": True, "format": "table"} if panel.kind == "table" else {}),
            }
            for i, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        _variable("namespace", 'up{job=~"seedstream-.+"}', "namespace"),
        _variable("lane", f"seedstream_kafka_connected{{{_NAMESPACE}}}", "lane", several=True),
        _variable("camera", f"seedstream_camera_up{{{_NS}}}", "camera", several=True),
        _variable("group", "kafka_consumergroup_lag", "consumergroup", several=True)
        | {"regex": "/seedstream.*/"},
    ]


def _variable(name: str, series: str, label: str, *, several: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": f"label_values({series}, {label})",
        "refresh": 2,
        "multi": several,
        "includeAll": several,
        # Also series without the label; of the brokers' groups only ours.
        "allValue": ".*" if several and name != "group" else None,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(build(), indent=1) + "\n")
