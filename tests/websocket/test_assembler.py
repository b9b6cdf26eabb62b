"""Messages put together from frames: whole, fragmented, compressed, and bounded in every way."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode

from exporter.websocket.assembler import MessageAssembler, MessageError

TEXT, BINARY, MORE = 1, 2, 0
FINAL, COMPRESSED = 0x80, 0x40
LIMIT = 1 << 20


def _messages(limit: int = LIMIT, *, forgetful: bool = False) -> MessageAssembler:
    messages = MessageAssembler(limit)
    messages.agree([PerMessageDeflate(forgetful, False, 15, 15)])
    return messages


def _all(messages: MessageAssembler, frames: Sequence[tuple[int, bytes]]) -> None:
    for frame in frames:
        messages.add(*frame)


class Sender:
    """What a server does with messages: compress each and cut it into frames."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self._forgetful = forgetful
        self._packer = zlib.compressobj(wbits=-15)

    def frames(self, message: bytes, cuts: Sequence[int]) -> list[tuple[int, bytes]]:
        """Return the first byte and payload of each frame."""
        if self._forgetful:
            self._packer = zlib.compressobj(wbits=-15)
        squeezed = self._packer.compress(message) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        squeezed = squeezed[:-4]
        ends = [*sorted(cut % (len(squeezed) + 1) for cut in cuts), len(squeezed)]
        frames, at = [], 0
        for number, end in enumerate(ends):
            head = MORE if number else BINARY | COMPRESSED
            frames.append((head | (FINAL if number == len(ends) - 1 else 0), squeezed[at:end]))
            at = end
        return frames


@given(
    parts=st.lists(
        st.tuples(st.binary(max_size=2000), st.integers(0, 100), st.lists(st.integers(0, 10**6))),
        max_size=6,
    ),
    forgetful=st.booleans(),
)
def test_compressed_messages_come_out_as_they_went_in(
    parts: list[tuple[bytes, int, list[int]]], forgetful: bool
) -> None:
    """However they were cut, and whether or not a message leans on those before it."""
    sender, messages = Sender(forgetful=forgetful), _messages(forgetful=forgetful)
    for piece, times, cuts in parts:
        message = piece * times
        *first, last = sender.frames(message, cuts)
        assert [messages.add(*frame) for frame in first] == [None] * len(first)
        assert messages.open is bool(first)
        assert messages.add(*last) == message
        assert not messages.open


def test_a_sender_may_end_its_deflate_stream_with_each_message() -> None:
    """RFC 7692, section 7.2.3.4: a final block is no end of the connection's messages."""
    messages = _messages()
    for text in (b"one" * 100, b"two" * 100):
        packer = zlib.compressobj(wbits=-15)
        squeezed = packer.compress(text) + packer.flush(zlib.Z_FINISH) + b"\0"
        assert messages.add(TEXT | COMPRESSED | FINAL, squeezed) == text


def _ended(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(text) + packer.flush(zlib.Z_FINISH)


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("last", [b"", b"\0"])
def test_a_message_may_be_several_deflate_streams(step: int, last: bytes) -> None:
    """RFC 7692, section 7.2.1: blocks follow one with BFINAL; with or without the byte to pad."""
    messages = _messages()
    wire = _ended(b"one" * 100) + _ended(b"") + _ended(b"two" * 100) + last
    for _ in range(2):
        cuts = [wire[at : at + step] for at in range(0, len(wire), step)]
        assert messages.add(TEXT | COMPRESSED, b"") is None
        assert [messages.add(MORE, piece) for piece in cuts] == [None] * len(cuts)
        assert messages.add(MORE | FINAL, b"") == b"one" * 100 + b"two" * 100


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"  # stored, of no byte


@pytest.mark.parametrize(
    "junk",
    [b"\xff" * 65536, bytes(65536), b"\x03\0" * 32768, EMPTY_BLOCK * 13107],
    ids=["noise", "zeros", "streams", "blocks"],
)
def test_what_follows_the_end_of_a_stream_is_bounded(junk: bytes) -> None:
    """Endless continuations that give no byte of the message end it, at no cost of memory."""
    messages = _messages()
    messages.add(TEXT | COMPRESSED, _ended(b"hello"))
    tracemalloc.start()
    try:
        with pytest.raises(MessageError) as raised:
            _all(messages, [(MORE, junk)] * 100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.code in (CloseCode.PROTOCOL_ERROR, CloseCode.MESSAGE_TOO_BIG)
    assert peak < 500_000


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_bound_is_exact(frames: int, compressed: bool) -> None:
    """A message of just the limit passes, and one byte more does not."""
    for size, fits in ((LIMIT, True), (LIMIT + 1, False)):
        messages, message = _messages(), b"x" * size
        if compressed:
            wire = Sender().frames(message, [5 * number for number in range(1, frames)])
        else:
            step = -(-size // frames)
            pieces = [message[at : at + step] for at in range(0, size, step)]
            wire = [(MORE, piece) for piece in pieces]
            wire[0] = (BINARY | wire[0][0], wire[0][1])
            wire[-1] = (FINAL | wire[-1][0], wire[-1][1])
        if fits:
            assert [messages.add(*frame) for frame in wire][-1] == message
        else:
            with pytest.raises(MessageError, match="more than 1048576 bytes") as raised:
                _all(messages, wire)
            assert raised.value.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize("size", [0, 1, 100])
def test_tiny_fragments_cost_no_more_than_their_bytes(size: int) -> None:
    """Ten thousand of them, each an object of its own, would."""
    messages = _messages()
    messages.add(TEXT, b"")
    tracemalloc.start()
    try:
        for number in range(10_000):
            messages.add(MORE, bytes([number % 256]) * size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 10_000 * size + 10_000


@pytest.mark.parametrize("size", [8 * LIMIT - 1, 8 * LIMIT, 8 * LIMIT + 1])
def test_a_large_message_that_fits_is_read_whole(size: int) -> None:
    """Looked through beforehand, and then kept; a byte more than the bound is too much."""
    packer = zlib.compressobj(wbits=-15)
    text = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    packed = (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    messages, head = _messages(8 * LIMIT), TEXT | COMPRESSED
    if size > 8 * LIMIT:
        with pytest.raises(MessageError):
            messages.add(head | FINAL, packed)
        return
    assert messages.add(head | FINAL, packed) == text
    packed = (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    half = len(packed) // 2
    assert messages.add(head, packed[:half]) is None
    assert messages.add(FINAL | MORE, packed[half:]) == text


@pytest.mark.parametrize("limit", [LIMIT, 16 * LIMIT])
def test_a_bomb_costs_no_more_than_the_bound(limit: int) -> None:
    """64 MiB of nothing are given up at the bound, and what was inflated is let go of.

    Where the bound is large it is found out before that much is kept.
    """
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    messages = _messages(limit)
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            messages.add(TEXT | COMPRESSED | FINAL, bomb[:-4])
        _, peak = tracemalloc.get_traced_memory()
        messages.forget()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * LIMIT
    assert left < 100_000


@pytest.mark.parametrize(
    "frames",
    [
        [(FINAL | MORE, b"x")],
        [(TEXT, b"x"), (FINAL | TEXT, b"x")],
        [(TEXT | COMPRESSED, b""), (FINAL | COMPRESSED | MORE, b"")],
        [(TEXT | COMPRESSED | FINAL, b"\xff" * 20)],
    ],
)
def test_what_may_not_be_is_a_protocol_error(frames: list[tuple[int, bytes]]) -> None:
    """An end of nothing, a message within a message, a bit too much, and broken deflate."""
    messages = _messages()
    with pytest.raises(MessageError) as raised:
        _all(messages, frames)
    assert raised.value.code == CloseCode.PROTOCOL_ERROR


def test_compression_that_nobody_agreed_upon_is_refused() -> None:
    """Without the extension its bit means nothing."""
    messages = MessageAssembler(LIMIT)
    messages.agree([])
    with pytest.raises(MessageError, match="not negotiated"):
        messages.add(TEXT | COMPRESSED | FINAL, b"x")
