"""Text from strangers, fit for a terminal."""


def printable(text: str, most: int | None = None) -> str:
    """Return text that a terminal takes as text alone, at most so many characters of it."""
    safe = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return safe if most is None or len(safe) <= most else safe[: most - 3] + "..."
