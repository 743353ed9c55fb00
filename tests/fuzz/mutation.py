"""Inputs out of inputs: bytes flipped, cut, copied, spliced, repeated, numbers replaced."""

import random
import re
from collections.abc import Callable, Sequence

_NUMBERS = re.compile(rb"-?\d+(?:\.\d+)?")

_NUMBER_TEXTS = (
    b"0", b"-0", b"-1", b"1", b"255", b"256", b"65535", b"65536", b"2147483647", b"2147483648",
    b"-2147483649", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"1e308",
    b"1e999", b"-1e999", b"1e-999", b"NaN", b"Infinity", b"0.1", b"1_000", b"0x10", b"9" * 5000,
    b"\xd9\xa3",
)  # fmt: skip
"""The last one is a digit of another script (Arabic-Indic three)."""

_TEXTS = (
    b"", b"null", b"true", b"[]", b"{}", b'""', b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b'"\\ud800"', b"\xe2\x80\xa8", b"\r\n", b"%s", b"../",
)  # fmt: skip
_REPEATS = (2, 3, 16, 300, 3000)
_REPEATED = (b"[", b"{", b'{"a":', b"(", b"- ", b"a: ", b" ", b"\n", b"a", b"0", b"\xff")


class Mutator:
    """Makes inputs out of inputs.

    Args:
        random: Decides everything.
        dictionary: Words of the format.
        most_bytes: Longest input.
    """

    def __init__(self, random: random.Random, dictionary: Sequence[bytes], most_bytes: int) -> None:
        self._random = random
        self._words = (*dictionary, *_TEXTS)
        self._most = most_bytes
        self._ways: tuple[Callable[[bytes, bytes], bytes], ...] = (
            self._flip, self._flip, self._set, self._number, self._number, self._binary,
            self._remove, self._copy, self._word, self._word, self._splice, self._repeat, self._cut,
        )  # fmt: skip

    def mutate(self, data: bytes, other: bytes) -> bytes:
        """Return ``data`` after one or a few changes, some of them taken from ``other``."""
        for _ in range(min(1 + int(self._random.expovariate(0.7)), 12)):
            data = self._random.choice(self._ways)(data, other)[: self._most]
        return data

    def _place(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _part(self, data: bytes) -> tuple[int, int]:
        start = self._place(data)
        length = min(int(self._random.expovariate(1 / 12)) + 1, len(data))
        return start, min(start + length, len(data))

    def _flip(self, data: bytes, _: bytes) -> bytes:
        if not data:
            return data
        at = self._random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self._random.randrange(8)]) + data[at + 1 :]

    def _set(self, data: bytes, _: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes([self._random.randrange(256)]) + data[at + 1 :]

    def _number(self, data: bytes, other: bytes) -> bytes:
        found = list(_NUMBERS.finditer(data[:20_000]))
        if not found:
            return self._set(data, other)
        match, text = self._random.choice(found), self._random.choice(_NUMBER_TEXTS)
        return data[: match.start()] + text + data[match.end() :]

    def _binary(self, data: bytes, _: bytes) -> bytes:
        size = self._random.choice((1, 2, 4, 8))
        top = 1 << 8 * size
        value = self._random.choice((0, 1, top // 2 - 1, top // 2, top - 1, 0x10 % top))
        at = self._place(data)
        order = self._random.choice(("big", "little"))
        return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]

    def _remove(self, data: bytes, _: bytes) -> bytes:
        start, end = self._part(data)
        return data[:start] + data[end:]

    def _copy(self, data: bytes, _: bytes) -> bytes:
        (start, end), at = self._part(data), self._place(data)
        return data[:at] + data[start:end] + data[at:]

    def _word(self, data: bytes, _: bytes) -> bytes:
        at, end = self._part(data)
        if self._random.random() < 0.5:
            end = at
        return data[:at] + self._random.choice(self._words) + data[end:]

    def _splice(self, data: bytes, other: bytes) -> bytes:
        return data[: self._place(data)] + other[self._place(other) :]

    def _repeat(self, data: bytes, _: bytes) -> bytes:
        at, times = self._place(data), self._random.choice(_REPEATS)
        start, end = self._part(data)
        part = self._random.choice((*_REPEATED, data[start:end]))
        return data[:at] + (part * times)[: self._most] + data[at:]

    def _cut(self, data: bytes, _: bytes) -> bytes:
        return data[: self._place(data)]
