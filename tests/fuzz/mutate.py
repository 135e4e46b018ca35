"""New inputs made of old ones: bytes changed in the ways that parsers get wrong. Chance comes from one generator."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

NUMBERS = (
    b"0", b"1", b"-1", b"7", b"127", b"255", b"256", b"65535", b"65536", b"2147483647", b"2147483648", b"4294967296",
    b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"1" * 30,
    b"9" * 5_000, b"1e9", b"1e400", b"-1e-400", b"0x10", b"0o7", b"+1", b" 1", b"1_000", b"nan", b"-inf", b"0.1",
    "\u0663".encode(), "\u00b2".encode(),
)  # fmt: skip
TEXTS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\t", b" ", b"\x0b", b"\x1b[2J", b"\x7f", b"\x85", b"\xff", b"\xc0\xaf",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xc4\xb0",
    b"\xef\xbc\x8f",
    b"..", b"../..", b"/etc/passwd", b"/", b"//", b".", b"~", b"~root", b"~nobody-there", b"%", b"%00", b"%2e%2e%2f",
    b"%ff", b"%s", b"%n", b"'", b'"', b"\\", b"\\u0000", b"\\ud800", b"${HOME}", b"$(id)", b"{}", b"[]", b"{", b"[",
    b"]",
    b"}", b"null", b"true", b"*", b"?", b"#", b":", b";", b",", b"&", b"|", b"=", b"@", b"-", b"--",
)  # fmt: skip
LARGE = (b"x" * 300, b"x" * 5_000, b"/x" * 700, b"[" * 1_500, b'{"a":' * 1_500, b" " * 9_000, b"a,", b"\xc3\xa9" * 600)
_NUMBER = re.compile(rb"-?[0-9]+")
_MOST_STEPS = 6
_LARGE_ONCE_IN = 12


class Mutator:
    """Makes inputs of at most so many bytes. ``tokens`` are the words of the language that the inputs are in."""

    def __init__(self, chance: random.Random, tokens: Sequence[bytes], most_bytes: int) -> None:
        self._chance = chance
        self._tokens = tuple(tokens) or TEXTS
        self._most_bytes = most_bytes
        self._ways: tuple[Callable[[bytes, Sequence[bytes]], bytes], ...] = (
            self._flip, self._insert, self._insert, self._replace, self._replace, self._remove, self._remove,
            self._repeat,
            self._cut, self._splice, self._renumber, self._renumber, self._swap, self._byte,
        )  # fmt: skip

    def mutated(self, given: bytes, others: Sequence[bytes]) -> bytes:
        """``given``, changed in one place or a few; parts of ``others`` may come in."""
        made = given
        for _ in range(self._chance.randint(1, _MOST_STEPS)):
            made = self._chance.choice(self._ways)(made, others)[: self._most_bytes]
        return made

    def _token(self) -> bytes:
        chance = self._chance
        if chance.randrange(_LARGE_ONCE_IN) == 0:
            return chance.choice(LARGE)
        return chance.choice(chance.choice((self._tokens, self._tokens, TEXTS, NUMBERS)))

    def _span(self, given: bytes) -> tuple[int, int]:
        """Where something begins and ends; mostly short."""
        begin = self._chance.randint(0, len(given))
        length = self._chance.choice((1, 1, 2, 4, 8, 32, 256, len(given)))
        return begin, min(len(given), begin + self._chance.randint(0, length))

    def _flip(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        if not given:
            return b"\0"
        at = self._chance.randrange(len(given))
        return given[:at] + bytes([given[at] ^ (1 << self._chance.randrange(8))]) + given[at + 1 :]

    def _byte(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        at = self._chance.randint(0, len(given))
        return (
            given[:at]
            + bytes([self._chance.choice((0, 1, 0x7F, 0x80, 0xFF, self._chance.randrange(256)))])
            + given[at + 1 :]
        )

    def _insert(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        at = self._chance.randint(0, len(given))
        return given[:at] + self._token() + given[at:]

    def _replace(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        begin, end = self._span(given)
        return given[:begin] + self._token() + given[end:]

    def _remove(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        begin, end = self._span(given)
        return given[:begin] + given[end:]

    def _repeat(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        begin, end = self._span(given)
        times = self._chance.choice((2, 2, 3, 10, 200))
        return given[:end] + given[begin:end] * times + given[end:]

    def _cut(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        return given[: self._chance.randint(0, len(given))]

    def _splice(self, given: bytes, others: Sequence[bytes]) -> bytes:
        if not others:
            return given
        other = self._chance.choice(others)
        begin, end = self._span(given)
        from_, to = self._span(other)
        return given[:begin] + other[from_:to] + given[end:]

    def _renumber(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        found = list(_NUMBER.finditer(given[:20_000]))
        if not found:
            return self._insert(given, ())
        place = self._chance.choice(found)
        return given[: place.start()] + self._chance.choice(NUMBERS) + given[place.end() :]

    def _swap(self, given: bytes, _others: Sequence[bytes]) -> bytes:
        a, b, c, d = sorted(self._chance.randint(0, len(given)) for _ in range(4))
        return given[:a] + given[c:d] + given[b:c] + given[a:b] + given[d:]
