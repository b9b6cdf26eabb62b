"""WebSocket frames by the letter of RFC 6455: each case names its section."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError
from exporter.model import Lost
from exporter.websocket.client import connect
from tests.websocket.servers import collect, loss, raw, run, upgrade

LONG: Final = b"x" * 126
LONGER: Final = b"x" * 65536

# Section, frames, and the messages they are.
READ: Final[list[tuple[str, bytes, list[bytes]]]] = [
    ("5.6 (text)", b"\x81\x02ok", [b"ok"]),
    ("5.6 (binary, any bytes)", b"\x82\x02\xff\xfe", [b"\xff\xfe"]),
    ("5.6 (empty)", b"\x81\x00\x81\x01x", [b"", b"x"]),
    ("5.2 (125 bytes)", b"\x81\x7d" + b"x" * 125, [b"x" * 125]),
    ("5.2 (126 bytes)", b"\x81\x7e\x00\x7e" + LONG, [LONG]),
    ("5.2 (65535 bytes)", b"\x81\x7e\xff\xff" + LONGER[:65535], [LONGER[:65535]]),
    ("5.2 (65536 bytes)", b"\x81\x7f" + (65536).to_bytes(8, "big") + LONGER, [LONGER]),
    ("5.4 (fragments)", b"\x01\x01a\x00\x01b\x80\x01c", [b"abc"]),
    ("5.4 (empty fragments)", b"\x01\x00\x00\x00\x80\x01c", [b"c"]),
    ("5.4 (a ping within)", b"\x01\x01a\x89\x01p\x80\x01b", [b"ab"]),
    ("5.5.3 (a pong that nobody asked for)", b"\x8a\x01p\x81\x01x", [b"x"]),
    ("5.5.2 (a ping of 125 bytes)", b"\x89\x7d" + b"p" * 125 + b"\x81\x01x", [b"x"]),
    ("8.1 (two bytes)", "\x81\x02é".encode("latin-1")[:2] + "é".encode(), ["é".encode()]),
    ("8.1 (four bytes)", b"\x81\x04\xf0\x9f\x98\x80", ["😀".encode()]),
    ("8.1 (a character cut by a fragment)", b"\x01\x01\xc3\x80\x01\xa9", ["é".encode()]),
    ("8.1 (a noncharacter)", b"\x81\x03\xef\xbf\xbf", [b"\xef\xbf\xbf"]),
]

# Section, frames, and the close code that we answer.
REFUSED: Final[list[tuple[str, bytes, int]]] = [
    ("5.1 (masked by a server)", b"\x81\x81\0\0\0\0x", 1002),
    ("5.2 (RSV1, not agreed)", b"\xc1\x01x", 1002),
    ("5.2 (RSV2)", b"\xa1\x01x", 1002),
    ("5.2 (RSV3)", b"\x91\x01x", 1002),
    ("5.2 (all of them)", b"\xf1\x01x", 1002),
    ("5.2 (RSV1 of a ping)", b"\xc9\x01x", 1002),
    ("5.2 (RSV1 of the rest)", b"\x01\x01x\xc0\x01y", 1002),
    *[(f"5.2 (opcode {code})", bytes([0x80 | code, 0]), 1002) for code in (3, 4, 5, 6, 7)],
    *[(f"5.2 (opcode {code})", bytes([0x80 | code, 0]), 1002) for code in range(11, 16)],
    ("5.2 (2 bytes for a length of 125)", b"\x81\x7e\x00\x7d" + b"x" * 125, 1002),
    ("5.2 (2 bytes for none)", b"\x81\x7e\x00\x00", 1002),
    ("5.2 (2 bytes, binary)", b"\x82\x7e\x00\x01x", 1002),
    ("5.2 (2 bytes, a fragment)", b"\x01\x7e\x00\x01x", 1002),
    ("5.2 (8 bytes for 65535)", b"\x81\x7f" + (65535).to_bytes(8, "big") + LONGER[:65535], 1002),
    ("5.2 (8 bytes for 1)", b"\x81\x7f\0\0\0\0\0\0\0\x01x", 1002),
    ("5.4 (the end of nothing)", b"\x80\x01x", 1002),
    ("5.4 (more of nothing)", b"\x00\x01x", 1002),
    ("5.4 (a text within a text)", b"\x01\x01a\x81\x01b", 1002),
    ("5.4 (a binary within a text)", b"\x01\x01a\x02\x01b", 1002),
    ("5.5 (a long ping)", b"\x89\x7e\x00\x7e" + LONG, 1002),
    ("5.5 (a ping in fragments)", b"\x09\x01p", 1002),
    ("5.5 (a pong in fragments)", b"\x0a\x01p", 1002),
    ("5.5 (a close in fragments)", b"\x08\x02\x03\xe8", 1002),
    ("5.5 (a long close)", b"\x88\x7e\x00\x7e\x03\xe8" + b"x" * 124, 1002),
    ("5.5.1 (half a code)", b"\x88\x01\x03", 1002),
    *[
        (f"7.4 (close code {code})", b"\x88\x02" + code.to_bytes(2, "big"), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65535)
    ],
    ("8.1 (a close reason that is no UTF-8)", b"\x88\x03\x03\xe8\xff", 1007),
    ("8.1 (a lone continuation)", b"\x81\x01\x80", 1007),
    ("8.1 (cut short)", b"\x81\x01\xc3", 1007),
    ("8.1 (overlong)", b"\x81\x02\xc0\xaf", 1007),
    ("8.1 (a surrogate)", b"\x81\x03\xed\xa0\x80", 1007),
    ("8.1 (beyond Unicode)", b"\x81\x04\xf4\x90\x80\x80", 1007),
    ("8.1 (Latin-1)", b"\x81\x03caf\x81\x01\xe9", 1007),
    ("8.1 (in the last fragment)", b"\x01\x01a\x80\x01\xff", 1007),
    ("8.1 (cut short by the end)", b"\x01\x01a\x80\x01\xc3", 1007),
    ("10.4 (a message beyond our bound)", b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1009),
    ("10.4 (a length with its highest bit)", b"\x82\x7f" + b"\xff" * 8, 1009),
]


async def _exchange(frames: bytes, count: int) -> tuple[list[bytes], ConnectionLostError, bytes]:
    """Send frames to a client; return its messages, why it ended, and all that it sent back."""
    sent = bytearray()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, frames)
        if count:
            writer.write(b"\x88\x02\x03\xe8")
        while piece := await reader.read(65536):
            sent.extend(piece)

    async with raw(script) as url:
        socket = await connect(url, clock=SystemClock(), close_timeout=0.02, ping_every=None)
        messages = await collect(socket, count) if count else []
        lost = await loss(socket)
        await socket.close()
    return messages, lost, bytes(sent)


def _close_code(sent: bytes) -> int:
    """Return the code of the close frame, all that we sent, masked as a client masks it (5.3)."""
    assert sent[0] == 0x88
    assert sent[1] & 0x80, "masked"
    mask, masked = sent[2:6], sent[6:8]
    return int.from_bytes(bytes(a ^ b for a, b in zip(masked, mask, strict=False)), "big")


@pytest.mark.parametrize(("section", "frames", "messages"), READ)
def test_what_the_standard_allows_is_read(
    section: str, frames: bytes, messages: list[bytes]
) -> None:
    """Messages arrive as they were sent, and the close after them is the server's."""
    got, lost, _ = run(_exchange(frames, len(messages)))
    assert got == messages, section
    assert (lost.reason, lost.code) == (Lost.SERVER_CLOSE, 1000), section


@pytest.mark.parametrize(("section", "frames", "code"), REFUSED)
def test_what_it_forbids_ends_the_connection(section: str, frames: bytes, code: int) -> None:
    """The other side is told why, by the close code that the standard has for it."""
    _, lost, sent = run(_exchange(frames, 0))
    assert (lost.reason, lost.code) == (Lost.PROTOCOL_ERROR, code), section
    assert _close_code(sent) == code, section
