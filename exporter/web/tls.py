"""TLS of the web server: contexts, and the names allowed in client certificates."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.flow.rate_limit import Bucket, TokenBucket
from exporter.web.routes import RefusedError

if TYPE_CHECKING:
    from exporter.web.basic_auth import BasicAuth

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


_NEVER: Final = 3600.0  # seconds after which whoever is always refused may ask again


class TlsFileError(Exception):
    """A certificate, key or authority cannot be used; ``key`` names it, the text says why."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def server_context(
    *,
    certificate: Path,
    key: Path,
    client_authorities: Path | None = None,
    asks: bool = False,
    required: bool = False,
    curves: Collection[str] = (),
    versions: tuple[str, str] = ("TLS12", "TLS13"),
    ciphers: Collection[str] = (),
    our_order: bool = True,
) -> ssl.SSLContext:
    """Return a server's TLS context. Raises TlsFileError.

    With ``asks`` clients may show a certificate that ``client_authorities`` vouch for, the
    system's if there are none; with ``required`` they must. ``ciphers`` and ``curves`` are
    OpenSSL's names; of several curves the library's own list is used, which Python cannot set.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = (VERSIONS[each] for each in versions)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if our_order:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    if ciphers:
        context.set_ciphers(":".join(ciphers))
    for name, file in (("cert_file", certificate), ("key_file", key)):
        _readable(name, file)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None)
        mismatch = reason == "KEY_VALUES_MISMATCH"
        words = "not the key of this certificate" if mismatch else _words(reason)
        raise TlsFileError("key_file" if mismatch else "cert_file", words) from error
    if len(curves) == 1:
        (curve,) = curves
        try:
            context.set_ecdh_curve(curve)
        except (ValueError, ssl.SSLError) as error:
            wrong = f"this OpenSSL cannot use only {curve}"
            raise TlsFileError("curve_preferences", wrong) from error
    if asks and client_authorities is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if client_authorities is not None:
        _readable("client_ca_file", client_authorities)
        try:
            context.load_verify_locations(client_authorities)
        except (OSError, ValueError) as error:
            raise TlsFileError("client_ca_file", _words(getattr(error, "reason", None))) from error
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


@contextmanager
def held_in_file(text: str) -> Iterator[Path]:
    """Hold a text in a file of ours alone while OpenSSL, which takes nothing else, reads it.

    In memory where the system can (Linux), so that a key touches no disk and needs none to write.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            yield Path(f"/proc/self/fd/{descriptor}")
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # its mode is 0600
        file.write(text)
        file.flush()
        yield Path(file.name)


def _readable(key: str, file: Path) -> None:
    try:
        with file.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise TlsFileError(key, error.strerror or str(error)) from error


def _words(reason: str | None) -> str:
    return reason.lower().replace("_", " ") if reason else "no PEM"


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the alternative names in a client's certificate, as ``getpeercert`` gives it."""
    names = (certificate or {}).get("subjectAltName", ())
    return frozenset(str(value) for _, value in names)


class RequestRate:
    """A token bucket for all requests together: one every ``interval`` seconds, ``burst`` at once.

    With a burst of 0 there is never one, as in the toolkit.
    """

    def __init__(self, interval: float, burst: int) -> None:
        self._bucket = TokenBucket(burst, burst * interval) if burst else None
        self._state: Bucket | None = None

    def take(self, now: float) -> float:
        """Take one; return the seconds until it may be had, 0 when it was."""
        if self._bucket is None:
            return _NEVER
        state = self._state or self._bucket.start(now)
        self._state, wait = self._bucket.take(state, 1, now)
        return wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What a server demands of who connects, and the headers of its answers."""

    tls: ssl.SSLContext | None = None
    login: BasicAuth | None = None
    client_names: frozenset[str] = frozenset()  # of which a certificate must have one; none: any
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: RequestRate | None = None  # of all requests together; None: no limit

    def pace(self, now: float) -> None:
        """Take one request of the rate limit; ``now`` is monotonic. Raises RefusedError."""
        if self.rate is not None and (wait := self.rate.take(now)):
            raise RefusedError(429, "too many requests", {"Retry-After": str(ceil(wait))})

    def recognise(self, authorization: str | None) -> str:
        """Return the name of a login that was right before, empty for any other."""
        return "" if self.login is None else self.login.recognise(authorization)

    async def admit(
        self, authorization: str | None, certificate: Mapping[str, Any] | None, address: str = ""
    ) -> None:
        """Let one request through. Raises RefusedError."""
        if self.client_names and not self.client_names & names_of(certificate):
            raise RefusedError(403, "no name in the client certificate is allowed")
        if self.login is not None:
            await self.login.check(authorization, address)
