"""Puts WebSocket messages together: fragments joined, compressed ones inflated, both bounded.

The library would do so too, in one piece: what it inflates takes twice the bound at its peak, and
its exceptions keep it alive. Here it grows by pieces, and what goes too far is let go of at once.

A sender may end its DEFLATE stream anywhere and begin another. zlib would keep all that follows
the end, for ever; here it is the next stream's, and the number of streams and the compressed
bytes of a message are bounded as well, as neither need give a byte of the message.

Source: RFC 6455, sections 5.4 (fragmentation) and 8.1 (UTF-8); RFC 7692, sections 7.2.1 (blocks
with BFINAL) and 7.2.2 (decompression).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Opcode

_PIECE: Final = 64 << 10  # bytes inflated at once
_LARGE: Final = 1 << 20  # bytes of a message after which it is seen first whether it fits
_TAIL: Final = b"\x00\x00\xff\xff"  # which the sender of a compressed message leaves out
_STREAMS: Final = 1000  # DEFLATE streams of one message, two bytes each at least
_SPARE: Final = 64 << 10  # compressed bytes of a message beyond twice its bound
_FINAL, _COMPRESSED, _OPCODE = 0x80, 0x40, 0x0F
# First bytes of the frames that `Messages.add` takes: text, binary and continuations of them.
DATA_HEADS: Final = frozenset(
    final | compressed | opcode
    for final in (0, _FINAL)
    for compressed in (0, _COMPRESSED)
    for opcode in range(3)
)


NO_TEXT: Final = "a text that is no UTF-8"


def is_utf8(text: bytes) -> bool:
    """Return whether bytes are what a text message may hold."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class MessageError(Exception):
    """A message that may not be; ``code`` is the close code that says why."""

    def __init__(self, code: CloseCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class MessageAssembler:
    """The message that is being put together, of at most ``limit`` bytes after inflating."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._deflate: PerMessageDeflate | None = None
        self._inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._whole = bytearray()  # a list of pieces would cost more than they, were they tiny
        self._compressed = self._text = False
        self._taken = self._streams = 0  # of the message: bytes before inflating, streams ended
        self.open = False  # whether more of a message must come

    def agree(self, extensions: Sequence[Extension]) -> None:
        """Follow what the handshake agreed upon."""
        self._deflate = next(
            (each for each in extensions if isinstance(each, PerMessageDeflate)), None
        )
        self._renew()

    def add(self, head: int, payload: bytes) -> bytes | None:
        """Take one data frame; return the message that it completes. Raises MessageError."""
        starts, compressed = bool(head & _OPCODE), bool(head & _COMPRESSED)
        if starts is self.open:
            wrong = "a message within a message" if starts else "the end of nothing"
            raise MessageError(CloseCode.PROTOCOL_ERROR, wrong)
        if compressed and (self._deflate is None or not starts):
            raise MessageError(CloseCode.PROTOCOL_ERROR, "compression that was not negotiated")
        if starts:
            self._compressed, self._taken, self._streams = compressed, 0, 0
            self._text = head & _OPCODE == Opcode.TEXT
        final = bool(head & _FINAL)
        self.open = not final
        if self._compressed:
            payload = self._inflate(payload, final)
            if final and self._fresh():
                self._renew()
        if final and not self._whole:
            return self._checked(self._fitting(payload))
        self._whole += self._fitting(payload)
        if not final:
            return None
        whole, self._whole = self._whole, bytearray()
        return self._checked(bytes(whole))

    def forget(self) -> None:
        """Let go of what there is of a message."""
        self._whole, self.open = bytearray(), False
        self._renew()

    def _inflate(self, data: bytes, final: bool) -> bytes:
        """Keep all but the last piece of what comes out, which is given."""
        self._taken += len(data)
        if self._taken > 2 * self._limit + _SPARE:
            raise MessageError(CloseCode.MESSAGE_TOO_BIG, f"{self._taken} compressed bytes")
        if final:
            data += _TAIL
        looked = False
        try:
            while True:
                if self._inflater.eof:
                    if not data or (final and data == _TAIL):
                        return b""
                    self._next_stream()
                # A byte more than may be: so that too long is told from just fitting.
                most = min(_PIECE, self._limit - len(self._whole) + 1)
                piece = self._inflater.decompress(data, most)
                ended = self._inflater.eof
                data = self._inflater.unused_data if ended else self._inflater.unconsumed_tail
                if not data and len(piece) < most:
                    return piece
                self._whole += self._fitting(piece)
                if not looked and len(self._whole) > _LARGE:
                    looked = True
                    self._look_ahead(data)
        except zlib.error as error:
            raise MessageError(CloseCode.PROTOCOL_ERROR, "decompression failed") from error

    def _look_ahead(self, data: bytes) -> None:
        """Inflate what is left of a frame once without keeping it. Raises MessageError, zlib.error.

        What goes beyond the bound is refused before it takes that much memory.
        """
        inflater, room = self._inflater.copy(), self._limit - len(self._whole)
        while data and not inflater.eof:
            room -= len(inflater.decompress(data, _PIECE))
            data = inflater.unconsumed_tail
            if room < 0:
                raise MessageError(CloseCode.MESSAGE_TOO_BIG, f"more than {self._limit} bytes")

    def _next_stream(self) -> None:
        self._streams += 1
        if self._streams > _STREAMS:
            raise MessageError(CloseCode.MESSAGE_TOO_BIG, f"more than {_STREAMS} DEFLATE streams")
        self._renew()

    def _checked(self, message: bytes) -> bytes:
        if self._text and not message.isascii() and not is_utf8(message):
            raise MessageError(CloseCode.INVALID_DATA, NO_TEXT)
        return message

    def _fitting(self, piece: bytes) -> bytes:
        if len(self._whole) + len(piece) > self._limit:
            raise MessageError(CloseCode.MESSAGE_TOO_BIG, f"more than {self._limit} bytes")
        return piece

    def _fresh(self) -> bool:
        """Return whether the next message is compressed without regard to this one."""
        agreed = self._deflate is not None and self._deflate.remote_no_context_takeover
        return agreed or self._inflater.eof

    def _renew(self) -> None:
        bits = zlib.MAX_WBITS if self._deflate is None else self._deflate.remote_max_window_bits
        self._inflater = zlib.decompressobj(wbits=-bits)
