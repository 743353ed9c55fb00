"""Prometheus, asked what producers and workers do: the same figures as on their own pages."""

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from contract.samples import Samples
from viewer.top_rows import Look

BEFORE_SECONDS = 60.0
"""Rates are over so long: at least two scrapes."""

_ANSWER_SECONDS = 3.0
_MAX_BYTES = 32 * 2**20
_KEPT = "le, reason, stage, state, partition, name, version, provider, precision"
_NAMES = (
    "process_start_time_seconds",
    "seedstream_dead_letters_total",
    "seedstream_result_latency_seconds_bucket",
    "seedstream_frames_dropped_total",
    "seedstream_frames_processed_total",
    "seedstream_frames_published_total",
    "seedstream_frames_skipped_total",
    "seedstream_lag_records",
    "seedstream_lag_seconds",
    "seedstream_model_info",
    "seedstream_publish_seconds_bucket",
    "seedstream_sends_in_flight",
    "seedstream_stage_time_seconds_total",
)


class PrometheusError(Exception):
    """Prometheus does not answer as it should."""


def looks(
    url: str, now: float, wall_now: float, before_seconds: float = BEFORE_SECONDS
) -> dict[str, tuple[Look, Look]]:
    """Return two looks at each process that Prometheus knows, some time ago and now.

    Args:
        url: Where Prometheus is; may hold user and password.
        now: Monotonic seconds.
        wall_now: Seconds since 1970.
        before_seconds: How long ago the first look was.

    Raises:
        PrometheusError: It does not answer, or not as Prometheus does.
    """
    names = "|".join(_NAMES)
    query = f'sum by (__name__, instance, {_KEPT}) ({{__name__=~"{names}"}})'
    before = _ask(url, query, wall_now - before_seconds)
    after = _ask(url, query, wall_now)
    return {
        instance: (
            Look(now - before_seconds, before.get(instance)),
            Look(now, samples),
        )
        for instance, samples in sorted(after.items())
    }


def _ask(url: str, query: str, moment: float) -> dict[str, Samples]:
    form = urllib.parse.urlencode({"query": query, "time": f"{moment:.3f}"})
    try:
        answer = json.loads(_fetch(url, form))
        return _by_instance(answer["data"]["result"])
    except urllib.error.HTTPError as error:
        raise PrometheusError(f"it answers with status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise PrometheusError("it does not answer") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PrometheusError("what answers is no Prometheus") from error


def _by_instance(series: Iterable[Any]) -> dict[str, Samples]:
    found: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]] = {}
    for each in series:
        labels = {str(name): str(value) for name, value in each["metric"].items()}
        name, instance = labels.pop("__name__"), labels.pop("instance", "")
        value = float(each["value"][1])
        found.setdefault(instance, {})[name, frozenset(labels.items())] = value
    return {instance: Samples(values) for instance, values in found.items()}


def _fetch(url: str, form: str) -> bytes:
    """Send a form; user and password of the URL go into a header."""
    parts = urllib.parse.urlsplit(url)
    user, at, where = parts.netloc.rpartition("@")
    address = parts._replace(netloc=where, path=f"{parts.path.rstrip('/')}/api/v1/query").geturl()
    request = urllib.request.Request(address, form.encode())
    if at:
        secret = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    # No proxy: Prometheus is asked where it is, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_ANSWER_SECONDS) as reply:
        return bytes(reply.read(_MAX_BYTES))
