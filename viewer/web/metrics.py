"""Metrics of the live page.

Library: prometheus-client.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_AGES = (0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 2.0, 5.0, 10.0, 30.0)


class ViewMetrics:
    """What the live page counts. None has a label for a camera or a user.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pages = Gauge("seedstream_view_pages", "Pages that are open.", registry=registry)
        self.watched = Gauge(
            "seedstream_view_cameras_watched",
            "Cameras that at least one page shows.",
            registry=registry,
        )
        self.pictures_read = Counter(
            "seedstream_view_pictures_read",
            "Pictures read from Redis, each once for all pages.",
            registry=registry,
        )
        self.pictures_sent = Counter(
            "seedstream_view_pictures_sent", "Pictures sent to pages.", registry=registry
        )
        self.bytes_sent = Counter(
            "seedstream_view_sent_bytes", "Bytes of the pictures sent to pages.", registry=registry
        )
        self.overtaken = Counter(
            "seedstream_view_pictures_overtaken",
            "Pictures that a page was not sent because a newer one of the camera came first.",
            registry=registry,
        )
        self.age = Histogram(
            "seedstream_view_picture_age_seconds",
            "Time from the result to the picture's sending, by the clocks of worker and viewer, in "
            "seconds.",
            buckets=_AGES,
            registry=registry,
        )
        self.redis_connected = Gauge(
            "seedstream_redis_connected", "1 while Redis answers, else 0.", registry=registry
        )
        self.logins = Counter(
            "seedstream_view_logins",
            "Tries to log in, by outcome: accepted, refused (name or password), limited (too "
            "many).",
            ["outcome"],
            registry=registry,
        )
        self.refused = Counter(
            "seedstream_view_refused",
            "Requests refused, by reason: unknown (nobody logged in, no valid token), origin (of "
            "another site), busy (too many at once).",
            ["reason"],
            registry=registry,
        )
        self.stills = Counter(
            "seedstream_view_stills",
            "Stills served, by kind: drawn, plain, full.",
            ["kind"],
            registry=registry,
        )
        self.streams = Gauge(
            "seedstream_view_streams", "MJPEG streams that are open.", registry=registry
        )
