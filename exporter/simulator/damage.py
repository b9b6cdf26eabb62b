"""Broken frames, one function a form. Each returns whole WebSocket frames, headers included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import msgspec

TEXT, BINARY = 0x81, 0x82  # final frame with opcode 1 or 2 (RFC 6455, section 5.2)


def frame(payload: bytes, opcode: int | None = None) -> bytes:
    """Wrap a payload as one unmasked frame, as servers send it (RFC 6455, section 5.2).

    Without an opcode it is text, unless it begins as no text does.
    """
    if opcode is None:
        opcode = TEXT if payload[:1] >= b" " else BINARY
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


def _truncated(good: bytes, random: Random) -> bytes:
    return frame(good[: random.randrange(1, max(2, len(good) - 1))])


def _invalid_utf8(good: bytes, random: Random) -> bytes:
    middle = len(good) // 2
    return frame(good[:middle] + b"\xc3\x28\xff" + good[middle:])


def _number(text: bytes) -> Callable[[bytes, Random], bytes]:
    def broken(good: bytes, random: Random) -> bytes:
        """Replace by ``text`` the first number after a colon, quoted or not."""
        for at in range(len(good) - 1):
            if good[at : at + 1] == b":" and good[at + 1 : at + 2].isdigit():
                end = at + 1
                while good[end : end + 1].isdigit():
                    end += 1
                return frame(good[: at + 1] + text + good[end:])
        return frame(b'{"E":%s}' % text)

    return broken


def _deep(good: bytes, random: Random) -> bytes:
    return frame(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def _huge_frame(good: bytes, random: Random) -> bytes:
    return frame(good[:-1] + b" " * (10 * 1024 * 1024))


def _binary(good: bytes, random: Random) -> bytes:
    return frame(random.randbytes(64), BINARY)


def _protocol(good: bytes, random: Random) -> bytes:
    # A reserved opcode: no client may go on after it (RFC 6455, section 5.2).
    return frame(good[:64], 0x8F)[:1] + b"\x05noise"


_FORMS: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "truncated": _truncated,
    "invalid_utf8": _invalid_utf8,
    "nan": _number(b"NaN"),
    "huge_integer": _number(b"9" * 400),
    "deep": _deep,
    "huge_frame": _huge_frame,
    "binary": _binary,
    "protocol": _protocol,
}


def damaged(good: bytes, form: str, random: Random) -> bytes:
    """Return a broken frame made from a valid payload; ``any`` picks a form by chance."""
    if form == "any":
        form = random.choice(sorted(_FORMS))
    return _FORMS[form](good, random)


def without(good: bytes, name: str) -> bytes:
    """Take a field out of a payload wherever it stands; what is no JSON stays as it is."""
    try:
        return msgspec.json.encode(_without(msgspec.json.decode(good), name))
    except msgspec.DecodeError:
        return good


def _without(value: object, name: str) -> object:
    match value:
        case dict():
            return {key: _without(below, name) for key, below in value.items() if key != name}
        case list():
            return [_without(each, name) for each in value]
    return value


def garbage(good: bytes, form: str, random: Random) -> bytes:
    """Make an HTTP body that is not the venue's out of one that is."""
    match form:
        case "empty":
            return b""
        case "binary":
            return random.randbytes(256)
        case "truncated":
            return good[: len(good) // 2]
        case "deep":
            return b"[" * 100_000
        case "wrong":
            return b'{"status":"ok","result":{"value":[1,2,{"three":null}]}}'
    return b"<html><head><title>502 Bad Gateway</title></head><body>cloudfront</body></html>"
