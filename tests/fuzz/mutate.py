"""Wounded copies of sound inputs, quickly: the engine of the fuzzing loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

# What parsers stumble over: limits of numbers and lengths, marks of their grammars, broken text.
TOKENS = (
    *(b"", b"\0", b"\r\n", b"\n", b"\xff\xfe", b"\xed\xa0\x80", b"%00", b"..", b"{{", b"}}"),
    *(b'"', b"'", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"Infinity"),
    *(b"0", b"-1", b"1e999", b"-0.0", b"1e-400", b"9" * 25, b"9" * 5000, b"0x1", b"\xd9\xa3"),
    *(b'"\\ud800"', b"\\u0000", b"[" * 3000, b'{"a":' * 3000, b"-" * 70, b" " * 70),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\0\0\0\0", b"\x00\x01"),
    *(b"chunked", b"gzip", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"&a ", b"*a", b"<<: ", b"!!python/object ", b"- ", b"? ", b"|", b">", b"#", b"---\n"),
)


def wounded(chance: Random, seeds: Sequence[bytes], longest: int = 20_000) -> bytes:
    """Return a copy of one seed with one to four wounds."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        at = chance.randrange(len(data) + 1)
        chance.choice(_WOUNDS)(data, at, chance, seeds)
    return bytes(data[:longest])


Wound = Callable[[bytearray, int, Random, Sequence[bytes]], None]


def _flip(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    if at < len(data):
        data[at] ^= 1 << chance.randrange(8)


def _byte(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    data[at : at + 1] = bytes([chance.randrange(256)])


def _cut(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    del data[at : at + chance.choice((1, 2, 4, 8, 30, 200))]


def _end(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    del data[at:]


def _double(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    data[at:at] = data[at : at + chance.choice((1, 4, 16, 100))]


def _token(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    data[at : at + chance.choice((0, 0, 1, 4, 8))] = chance.choice(TOKENS)


def _graft(data: bytearray, at: int, chance: Random, seeds: Sequence[bytes]) -> None:
    other = chance.choice(seeds)
    start = chance.randrange(len(other) + 1)
    data[at : at + chance.randrange(40)] = other[start : start + chance.randrange(60)]


_WOUNDS: tuple[Wound, ...] = (_flip, _byte, _cut, _end, _double, _token, _token, _graft)
