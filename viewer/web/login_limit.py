"""How often somebody may try to log in: by address and by name, in bounded memory. Pure."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable


class Allowance:
    """So many tries at once for each key, then one in a while.

    Args:
        at_once: Tries at once.
        seconds: Until another try is allowed.
        max_keys: Keys that are remembered; the one that was used longest ago gives way.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        at_once: int,
        seconds: float,
        *,
        max_keys: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._seconds = seconds
        self._max_keys = max_keys
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_seconds(self, key: str) -> float:
        """Return how long to wait until a try is allowed; 0 if it is now."""
        missing = 1.0 - self._now_left(key)
        return 0.0 if missing <= 0 else missing * self._seconds

    def take(self, key: str) -> None:
        """Count a try."""
        self._left[key] = (self._now_left(key) - 1.0, self._clock())
        self._left.move_to_end(key)
        while len(self._left) > self._max_keys:
            self._left.popitem(last=False)

    def give_back(self, key: str) -> None:
        """Count a try that succeeded as none."""
        self._left[key] = (min(self._at_once, self._now_left(key) + 1.0), self._clock())

    def _now_left(self, key: str) -> float:
        left, at = self._left.get(key, (float(self._at_once), self._clock()))
        return min(float(self._at_once), left + (self._clock() - at) / self._seconds)


class LoginLimit:
    """Limits tries by address, and by name from all addresses together.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_address = Allowance(20, 6.0, clock=clock)
        self._by_name = Allowance(10, 15.0, clock=clock)

    def take(self, address: str, name: str) -> int:
        """Count a try; return how many seconds to wait where it is one too many, else 0."""
        where = network_of(address)
        wait = max(self._by_address.wait_seconds(where), self._by_name.wait_seconds(name))
        if wait > 0:
            return math.ceil(wait)
        self._by_address.take(where)
        self._by_name.take(name)
        return 0

    def succeeded(self, address: str, name: str) -> None:
        """Note that the last try was no failure."""
        self._by_address.give_back(network_of(address))
        self._by_name.give_back(name)


def network_of(address: str) -> str:
    """Return what one person has of addresses: one of IPv4, a /64 network of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
