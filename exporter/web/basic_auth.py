"""Names and passwords of our own web server: basic authentication against bcrypt hashes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

import bcrypt

from exporter.web.routes import RefusedError

_REMEMBERED = 100  # logins that were right
_WAITING = 8  # logins to be judged; one more is refused
_LONGEST = 2000  # characters of a login's header
_BCRYPT_READS = 72  # bytes of a password: the format's own bound
_NO_SALT = "." * 22 + "e" + "." * 30  # nobody's salt and hash


class BasicAuth:
    """Basic authentication. ``users`` are bcrypt hashes by name.

    The work for a wrong password equals that for an unknown name. A login that was right is
    remembered by a keyed digest alone: no password stays in memory, and as only right ones are
    remembered, neither the cache's speed nor its bound tells a guesser anything.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {name.encode(): hashed.encode() for name, hashed in users.items()}
        cost = max((int(hashed[4:6]) for hashed in users.values()), default=10)
        self._nobody = f"$2b${cost:02d}${_NO_SALT}".encode()
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        # One at a time, so that guesses take one processor at most; and few in line.
        self._judge = asyncio.Lock()
        self._waiting = 0

    async def check(self, header: str | None) -> None:
        """Judge an Authorization header. Raises RefusedError: 401, or 429 when too many wait."""
        name, password = credentials(header)
        hashed = self._users.get(name, self._nobody)
        seen = self._digest(name, hashed, password)
        if seen in self._right:
            self._right.move_to_end(seen)
            return
        if self._waiting >= _WAITING:
            raise RefusedError(429, "too many logins at a time", {"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._judge:
                right = await asyncio.to_thread(_matches, password, hashed)
        finally:
            self._waiting -= 1
        if not (right and name in self._users):
            raise _unauthorized("wrong name or password")
        self._right[seen] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)

    def _digest(self, *parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, framed, sha256)


def credentials(header: str | None) -> tuple[bytes, bytes]:
    """Read name and password out of an Authorization header. Raises RefusedError (401)."""
    kind, _, text = (header or "").partition(" ")
    if kind.lower() != "basic" or len(text) > _LONGEST:
        raise _unauthorized("a name and a password are needed")
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        colon = b""
    if not colon:
        raise _unauthorized("a name and a password are needed")
    return name, password


def _unauthorized(reason: str) -> RefusedError:
    challenge = 'Basic realm="exchange-exporter", charset="UTF-8"'
    return RefusedError(401, reason, {"WWW-Authenticate": challenge})


def _matches(password: bytes, hashed: bytes) -> bool:
    """Compare in constant time; releases the interpreter while it works."""
    try:
        return bcrypt.checkpw(password[:_BCRYPT_READS], hashed)
    except ValueError:  # a NUL, which no hash was made of
        return False
