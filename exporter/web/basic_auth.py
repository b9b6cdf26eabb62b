"""Logins of the web server: basic authentication against bcrypt hashes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import ceil

import bcrypt

from exporter.flow.workers import Workers, WorkersBusyError
from exporter.web.routes import RefusedError

_REMEMBERED = 100  # logins that were right
_WAITING = 8  # logins to be judged, of strangers and of clients known to be right; then 429
_OF_ONE = 4  # of them, of one client
_CLIENTS = 4096  # addresses remembered
_FREE = 5  # wrong logins of a client before it has to wait
_LONGEST_WAIT = 60.0  # seconds
_LONGEST = 2000  # characters of a login's header
_BCRYPT_READS = 72  # bytes of a password: the format's own bound
_NO_SALT = "." * 22 + "e" + "." * 30  # nobody's salt and hash


@dataclass(slots=True)
class _Client:
    """What is known of the logins from one address."""

    waiting: int = 0
    right: bool = False  # once at least
    wrong: int = 0  # since it was right
    until: float = 0.0  # no login is judged before; seconds of the event loop's clock

    def failed(self, now: float) -> None:
        """Note a wrong login; from the sixth on the next one has to wait."""
        self.wrong += 1
        if self.wrong > _FREE:
            self.until = now + min(_LONGEST_WAIT, 2.0 ** min(self.wrong - _FREE - 1, 10))


class BasicAuth:
    """Basic authentication. ``users`` are bcrypt hashes by name.

    The work for a wrong password equals that for an unknown name. A login that was right is
    remembered by a keyed digest alone: no password stays in memory, and as only right ones are
    remembered, neither the cache's speed nor its bound tells a guesser anything.

    Passwords are judged in two threads that do nothing else: one for clients that have been right
    before, one for all others. A client that is wrong time and again waits twice as long each time.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {name.encode(): hashed.encode() for name, hashed in users.items()}
        cost = max((int(hashed[4:6]) for hashed in users.values()), default=10)
        self._nobody = f"$2b${cost:02d}${_NO_SALT}".encode()
        self._secret = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        # One at a time, so that guesses take one processor at most; and few in line.
        self._known = Workers("logins", limit=1, waiting=_WAITING)
        self._strangers = Workers("guesses", limit=1, waiting=_WAITING)
        self._clients: OrderedDict[str, _Client] = OrderedDict()  # the latest last

    async def check(self, header: str | None, address: str = "") -> None:
        """Judge an Authorization header; the client's ``address`` is empty where it is not known.

        Raises RefusedError: 401, or 429 when too many wait or this client was wrong too often.
        """
        name, password = credentials(header)
        hashed = self._users.get(name, self._nobody)
        seen = self._digest(name, hashed, password)
        if seen in self._right:
            self._right.move_to_end(seen)
            return
        client = self._client(address)
        wait = client.until - asyncio.get_running_loop().time()
        if wait > 0.0:
            raise _too_many("too many wrong logins", ceil(wait))
        if client.waiting >= _OF_ONE and address:
            raise _too_many("too many logins at a time", 5)
        workers = self._known if client.right else self._strangers
        client.waiting += 1
        try:
            right = await workers.run(partial(_matches, password, hashed))
        except WorkersBusyError:
            raise _too_many("too many logins at a time", 5) from None
        finally:
            client.waiting -= 1
        if not (right and name in self._users):
            if address:
                client.failed(asyncio.get_running_loop().time())
            raise _unauthorized("wrong name or password")
        client.right, client.wrong = True, 0
        self._right[seen] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)

    def recognise(self, header: str | None) -> str:
        """Return the name of a login that was right before, empty for any other."""
        try:
            name, password = credentials(header)
        except RefusedError:
            return ""
        hashed = self._users.get(name, self._nobody)
        return name.decode() if self._digest(name, hashed, password) in self._right else ""

    def _client(self, address: str) -> _Client:
        client = self._clients.pop(address, None) or _Client()
        self._clients[address] = client
        if len(self._clients) > _CLIENTS:
            self._clients.popitem(last=False)
        return client

    def _digest(self, *parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, framed, sha256)


def credentials(header: str | None) -> tuple[bytes, bytes]:
    """Read name and password out of an Authorization header. Raises RefusedError (401)."""
    kind, _, text = (header or "").partition(" ")
    if kind.lower() != "basic" or len(text) > _LONGEST:
        raise _unauthorized("a user name and a password are required")
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        colon = b""
    if not colon:
        raise _unauthorized("a user name and a password are required")
    return name, password


def _too_many(reason: str, wait: int) -> RefusedError:
    return RefusedError(429, reason, {"Retry-After": str(wait)})


def _unauthorized(reason: str) -> RefusedError:
    challenge = 'Basic realm="exchange-exporter", charset="UTF-8"'
    return RefusedError(401, reason, {"WWW-Authenticate": challenge})


def _matches(password: bytes, hashed: bytes) -> bool:
    """Compare in constant time; releases the interpreter while it works."""
    try:
        return bcrypt.checkpw(password[:_BCRYPT_READS], hashed)
    except ValueError:  # a NUL, which no hash was made of
        return False
