"""Parses one HTTP/1.1 response incrementally. No I/O.

Source: RFC 9112 (HTTP/1.1), sections 4, 5, 6 and 7; RFC 9110, section 8.4 (content codings).
Strict where leniency would let a broken answer pass for a sound one.
"""

from __future__ import annotations

import re
import zlib
from enum import Enum, auto
from typing import Final

from exporter.words import quoted

HEAD_LIMIT = 64 * 1024  # bytes of status line and headers, interim answers included
_LINE_LIMIT = 4096  # of a chunk's size line or a trailer
_INTERIM: Final = 20  # answers before the final one
_TRAILERS: Final = 100  # lines after the last chunk
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_MEMBERS: Final = 1000  # of one gzip body; an empty one is 20 bytes
_SPARE: Final = 64 * 1024  # compressed bytes beyond twice the bound of the body


class ResponseError(ValueError):
    """What came back is no sound answer, or larger than allowed."""


class BareLineFeedError(ResponseError):
    """A line ends in LF alone. RFC 9112, section 2.2, lets us take it for an end; we do not."""


class _Part(Enum):
    HEAD = auto()
    LENGTH = auto()  # a body of known length
    CLOSE = auto()  # a body that lasts until the connection ends
    SIZE = auto()  # the line before a chunk
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    DONE = auto()


class ParsedResponse:
    """One answer. Feed it until ``done``; ``limit`` bounds the body's bytes after decompression."""

    __slots__ = ("_at", "_body", "_buffer", "_head_only", "_heads", "_interim", "_left", "_limit",
                 "_part", "_trailers", "_unpack", "headers", "reusable", "status")  # fmt: skip

    def __init__(self, method: str, limit: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}  # names in lower case, repeated ones joined
        self.reusable = False  # whether the connection may carry another request
        self._head_only = method == "HEAD"
        self._limit = limit
        self._part = _Part.HEAD
        self._buffer = b""
        self._at = 0  # where reading goes on; cutting the buffer for each chunk would be quadratic
        self._body = bytearray()
        self._heads = 0
        self._interim = self._trailers = 0
        self._left = 0
        self._unpack: _Unpacker | None = None

    @property
    def done(self) -> bool:
        """Return whether the answer is whole."""
        return self._part is _Part.DONE

    @property
    def body(self) -> bytes:
        """The body, as far as it has come."""
        return bytes(self._body)

    @property
    def begun(self) -> bool:
        """Return whether the headers of the final answer are in."""
        return self._part is not _Part.HEAD

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises AnswerError."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        while self._part is not _Part.DONE and self._advance():
            pass
        if self._part is _Part.DONE:
            self._finish()

    def end(self) -> None:
        """Note that the connection has ended. Raises AnswerError when the answer is not whole."""
        if self._part is not _Part.CLOSE:
            raise ResponseError(f"the connection ended in the answer's {self._part.name.lower()}")
        self._part = _Part.DONE
        self._finish()

    def _advance(self) -> bool:
        """Read one part, if all of it is there."""
        match self._part:
            case _Part.HEAD:
                return self._read_head()
            case _Part.LENGTH | _Part.CHUNK:
                return self._read_counted()
            case _Part.CLOSE:
                self._take(self._buffer[self._at :])
                self._at = len(self._buffer)
                return False
            case _Part.SIZE:
                return self._read_size()
            case _Part.CHUNK_END:
                line = self._line()
                if line:
                    raise ResponseError("a chunk is longer than its size")
                if line is not None:
                    self._part = _Part.SIZE
                return line is not None
            case _Part.TRAILER:
                line = self._line()
                if line == b"":
                    self._part = _Part.DONE
                elif line is not None:
                    self._trailer(line)
                return line is not None
        return False

    def _trailer(self, line: bytes) -> None:
        """Take one line after the last chunk, of which nothing is used."""
        self._trailers += 1
        if self._trailers > _TRAILERS:
            raise ResponseError(f"more than {_TRAILERS} trailers")
        _headers([line.decode("latin-1")])

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", self._at)
        if (
            self._part is not _Part.CHUNK_END
        ):  # where anything may stand that is one chunk's too much
            last = min(self._at + _LINE_LIMIT, len(self._buffer) if end < 0 else end)
            _refuse_bare(self._buffer[self._at : last], "between chunks", last == end)
        if (len(self._buffer) if end < 0 else end) - self._at > _LINE_LIMIT:
            raise ResponseError("a line between chunks is too long")
        if end < 0:
            return None
        line, self._at = self._buffer[self._at : end], end + 2
        return line

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", self._at)
        head = self._buffer[self._at : len(self._buffer) if end < 0 else end]
        if len(head) + self._heads > HEAD_LIMIT:
            raise ResponseError(f"more than {HEAD_LIMIT} bytes of headers")
        if not b"HTTP/1.".startswith(head[:7]):
            raise ResponseError(f"no HTTP: {quoted(head[:40])}")
        _refuse_bare(head, "of the head", end >= 0)
        if end < 0:
            return False
        self._at = end + 4
        status, *lines = head.decode("latin-1").split("\r\n")
        version, code = status[:9], status[9:12]
        if version not in ("HTTP/1.1 ", "HTTP/1.0 ") or not (code.isdigit() and code.isascii()):
            raise ResponseError(f"no HTTP/1.1 status line: {quoted(status[:40])}")
        if len(code) != 3 or status[12:13] not in ("", " "):
            raise ResponseError(f"no status code: {quoted(status[:40])}")
        self.status = int(code)
        if not 100 <= self.status <= 599:
            raise ResponseError(f"no status code: {self.status}")
        self.headers = _headers(lines)
        if self.status < 200:
            if self.status == 101:
                raise ResponseError("switched to a protocol that was not requested")
            self._interim += 1
            if self._interim > _INTERIM:
                raise ResponseError(f"more than {_INTERIM} interim answers")
            self._heads += len(head) + 4  # an interim answer; the final one follows
            return True
        self._frame(version == "HTTP/1.1 ")
        return True

    def _frame(self, modern: bool) -> None:
        """Find out how long the body is, and what may follow it."""
        headers = self.headers
        options = {word.strip(" \t") for word in headers.get("connection", "").lower().split(",")}
        self.reusable = "close" not in options and (modern or "keep-alive" in options)
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if self._head_only or self.status in (204, 304):
            self._part = _Part.DONE
            return
        if coding is not None:
            if coding.lower() != "chunked":
                raise ResponseError(f"transfer coding {quoted(coding[:40])}")
            # Both at once smells of smuggling, and HTTP/1.0 has no codings: sections 6.3 and 6.1.
            self.reusable = self.reusable and length is None and modern
            self._part = _Part.SIZE
        elif length is not None:
            self._part, self._left = _Part.LENGTH, _length(length)
        else:
            self._part, self.reusable = _Part.CLOSE, False
        content = headers.get("content-encoding", "").lower()
        if content in ("gzip", "x-gzip", "deflate"):
            self._unpack = _Unpacker(self._limit)
        elif content not in ("", "identity"):
            raise ResponseError(f"content coding {quoted(content[:40])}")

    def _read_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
            raise ResponseError(f"chunk size {quoted(digits[:40])}")
        self._left = int(digits, 16)
        self._part = _Part.CHUNK if self._left else _Part.TRAILER
        return True

    def _read_counted(self) -> bool:
        piece = self._buffer[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        self._take(piece)
        if self._left:
            return False
        self._part = _Part.DONE if self._part is _Part.LENGTH else _Part.CHUNK_END
        return True

    def _take(self, piece: bytes) -> None:
        if self._unpack is not None:
            piece = self._unpack.feed(piece, len(self._body))
        self._body += piece
        if len(self._body) > self._limit:
            raise ResponseError(f"a body of more than {self._limit} bytes")

    def _finish(self) -> None:
        if self._unpack is not None and not self._unpack.whole:
            raise ResponseError("the compressed body is cut short")
        if self._at < len(self._buffer):
            self.reusable = False  # bytes that nobody asked for


def _refuse_bare(text: bytes, where: str, whole: bool) -> None:
    """Refuse a bare LF or CR, and NUL. RFC 9112, section 2.2, and RFC 9110, section 5.5.

    Of a line that is not ``whole`` a CR at the end may have its LF yet to come.
    """
    if b"\0" in text:
        raise ResponseError(f"a NUL in a line {where}: {quoted(text[:40])}")
    if text.count(b"\r") - (not whole and text.endswith(b"\r")) != text.count(b"\r\n"):
        raise ResponseError(f"a bare carriage return in a line {where}: {quoted(text[:40])}")
    if text.count(b"\n") != text.count(b"\r\n"):
        raise BareLineFeedError(f"a line {where} ends in a bare line feed: {quoted(text[:40])}")


def _headers(lines: list[str]) -> dict[str, str]:
    """Read header lines; a folded one is joined by a space (RFC 9112, section 5.2)."""
    headers: dict[str, str] = {}
    last = ""
    for line in lines:
        if line[:1] in (" ", "\t") and last:
            headers[last] = " ".join((headers[last], line.strip(" \t"))).strip()
            continue
        name, colon, value = line.partition(":")
        if not colon or _TOKEN.fullmatch(name) is None:
            raise ResponseError(f"no header: {quoted(line[:40])}")
        last, value = name.lower(), value.strip(" \t")
        headers[last] = f"{headers[last]}, {value}" if last in headers else value
    return headers


def _length(text: str) -> int:
    values = {value.strip() for value in text.split(",")}
    (value,) = values if len(values) == 1 else ("",)
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ResponseError(f"content length {quoted(text[:40])}")
    return int(value)


class _Unpacker:
    """Undoes gzip and deflate, never to more than a byte above the limit.

    A gzip body may have several members (RFC 1952, section 2.2), each its own stream. Nothing may
    follow a deflate body. zlib would keep what follows the end of a stream, however long.
    """

    __slots__ = ("_limit", "_members", "_taken", "_zlib")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0  # compressed bytes
        self._members = 0  # of gzip; 0 for deflate
        self._zlib: zlib._Decompress | None = None

    @property
    def whole(self) -> bool:
        return self._zlib is None or self._zlib.eof  # no byte at all is an empty body

    def feed(self, data: bytes, already: int) -> bytes:
        self._taken += len(data)
        if self._taken > 2 * self._limit + _SPARE:
            raise ResponseError(f"{self._taken} compressed bytes for a body of {self._limit}")
        plain = bytearray()
        try:
            while data and already + len(plain) <= self._limit:
                unpacker = self._stream(data[0])
                plain += unpacker.decompress(data, self._limit - already - len(plain) + 1)
                data = unpacker.unused_data
        except zlib.error as error:
            raise ResponseError(f"the compressed body is broken: {error}") from error
        return bytes(plain)

    def _stream(self, first: int) -> zlib._Decompress:
        """Return what undoes the stream at hand, or the next one, whose ``first`` byte is given."""
        if self._zlib is None:
            if first == 0x1F:
                self._members = 1
            # "deflate" is zlib's format by the standard, and bare in some servers' eyes.
            bare = first & 0x0F != 8 and not self._members
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS if bare else 32 + zlib.MAX_WBITS)
        elif self._zlib.eof:
            if not self._members:
                raise ResponseError("bytes after the end of the compressed body")
            self._members += 1
            if self._members > _MEMBERS:
                raise ResponseError(f"a gzip body of more than {_MEMBERS} members")
            self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return self._zlib
