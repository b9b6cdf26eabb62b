"""HTTP/1.1 answers by the letter: what is read, what is refused, and what ends the connection.

Each case names its section: of RFC 9112 (HTTP/1.1), or of RFC 9110 (HTTP semantics) where it says
so. What our own server does with such requests stands in ``tests/web/test_rfc9112.py``.
"""

from __future__ import annotations

from typing import Final

import pytest

from exporter.http.response import ParsedResponse, ResponseError

OK: Final = b"HTTP/1.1 200 OK\r\n"
ZERO: Final = b"Content-Length: 0\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"

# Section, answer, and what is read: status, body, whether the connection may go on.
READ: Final[list[tuple[str, bytes, tuple[int, bytes, bool]]]] = [
    ("2.3", b"HTTP/1.0 200 OK\r\n" + ZERO, (200, b"", False)),
    ("4", b"HTTP/1.1 200 \r\n" + ZERO, (200, b"", True)),
    ("4 (no reason, no space: as servers send it)", b"HTTP/1.1 200\r\n" + ZERO, (200, b"", True)),
    ("4 (obs-text in the reason)", b"HTTP/1.1 404 \xe9\r\n" + ZERO, (404, b"", True)),
    ("RFC 9110, 15 (a code nobody defined)", b"HTTP/1.1 299 x\r\n" + ZERO, (299, b"", True)),
    ("RFC 9110, 15", b"HTTP/1.1 599 x\r\n" + ZERO, (599, b"", True)),
    ("5 (name in any case)", OK + b"cOnTeNt-LeNgTh: 1\r\n\r\nx", (200, b"x", True)),
    ("5.1 (no space)", OK + b"Content-Length:1\r\n\r\nx", (200, b"x", True)),
    ("5.1 (spaces and tabs)", OK + b"Content-Length:\t 1 \t\r\n\r\nx", (200, b"x", True)),
    ("5.2 (folded)", OK + b"X: a\r\n  b\r\n" + ZERO, (200, b"", True)),
    ("5.2 (folded by a tab)", OK + b"X: a\r\n\tb\r\n" + ZERO, (200, b"", True)),
    ("6.1", OK + CHUNKED + b"1\r\nx\r\n0\r\n\r\n", (200, b"x", True)),
    ("6.1 (any case)", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", (200, b"", True)),
    (
        "6.1 (a coding in HTTP/1.0 ends the connection)",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
        (200, b"x", False),
    ),
    (
        "6.3, 3 (a coding and a length end the connection)",
        OK + b"Content-Length: 3\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
        (200, b"x", False),
    ),
    ("6.3, 1 (204)", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    ("6.3, 1 (304)", b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", (304, b"", True)),
    ("6.3, 5 (the same length twice)", OK + b"Content-Length: 1, 1\r\n\r\nx", (200, b"x", True)),
    (
        "6.3, 5 (in two lines)",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        (200, b"x", True),
    ),
    ("7.1 (leading zeros)", OK + CHUNKED + b"0001\r\nx\r\n000\r\n\r\n", (200, b"x", True)),
    ("7.1 (hex)", OK + CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", (200, b"0123456789", True)),
    ("7.1 (upper)", OK + CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", (200, b"0123456789", True)),
    ("7.1.1 (extension)", OK + CHUNKED + b'1;a="b;c"\r\nx\r\n0\r\n\r\n', (200, b"x", True)),
    ("7.1.1 (space before it)", OK + CHUNKED + b"1 ;a\r\nx\r\n0 ;b\r\n\r\n", (200, b"x", True)),
    ("7.1.2", OK + CHUNKED + b"0\r\nX: y\r\nZ: w\r\n\r\n", (200, b"", True)),
    ("9.3", OK + b"Connection: close\r\n" + ZERO, (200, b"", False)),
    ("9.3 (one option of several)", OK + b"Connection: x, Close\r\n" + ZERO, (200, b"", False)),
    ("9.3 (an option of another name)", OK + b"Connection: closed\r\n" + ZERO, (200, b"", True)),
    (
        "9.3 (HTTP/1.0 that stays)",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + ZERO,
        (200, b"", True),
    ),
    (
        "9.3 (close outweighs keep-alive)",
        OK + b"Connection: keep-alive, close\r\n" + ZERO,
        (200, b"", False),
    ),
    ("9.2 (more than the answer)", OK + ZERO + b"HTTP/1.1 200 OK\r\n", (200, b"", False)),
    ("RFC 9110, 15.2", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + ZERO, (200, b"", True)),
    ("RFC 9110, 15.2 (unknown)", b"HTTP/1.1 199 x\r\nA: b\r\n\r\n" + OK + ZERO, (200, b"", True)),
    ("RFC 9110, 15.2", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + OK + ZERO, (200, b"", True)),
]  # fmt: skip

# Section, answer, and a word of the refusal.
REFUSED: Final[list[tuple[str, bytes, str]]] = [
    ("2.2 (bare LF)", b"HTTP/1.1 200 OK\n" + ZERO, "line feed"),
    ("2.2 (bare LF in a header)", OK + b"X: y\n" + ZERO, "line feed"),
    ("2.2 (bare CR)", OK + b"X: a\rb\r\n" + ZERO, "carriage return"),
    ("2.2 (bare CR in the status line)", b"HTTP/1.1 200 O\rK\r\n" + ZERO, "carriage return"),
    ("2.2 (CR before the end)", OK + b"X: a\r\r\n" + ZERO, "carriage return"),
    ("2.2 (CR at the end)", OK + b"X: a\r\r\n\r\n", "carriage return"),
    ("2.2 (space before the first header)", OK + b" X: y\r\n" + ZERO, "no header"),
    ("2.3 (no version of ours)", b"HTTP/2.0 200 OK\r\n" + ZERO, "no HTTP"),
    ("2.3 (case)", b"http/1.1 200 OK\r\n" + ZERO, "no HTTP"),
    ("2.3 (two digits)", b"HTTP/1.10 200 OK\r\n" + ZERO, "status line"),
    ("4 (two spaces)", b"HTTP/1.1  200 OK\r\n" + ZERO, "status line"),
    ("4 (a tab)", b"HTTP/1.1\t200 OK\r\n" + ZERO, "status line"),
    ("4 (two digits)", b"HTTP/1.1 20 OK\r\n" + ZERO, "status line"),
    ("4 (four digits)", b"HTTP/1.1 2000 OK\r\n" + ZERO, "status code"),
    ("4 (a sign)", b"HTTP/1.1 +20 OK\r\n" + ZERO, "status line"),
    ("4 (other digits)", "HTTP/1.1 2²0 OK\r\n".encode("latin-1") + ZERO, "status line"),
    ("4 (nothing before it)", b"\r\n" + OK + ZERO, "no HTTP"),
    ("RFC 9110, 15 (below 100)", b"HTTP/1.1 099 x\r\n" + ZERO, "status code"),
    ("RFC 9110, 15 (above 599)", b"HTTP/1.1 600 x\r\n" + ZERO, "status code"),
    ("RFC 9110, 15", b"HTTP/1.1 000 x\r\n" + ZERO, "status code"),
    ("RFC 9110, 7.8 (unasked)", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not requested"),
    ("RFC 9110, 15.2 (too many)", b"HTTP/1.1 100 x\r\n\r\n" * 21 + OK + ZERO, "interim"),
    ("5.1 (space before the colon)", OK + b"X : y\r\n" + ZERO, "no header"),
    ("5.1 (tab before the colon)", OK + b"X\t: y\r\n" + ZERO, "no header"),
    ("5.1 (space in the name)", OK + b"X Y: z\r\n" + ZERO, "no header"),
    ("5.1 (no colon)", OK + b"XYZ\r\n" + ZERO, "no header"),
    ("5.1 (no name)", OK + b": y\r\n" + ZERO, "no header"),
    ("RFC 9110, 5.6.2 (no token)", OK + b"X(Y): z\r\n" + ZERO, "no header"),
    ("RFC 9110, 5.6.2 (obs-text)", OK + b"\xe9: z\r\n" + ZERO, "no header"),
    ("RFC 9110, 5.5 (NUL in a value)", OK + b"X: a\0b\r\n" + ZERO, "NUL"),
    ("RFC 9110, 5.5 (NUL in a name)", OK + b"X\0: a\r\n" + ZERO, "NUL"),
    ("RFC 9110, 5.5 (NUL in the reason)", b"HTTP/1.1 200 \0\r\n" + ZERO, "NUL"),
    ("6.1 (another coding)", OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer coding"),
    ("6.1 (twice)", OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n", "transfer coding"),
    ("6.1 (not the last)", OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n", "transfer coding"),
    ("6.1 (a parameter)", OK + b"Transfer-Encoding: chunked;a=b\r\n\r\n", "transfer coding"),
    ("6.1 (none)", OK + b"Transfer-Encoding:\r\n\r\n", "transfer coding"),
    ("6.1 (vertical tab)", OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n", "transfer coding"),
    ("6.3, 5 (two lengths)", OK + b"Content-Length: 1, 2\r\n\r\nx", "content length"),
    ("6.3, 5 (a sign)", OK + b"Content-Length: +1\r\n\r\nx", "content length"),
    ("6.3, 5 (negative)", OK + b"Content-Length: -1\r\n\r\n", "content length"),
    ("6.3, 5 (none)", OK + b"Content-Length:\r\n\r\n", "content length"),
    ("6.3, 5 (hex)", OK + b"Content-Length: 0x1\r\n\r\nx", "content length"),
    ("6.3, 5 (a space within)", OK + b"Content-Length: 1 1\r\n\r\nx", "content length"),
    ("6.3, 5 (folded)", OK + b"Content-Length: 1\r\n 1\r\n\r\nx", "content length"),
    ("6.2 (too large)", OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", "content length"),
    ("7.1 (no number)", OK + CHUNKED + b"x\r\n", "chunk size"),
    ("7.1 (none)", OK + CHUNKED + b"\r\n", "chunk size"),
    ("7.1 (a space before it)", OK + CHUNKED + b" 1\r\nx\r\n", "chunk size"),
    ("7.1 (0x)", OK + CHUNKED + b"0x1\r\nx\r\n", "chunk size"),
    ("7.1 (an underscore)", OK + CHUNKED + b"1_0\r\n", "chunk size"),
    ("7.1 (a sign)", OK + CHUNKED + b"+1\r\nx\r\n", "chunk size"),
    ("7.1 (too large)", OK + CHUNKED + b"f" * 16 + b"\r\n", "chunk size"),
    ("7.1 (longer than it said)", OK + CHUNKED + b"1\r\nxy\r\n", "longer"),
    ("7.1 (bare LF)", OK + CHUNKED + b"1\nx\n0\n\n", "line feed"),
    ("7.1.1 (bare CR in an extension)", OK + CHUNKED + b"1;a\rb\r\nx\r\n", "carriage return"),
    ("7.1.1 (an endless extension)", OK + CHUNKED + b"1;" + b"x" * 5000, "too long"),
    ("7.1.2 (no header)", OK + CHUNKED + b"0\r\nXYZ\r\n\r\n", "no header"),
    ("7.1.2 (folded)", OK + CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", "no header"),
    ("7.1.2 (bare LF)", OK + CHUNKED + b"0\r\nX: y\n\r\n", "line feed"),
    ("7.1.2 (too many)", OK + CHUNKED + b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", "trailers"),
]

# Section, and an answer that the connection's end cuts short.
CUT: Final[list[tuple[str, bytes]]] = [
    ("8 (in the head)", OK + b"Content-Length: 5\r\n"),
    ("8 (in a body of known length)", OK + b"Content-Length: 5\r\n\r\nhell"),
    ("8 (in a chunk)", OK + CHUNKED + b"5\r\nhell"),
    ("8 (before the last chunk)", OK + CHUNKED + b"5\r\nhello\r\n"),
    ("8 (in the trailers)", OK + CHUNKED + b"0\r\nX: y\r\n"),
    ("8 (after an interim answer)", b"HTTP/1.1 100 Continue\r\n\r\n"),
]


def _fed(data: bytes, step: int) -> ParsedResponse:
    response = ParsedResponse("GET", 1000)
    for at in range(0, len(data), step):
        if response.done:  # what comes later is seen when the connection is used next
            break
        response.feed(data[at : at + step])
    return response


@pytest.mark.parametrize(("section", "data", "expected"), READ)
def test_what_the_standard_allows_is_read(
    section: str, data: bytes, expected: tuple[int, bytes, bool]
) -> None:
    """All of it at once, and byte by byte."""
    whole = _fed(data, len(data))
    assert (whole.status, whole.body, whole.reusable) == expected, section
    pieces = _fed(data, 1)
    assert (pieces.status, pieces.body) == expected[:2], section


@pytest.mark.parametrize(("section", "data", "why"), REFUSED)
@pytest.mark.parametrize("step", [1, 100_000])
def test_what_it_forbids_is_refused(section: str, data: bytes, why: str, step: int) -> None:
    """With the reason in the evidence, however it arrives."""
    with pytest.raises(ResponseError, match=why):
        _fed(data, step)


@pytest.mark.parametrize(("section", "data"), CUT)
def test_what_is_cut_short_is_no_answer(section: str, data: bytes) -> None:
    """An answer is whole or none."""
    response = _fed(data, 7)
    assert not response.done, section
    with pytest.raises(ResponseError, match="the connection ended"):
        response.end()


def test_folded_headers_are_joined_by_a_space() -> None:
    """Section 5.2: a user agent replaces each fold by spaces."""
    response = _fed(OK + b"X: a\r\n\t b \r\n  c\r\nY:\r\n d\r\n" + ZERO, 3)
    assert response.headers == {"x": "a b c", "y": "d", "content-length": "0"}
