# ruff: noqa: RUF009 - `key` gives a dataclass field
"""The file of ``--web.config.file``: TLS, logins and headers of our own web server.

Source: docs/web-configuration.md and web/tls_config.go of prometheus/exporter-toolkit, at commit
0089e78, read 2026-11-30. Its format, so that one file serves all exporters of a host. What differs
on purpose is in docs/web_config.md.
"""

from __future__ import annotations

import logging
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
    duration,
    found,
    integer,
    text,
)
from exporter.config.secret import Secret
from exporter.config.section import ListKind, Section, TableKind, key
from exporter.config.tree import Node, Scalar
from exporter.contracts import Venue

log = logging.getLogger(__name__)

_FILE = text("a path, relative to this file", r"[^\x00-\x1f\x7f]{0,1000}")
_HEADER = text("printable text", r"[ -~]{0,2000}")
_INTERVAL = duration("0s", "1d")
_MOST_COST: Final = 16  # a login of that cost takes seconds
_TAKEN_COST: Final = 18  # the toolkit's own example has one: it is taken, and the log says so
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_KEYS: Final = "one of tls_server_config, http_server_config, basic_auth_users, rate_limit"
_MODES: Final = (
    "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert",
    "VerifyClientCertIfGiven", "RequireAndVerifyClientCert",
)  # fmt: skip
_MODE = choice(*_MODES)
DEMANDING: Final = ("RequireAnyClientCert", "RequireClientCert", "RequireAndVerifyClientCert")
VERIFYING: Final = (*DEMANDING, "VerifyClientCertIfGiven")

_HASHES: Final = (
    ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
    ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
    ("AES_128_CBC_SHA", "AES128-SHA"),
    ("AES_256_CBC_SHA", "AES256-SHA"),
)
# The names of Go, which the format uses, and those of OpenSSL. TLS 1.3's suites are always on.
SUITES: Final[Mapping[str, str]] = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    **{f"TLS_RSA_WITH_{go}": ours for go, ours in _HASHES},
    **{
        f"TLS_ECDHE_{signed}_WITH_{go}": f"ECDHE-{signed}-{ours}"
        for signed in ("ECDSA", "RSA")
        for go, ours in (
            *_HASHES,
            ("CHACHA20_POLY1305", "CHACHA20-POLY1305"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        )
    },
}
CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
    "X25519MLKEM768": "X25519MLKEM768",
}
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "X-Frame-Options": ("", "deny", "sameorigin"),
    "X-Content-Type-Options": ("", "nosniff"),
}


@dataclass(frozen=True, slots=True)
class Pem:
    """A PEM text within the file, of which nothing is shown: it may be a key."""

    label: str  # of the blocks that it must hold

    def read(self, reading: Reading, place: Place, node: Node) -> Secret | None:
        value = node.value if isinstance(node, Scalar) else None
        if value == "":
            return None
        if not isinstance(value, str) or f"{self.label}-----" not in value:
            what = HIDDEN if isinstance(node, Scalar) else found(node)
            wrong = f"found {what}, expected PEM with {self.label}"
            raise reading.complain(node.line, place, wrong)
        return Secret("inline", value)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class HeaderValue:
    """A header's value; a bare number is one, too (`X-XSS-Protection: 1`)."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        if isinstance(node, Scalar) and type(node.value) is int:
            return node.text
        value = _HEADER.read(reading, place, node)
        allowed = _VALUES.get(str(place[-1]))
        if allowed is not None and value not in allowed:
            wrong = f"found {found(node)}, expected {' or '.join(filter(None, allowed))}"
            raise reading.complain(node.line, place, wrong)
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": ["string", "integer"]}


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """How clients are asked for a certificate; nothing is the same as not at all."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        if isinstance(node, Scalar) and node.value == "":
            return "NoClientCert"
        return _MODE.read(reading, place, node)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"enum": [*_MODES, ""]}


@dataclass(frozen=True, slots=True)
class Interval:
    """A duration as Go writes it, or 0."""

    def read(self, reading: Reading, place: Place, node: Node) -> float:
        if isinstance(node, Scalar) and node.value in (0, "0"):
            return 0.0
        return _INTERVAL.read(reading, place, node)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": ["string", "integer"]}


@dataclass(frozen=True, slots=True)
class Hash:
    """A password's bcrypt hash. What stands there instead may be the password: it is not shown."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        value = node.value if isinstance(node, Scalar) else None
        match = _HASH.fullmatch(value) if isinstance(value, str) else None
        if match is not None and _MOST_COST < int(match[1]) <= _TAKEN_COST:
            log.warning("web_config_login_slow cost=%d expected=%d", int(match[1]), _MOST_COST)
        elif match is None or not 4 <= int(match[1]) <= _MOST_COST:
            what = HIDDEN if isinstance(node, Scalar) else found(node)
            wrong = f"found {what}, expected a bcrypt hash of cost 4 to {_MOST_COST}"
            raise reading.complain(node.line, place, f"{wrong} (htpasswd -nBC 10 NAME)")
        return match[0]

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        return {"type": "string", "pattern": f"^{_HASH.pattern}$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTlsConfig:
    """Our certificate, and whose we ask for."""

    cert_file: str | None = key(_FILE, None, "The server's certificate and its chain, PEM.")
    key_file: str | None = key(_FILE, None, "The private key of the certificate, PEM.")
    cert: Secret | None = key(Pem("CERTIFICATE"), None, "The certificate itself, without a file.")
    client_auth_type: str = key(
        ClientAuth(), "NoClientCert", "Whether clients must present a certificate."
    )
    client_ca_file: str | None = key(
        _FILE,
        None,
        "Certificate authorities of the clients' certificates, PEM. Default: the system's.",
    )
    client_ca: Secret | None = key(
        Pem("CERTIFICATE"), None, "The authorities themselves, without a file."
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
    curve_preferences: tuple[str, ...] = key(
        ListKind(choice(*CURVES), most=len(CURVES)),
        [],
        "Curves of the key exchange. One alone is the only one; of several the library chooses.",
    )
    prefer_server_cipher_suites: bool = key(
        boolean(), True, "Use the server's order of cipher suites."
    )
    # The last one: from here on the name means this field.
    key: Secret | None = key(Pem("PRIVATE KEY"), None, "The private key itself, without a file.")

    @property
    def enabled(self) -> bool:
        """Return whether anything of TLS is asked for; an empty section is as good as none."""
        return self != WebTlsConfig()

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what does not go together."""
        if not self.enabled:
            return
        for name, what in (
            ("cert", "the server's certificate and its chain, PEM"),
            ("key", "the private key of the certificate, PEM"),
        ):
            inline, file = getattr(self, name), getattr(self, f"{name}_file")
            if not inline and not file:
                yield Mistake((f"{name}_file",), f"found no such key, expected {what}")
            elif inline and file:
                yield Mistake((name,), f"found beside {name}_file, expected one of the two")
        authorities = "client_ca_file" if self.client_ca_file else "client_ca"
        if self.client_ca_file and self.client_ca:
            yield Mistake(("client_ca",), "found beside client_ca_file, expected one of the two")
        if getattr(self, authorities) and self.client_auth_type == "NoClientCert":
            wrong = "found beside NoClientCert, expected RequireAndVerifyClientCert with it"
            yield Mistake((authorities,), wrong)
        if self.client_allowed_sans and self.client_auth_type not in DEMANDING:
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
            HeaderValue(),
            most=5,
        ),
        {},
        "Headers of every response, in place of the server's own values; an empty value keeps its"
        " own.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRateConfig:
    """A token bucket for the requests of all clients together."""

    interval: float = key(Interval(), 0.0, "Time between two requests; 0 for no limit.")
    burst: int = key(integer(0, 1_000_000), 0, "Requests at once; 0 refuses all of them.")


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
    rate_limit: WebRateConfig = key(
        Section(WebRateConfig), {}, "Requests beyond it are answered 429."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of suites that HTTP/2 forbids while it is on, as the toolkit does."""
        tls = self.tls_server_config
        if tls is None or not self.http_server_config.http2 or tls.min_version == "TLS13":
            return
        if tls.cipher_suites and not any(map(_modern, tls.cipher_suites)):
            wrong = "found no suite that HTTP/2 allows, expected one (or http2: false)"
            yield Mistake(("tls_server_config", "cipher_suites"), wrong)


def _modern(suite: str) -> bool:
    """Return whether a suite has an ephemeral key and authenticates: RFC 9113, section 9.2.2."""
    return "_CBC_" not in suite and not suite.startswith("TLS_RSA_")


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
