"""What this machine's processor can do."""

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor_features(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the first processor's features, as Linux names them; none where it does not tell."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, ARM
            return frozenset(value.split())
    return frozenset()
