"""HTTP/1.1 requests by the letter, to our own server over real sockets.

Each case names its section: of RFC 9112 (HTTP/1.1), or of RFC 9110 (HTTP semantics).
"""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from exporter.web.routes import Request, Response, text_reply
from exporter.web.server import Server

HOST: Final = b"Host: x\r\n"
END: Final = b"\r\n"


def _get(line: bytes = b"GET / HTTP/1.1\r\n", headers: bytes = HOST) -> bytes:
    return line + headers + END


def _post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + HOST + headers + END + body


CODED: Final = b"Transfer-Encoding: chunked\r\n"

# Section, request, and the statuses of the answers, before the server closes or waits for more.
CASES: Final[list[tuple[str, bytes, list[int]]]] = [
    ("3", _get(), [200]),
    ("3.2.2 (absolute form)", _get(b"GET http://x/ HTTP/1.1\r\n"), [200]),
    ("2.2 (an empty line before it)", b"\r\n" + _get(), [200]),
    ("2.3 (HTTP/1.0)", b"GET / HTTP/1.0\r\n\r\n", [200]),
    ("9.3.2 (two in one packet)", _get() + _get(), [200, 200]),
    ("9.6 (close)", _get(headers=HOST + b"Connection: close\r\n"), [200]),
    ("9.6 (more after close)", _get(headers=HOST + b"Connection: close\r\n") + _get(), [400]),
    ("6.3", _post(b"Content-Length: 2\r\n", b"ok") + _get(), [200, 200]),
    ("7.1", _post(CODED, b"2\r\nok\r\n0\r\n\r\n") + _get(), [200, 200]),
    ("7.1.1", _post(CODED, b"2;a=b\r\nok\r\n0\r\n\r\n") + _get(), [200, 200]),
    ("7.1.2", _post(CODED, b"0\r\nX: y\r\n\r\n") + _get(), [200, 200]),
    ("2.2 (bare CR)", _get(headers=HOST + b"X: a\rb\r\n"), [400]),
    ("2.2 (space before the first header)", _get(headers=b" " + HOST), [400]),
    ("2.3 (two digits)", _get(b"GET / HTTP/1.10\r\n"), [400]),
    ("2.3 (HTTP/2.0)", _get(b"GET / HTTP/2.0\r\n"), [505]),
    ("2.3 (case)", _get(b"GET / http/1.1\r\n"), [400]),
    ("3 (no version)", _get(b"GET /\r\n"), [505]),
    ("3 (no target)", _get(b"GET HTTP/1.1\r\n"), [400]),
    ("3.1 (no token)", _get(b"G(T / HTTP/1.1\r\n"), [400]),
    ("3 (TLS to a plain port)", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + END + END, [400]),
    ("5.1 (space before the colon)", _get(headers=HOST + b"X : y\r\n"), [400]),
    ("5.1 (space in the name)", _get(headers=HOST + b"X Y: z\r\n"), [400]),
    ("5.1 (no colon)", _get(headers=HOST + b"XYZ\r\n"), [400]),
    ("5.1 (no name)", _get(headers=HOST + b": y\r\n"), [400]),
    ("5.2 (folded)", _get(headers=HOST + b"X: a\r\n b\r\n"), [400]),
    ("RFC 9110, 5.5 (NUL)", _get(headers=HOST + b"X: a\0b\r\n"), [400]),
    ("6.1 (another coding)", _post(b"Transfer-Encoding: gzip\r\n"), [400]),
    ("6.1 (not the last)", _post(b"Transfer-Encoding: chunked, gzip\r\n"), [400]),
    ("6.1 (twice)", _post(CODED + CODED, b"0\r\n\r\n"), [400]),
    ("6.1 (with a length)", _post(CODED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), [400]),
    ("6.3 (two lengths)", _post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"), [400]),
    ("6.3 (a sign)", _post(b"Content-Length: +1\r\n", b"a"), [400]),
    ("6.3 (negative)", _post(b"Content-Length: -1\r\n"), [400]),
    ("6.3 (hex)", _post(b"Content-Length: 0x1\r\n", b"a"), [400]),
    ("6.3 (an underscore)", _post(b"Content-Length: 1_0\r\n", b"a" * 10), [400]),
    ("7.1 (no number)", _post(CODED, b"x\r\n"), [400]),
    ("7.1 (a sign)", _post(CODED, b"+1\r\na\r\n0\r\n\r\n"), [400]),
    ("7.1 (longer than it said)", _post(CODED, b"1\r\nab\r\n0\r\n\r\n"), [400]),
    ("RFC 9110, 9.1 (unknown)", _get(b"BREW / HTTP/1.1\r\n"), [400]),
    ("RFC 9110, 9.3.6 (CONNECT)", b"CONNECT x:443 HTTP/1.1\r\n" + HOST + END, [404]),
    ("RFC 9110, 9.3.8 (TRACE)", _get(b"TRACE / HTTP/1.1\r\n"), [405]),
    ("RFC 9110, 15.5.15 (target too long)", _get(b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n"), [414]),
    ("RFC 6585, 5 (header too large)", _get(headers=HOST + b"X: " + b"a" * 20_000 + END), [400]),
]


async def _body(request: Request) -> Response:
    return text_reply(request.body.decode("latin-1"))


async def _statuses(sent: bytes, count: int) -> list[int]:
    """Return the statuses of the answers: as many as are expected, and what came with them."""
    got = b""
    async with Server("127.0.0.1:0", {"/": _body, "POST /": _body}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        async with asyncio.timeout(30):
            while len(_parsed(got)) < count and (piece := await reader.read(65536)):
                got += piece
        writer.close()
    return _parsed(got)


def _parsed(got: bytes) -> list[int]:
    found = []
    while b"\r\n\r\n" in got:
        head, _, rest = got.partition(b"\r\n\r\n")
        found.append(int(head[9:12]))
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        got = rest[length:]
    return found


@pytest.mark.parametrize(("section", "sent", "statuses"), CASES)
def test_requests_by_the_letter(section: str, sent: bytes, statuses: list[int]) -> None:
    """What the standard allows is answered; what it forbids is refused, and never 500."""
    assert asyncio.run(_statuses(sent, len(statuses))) == statuses, section
