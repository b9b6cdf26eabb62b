# ruff: noqa: RUF009 - `key` gives a dataclass field
"""The file of ``--web.config.file``: TLS, logins and headers of our own web server.

Source: docs/web-configuration.md of prometheus/exporter-toolkit, read 2025-01-15. Its format, so
that one file serves all exporters of a host. What Python's TLS cannot keep is refused in words
rather than ignored: certificates that nobody verifies, versions below TLS 1.2, choice of curves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.config import ConfigError, Places, read_as, text_of
from exporter.config.kinds import (
    HIDDEN,
    Mistake,
    Place,
    Reading,
    Schema,
    boolean,
    choice,
    found,
    text,
)
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.tree import Node, Scalar
from exporter.contracts import Venue

_FILE = text("a path, relative to this file", r"[^\x00-\x1f\x7f]{1,1000}")
_MOST_COST: Final = 16  # a login of that cost takes seconds
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_KEYS: Final = "one of tls_server_config, http_server_config, basic_auth_users"

# The names of Go, which the format uses, and those of OpenSSL. TLS 1.3's suites are always on.
SUITES: Final[Mapping[str, str]] = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    **{
        f"TLS_ECDHE_{signed}_WITH_{go}": f"ECDHE-{signed}-{ours}"
        for signed in ("ECDSA", "RSA")
        for go, ours in (
            ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
            ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
            ("CHACHA20_POLY1305", "CHACHA20-POLY1305"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
            ("AES_128_CBC_SHA", "AES128-SHA"),
            ("AES_256_CBC_SHA", "AES256-SHA"),
        )
    },
}


@dataclass(frozen=True, slots=True)
class Hash:
    """A password's bcrypt hash. What stands there instead may be the password: it is not shown."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        value = node.value if isinstance(node, Scalar) else None
        match = _HASH.fullmatch(value) if isinstance(value, str) else None
        if match is None or not 4 <= int(match[1]) <= _MOST_COST:
            what = HIDDEN if isinstance(node, Scalar) else found(node)
            wrong = f"found {what}, expected a bcrypt hash of cost 4 to {_MOST_COST}"
            raise reading.complain(node.line, place, f"{wrong} (htpasswd -nBC 10 NAME)")
        return match[0]

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^{_HASH.pattern}$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTlsConfig:
    """Our certificate, and whose we ask for."""

    cert_file: str = key(_FILE, REQUIRED, "The server's certificate and its chain, PEM.")
    key_file: str = key(_FILE, REQUIRED, "The private key of the certificate, PEM.")
    client_auth_type: str = key(
        choice("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"),
        "NoClientCert",
        "Whether clients must present a certificate.",
    )
    client_ca_file: str | None = key(
        _FILE, None, "Certificate authorities of the clients' certificates, PEM."
    )
    client_allowed_sans: tuple[str, ...] = key(
        ListKind(text("a name", r"[!-~]{1,300}"), most=1000),
        [],
        "Names, one of which a client's certificate must contain.",
    )
    min_version: str = key(choice("TLS12", "TLS13"), "TLS12", "Lowest TLS version.")
    max_version: str = key(choice("TLS12", "TLS13"), "TLS13", "Highest TLS version.")
    cipher_suites: tuple[str, ...] = key(
        ListKind(choice(*SUITES), most=len(SUITES)),
        [],
        "Cipher suites of TLS 1.2. Default: the usual ones.",
    )
    prefer_server_cipher_suites: bool = key(
        boolean(), True, "Use the server's order of cipher suites."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what does not go together."""
        asks = self.client_auth_type != "NoClientCert"
        if asks and self.client_ca_file is None:
            wrong = f"found no such key, expected one for {self.client_auth_type}"
            yield Mistake(("client_ca_file",), wrong)
        if self.client_ca_file is not None and not asks:
            wrong = "found beside NoClientCert, expected RequireAndVerifyClientCert with it"
            yield Mistake(("client_ca_file",), wrong)
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            wrong = f"found beside {self.client_auth_type}, expected RequireAndVerifyClientCert"
            yield Mistake(("client_allowed_sans",), wrong)
        if self.min_version > self.max_version:
            wrong = f"found {self.min_version}, expected at most max_version, {self.max_version}"
            yield Mistake(("min_version",), wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHttpConfig:
    """HTTP responses."""

    http2: bool = key(
        boolean(),
        True,
        "Accepted for compatibility of the format, without effect: the server uses HTTP/1.1.",
    )
    headers: Mapping[str, str] = key(
        TableKind(
            choice(
                "Content-Security-Policy",
                "X-Frame-Options",
                "X-Content-Type-Options",
                "X-XSS-Protection",
                "Strict-Transport-Security",
            ),
            text("printable text", r"[ -~]{0,2000}"),
            most=5,
        ),
        {},
        "Headers of every response, in place of the server's own values; an empty value keeps its"
        " own.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """Web security in the format of the exporter toolkit."""

    tls_server_config: WebTlsConfig | None = key(Section(WebTlsConfig), None, "Serve HTTPS only.")
    http_server_config: WebHttpConfig = key(Section(WebHttpConfig), {}, "HTTP responses.")
    basic_auth_users: Mapping[str, str] = key(
        TableKind(text("a name without a colon", r"[^:\x00-\x1f\x7f]{1,200}"), Hash(), most=1000),
        {},
        "Users and the bcrypt hashes of their passwords. Default: no login is required.",
    )


def _no_venue(name: str) -> Venue:
    raise KeyError(name)


def load(file: str | Path) -> tuple[WebConfig, Places]:
    """Read a web config file; an empty one secures nothing. Raises ConfigError."""
    return read(text_of(file), str(file))


def read(text: str, name: str) -> tuple[WebConfig, Places]:
    """Read a web config's text; ``name`` is its file's, for complaints. Raises ConfigError."""
    reading = Reading(folder=Path(name).parent, environ=os.environ, venues=(), venue=_no_venue)
    if all(line.strip() == "" or line.lstrip().startswith("#") for line in text.splitlines()):
        return WebConfig(), Places(name, reading.lines)
    web = read_as(WebConfig, text, name, reading, _KEYS)
    return web, Places(name, reading.lines)


def refused(places: Places, where: str, wrong: str) -> ConfigError:
    """Return the error for a key of ``tls_server_config`` whose file turned out to be no good."""
    return ConfigError((places.complaint(("tls_server_config", where), wrong)[1],))
