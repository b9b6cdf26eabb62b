"""One web config for all exporters of a host: what the toolkit takes we take, what it refuses, too.

The cases are those of web/testdata of prometheus/exporter-toolkit (read at commit 0089e78 and
neighbours, 2026-11-30), written anew with our own certificates. docs/web_config.md lists what
differs on purpose.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from textwrap import indent

import aiohttp
import pytest

from exporter.config import ConfigError, web
from exporter.web.security import WebSecurity
from tests.web.test_security import CA, CERTIFICATES, HASHED, TLS, VALID, ask, serving, trusting

IF_GIVEN = "  client_auth_type: VerifyClientCertIfGiven\n"
SLOW = HASHED.replace("$04$", "$18$")
SUITES = "".join(f"  - {name}\n" for name in web.SUITES)
CURVES = ", ".join(web.CURVES)


def block(label: str, text: str) -> str:
    """Return the first block of a PEM text."""
    found = re.search(rf"-----BEGIN {label}-----.*?-----END {label}-----\n", text, re.DOTALL)
    assert found is not None
    return found[0]


def inline(key: str, label: str, text: str) -> str:
    """Return a key of the file that holds a block of a PEM text."""
    return f"  {key}: |\n" + indent(block(label, text), "    ")


def own() -> str:
    """Return our certificate and key, written into the file."""
    text = VALID.read_text()
    kind = "PRIVATE KEY" if "BEGIN PRIVATE KEY" in text else "EC PRIVATE KEY"
    both = inline("cert", "CERTIFICATE", text) + inline("key", kind, text)
    return "tls_server_config:\n" + both


GOOD = {
    "empty": "",
    "no_tls": "tls_server_config: {}\n",
    "verify_if_given": TLS + IF_GIVEN,
    "verify": TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n",
    "verify_by_the_system": TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
    "any": TLS + "  client_auth_type: RequireAnyClientCert\n  client_ca_file: ca.pem\n",
    "any_by_its_old_name": TLS
    + "  client_auth_type: RequireClientCert\n  client_ca_file: ca.pem\n",
    "request": TLS + "  client_auth_type: RequestClientCert\n",
    "blank_mode": TLS + '  client_auth_type: ""\n',
    "all_suites": TLS + IF_GIVEN + f"  cipher_suites:\n{SUITES}",
    "all_curves": TLS + IF_GIVEN + f"  curve_preferences: [{CURVES}]\n",
    "one_curve": TLS + IF_GIVEN + "  curve_preferences: [CurveP521]\n",
    "no_http2": TLS
    + "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]\n  max_version: TLS12\n"
    + "http_server_config: {http2: false}\n",
    "inline": own(),
    "inline_key": "tls_server_config:\n  cert_file: own.pem\n"
    + own().partition("-----END CERTIFICATE-----\n")[2],
    "inline_authority": TLS
    + "  client_auth_type: RequireAndVerifyClientCert\n"
    + inline("client_ca", "CERTIFICATE", CA.read_text()),
    "sans": TLS
    + "  client_auth_type: RequireAnyClientCert\n  client_ca_file: ca.pem\n"
    + "  client_allowed_sans: [one, two]\n",
    "headers": "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    "    X-Content-Type-Options: nosniff\n    X-XSS-Protection: 1\n"
    "    Strict-Transport-Security: max-age=31536000\n",
    "users": f"basic_auth_users:\n  alice: {HASHED}\n  bob: {SLOW}\n",
    "no_rate": "rate_limit: {interval: 0, burst: 0}\n",
    "rate": 'rate_limit: {interval: "1s", burst: 0}\n',
}
BAD = {
    "no_certificate": ('tls_server_config: {cert_file: "", key_file: own.pem}', "cert_file"),
    "no_key": ('tls_server_config: {cert_file: own.pem, key_file: ""}', "key_file"),
    "blank_inline": ('tls_server_config: {cert: "", key_file: own.pem}', "cert_file"),
    "both": ("tls_server_config:\n  cert_file: own.pem\n" + own().partition("\n")[2], "cert"),
    "missing_file": ("tls_server_config: {cert_file: none, key_file: own.pem}", "cert_file"),
    "authority_without_mode": (TLS + "  client_ca_file: ca.pem\n", "client_ca_file"),
    "authority_missing": (TLS + IF_GIVEN + "  client_ca_file: none\n", "client_ca_file"),
    "invented_suite": (TLS + "  cipher_suites: [TLS_ECDHE_WITH_ROT13]\n", "cipher_suites"),
    "invented_curve": (TLS + "  curve_preferences: [CurveP257]\n", "curve_preferences"),
    "invented_version": (TLS + "  min_version: TLS111\n", "min_version"),
    "sans_of_nobody": (TLS + IF_GIVEN + "  client_allowed_sans: [a]\n", "client_allowed_sans"),
    "suite_without_http2": (
        TLS + "  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n  max_version: TLS12\n",
        "cipher_suites",
    ),
    "frame_options": ("http_server_config: {headers: {X-Frame-Options: foo}}", "X-Frame-Options"),
    "content_type_options": (
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}",
        "X-Content-Type-Options",
    ),
    "extra_header": ("http_server_config: {headers: {X-Mine: a}}", "X-Mine"),
    "no_hash": ("basic_auth_users: {alice: hunter2}", "alice"),
    "junk": ("rate_limits: {}", "rate_limits"),
    "rate": ("rate_limit: {interval: soon, burst: 1}", "interval"),
}


def loaded(folder: Path, text: str) -> WebSecurity:
    """Read a web config beside our certificates. Raises ConfigError."""
    (folder / "own.pem").write_text(VALID.read_text())
    (folder / "ca.pem").write_text(CA.read_text())
    file = folder / "web.yml"
    file.write_text(text)
    security = WebSecurity(str(file))
    security.load()
    return security


@pytest.mark.parametrize("name", GOOD)
def test_what_the_toolkit_takes_is_taken(name: str, tmp_path: Path) -> None:
    """Each of its forms is read, and its files are loaded."""
    found = loaded(tmp_path, GOOD[name]).security
    assert (found.tls is not None) == ("own.pem" in GOOD[name] or name == "inline")


@pytest.mark.parametrize("name", BAD)
def test_what_the_toolkit_refuses_is_refused(name: str, tmp_path: Path) -> None:
    """In one line that names the key, and never shows what may be a secret."""
    text, key = BAD[name]
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    (line,) = caught.value.complaints
    assert f"{key}" in line
    assert "hunter2" not in line


def test_a_certificate_in_the_file_serves(tmp_path: Path) -> None:
    """The key never needs a file of its own."""

    async def main() -> None:
        async with serving(tmp_path, own()) as (server, _, _):
            assert (await ask(server, trusting()))[0] == 200

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["RequireAnyClientCert", "RequireAndVerifyClientCert"])
def test_who_must_show_a_certificate_must(tmp_path: Path, mode: str) -> None:
    """Neither of the demanding modes lets anyone in who shows none, or one that nobody signed."""
    demand = f"  client_auth_type: {mode}\n" + inline("client_ca", "CERTIFICATE", CA.read_text())

    async def main() -> None:
        async with serving(tmp_path, TLS + demand) as (server, _, _):
            assert (await ask(server, trusting(VALID)))[0] == 200
            for client in (None, CERTIFICATES / "self_signed.pem"):
                with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                    await ask(server, trusting(client))

    asyncio.run(main())


def test_one_curve_is_the_only_one(tmp_path: Path) -> None:
    """A client without it has no handshake."""

    async def main() -> None:
        async with serving(tmp_path, TLS + "  curve_preferences: [CurveP521]\n") as (server, _, _):
            theirs, other = trusting(), trusting()
            theirs.set_ecdh_curve("secp521r1")
            other.set_ecdh_curve("secp384r1")
            assert (await ask(server, theirs))[0] == 200
            with pytest.raises(aiohttp.ClientConnectorError):
                await ask(server, other)

    asyncio.run(main())


def test_requests_beyond_the_rate_are_told_when_to_come_again(tmp_path: Path) -> None:
    """All clients share one bucket; a burst of 0 lets nobody in, as in the toolkit."""

    async def main(burst: int) -> list[int]:
        text = f"rate_limit: {{interval: 1h, burst: {burst}}}\n"
        async with serving(tmp_path, text) as (server, _, _):
            answers = [await ask(server, None) for _ in range(4)]
            assert all("Retry-After" in headers for status, headers in answers if status == 429)
            return [status for status, _ in answers]

    assert asyncio.run(main(2)) == [200, 200, 429, 429]
    assert asyncio.run(main(0)) == [429] * 4


def test_a_bare_number_is_a_header(tmp_path: Path) -> None:
    """`X-XSS-Protection: 1` needs no quotes."""

    async def main() -> str:
        async with serving(tmp_path, GOOD["headers"]) as (server, _, _):
            return (await ask(server, None))[1]["X-XSS-Protection"]

    assert asyncio.run(main()) == "1"
