"""Who may ask our web server, and over which TLS: contexts, names in certificates."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.web.routes import RefusedError

if TYPE_CHECKING:
    from exporter.web.basic_auth import BasicAuth

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


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
    required: bool = False,
    versions: tuple[str, str] = ("TLS12", "TLS13"),
    ciphers: Collection[str] = (),
    our_order: bool = True,
) -> ssl.SSLContext:
    """Return a server's TLS context; with authorities clients may or must show a certificate.

    ``ciphers`` are OpenSSL's names. Raises TlsFileError.
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
    if client_authorities is not None:
        _readable("client_ca_file", client_authorities)
        try:
            context.load_verify_locations(client_authorities)
        except (OSError, ValueError) as error:
            raise TlsFileError("client_ca_file", _words(getattr(error, "reason", None))) from error
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What a server demands of who connects, and the headers of its answers."""

    tls: ssl.SSLContext | None = None
    login: BasicAuth | None = None
    client_names: frozenset[str] = frozenset()  # of which a certificate must have one; none: any
    headers: Mapping[str, str] = field(default_factory=dict)

    async def admit(
        self, authorization: str | None, certificate: Mapping[str, Any] | None, address: str = ""
    ) -> None:
        """Let one request through. Raises RefusedError."""
        if self.client_names and not self.client_names & names_of(certificate):
            raise RefusedError(403, "no name in your certificate is allowed here")
        if self.login is not None:
            await self.login.check(authorization, address)
