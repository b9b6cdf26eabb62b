"""The web config file: every mistake is told in one line, and what may be a password never is."""

from __future__ import annotations

import pytest

from exporter.config import ConfigError, web

HASHED = "$2y$04$7YzHgb3XfWS8aPv/aU6ufevUQnTk7A6Eg0jVpe4D1JDD9LfVrg9Bq"
FULL = f"""
tls_server_config:
  cert_file: own.pem
  key_file: own.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans: [prometheus.example]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
http_server_config:
  http2: false
  headers: {{Strict-Transport-Security: max-age=31536000}}
basic_auth_users:
  alice: {HASHED}
"""


def complaints(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        web.read(text, "web.yml")
    return caught.value.complaints


def test_a_full_file_is_read_whole() -> None:
    """Every key of the format that we keep has its effect."""
    read, _ = web.read(FULL, "web.yml")
    tls = read.tls_server_config
    assert tls is not None
    assert (tls.cert_file, tls.client_allowed_sans) == ("own.pem", ("prometheus.example",))
    assert [web.SUITES[each] for each in tls.cipher_suites] == ["ECDHE-RSA-AES128-GCM-SHA256", ""]
    assert read.basic_auth_users == {"alice": HASHED}
    assert read.http_server_config.headers == {"Strict-Transport-Security": "max-age=31536000"}


@pytest.mark.parametrize("text", ["", "\n# nothing yet\n"])
def test_an_empty_file_secures_nothing(text: str) -> None:
    """As with every exporter of the toolkit."""
    assert web.read(text, "web.yml")[0] == web.WebConfig()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tls_server_config: {cert_file: a.pem}",
            "web.yml:1: tls_server_config.key_file: found no such key, expected the private key of "
            "the certificate, PEM",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
            'web.yml:1: tls_server_config.min_version: found "TLS10", expected one of TLS12, '
            'TLS13; did you mean "TLS13"?',
        ),
        (
            "tls_server_config:\n  cert_file: a\n  key_file: b\n  min_version: TLS13\n"
            "  max_version: TLS12",
            "web.yml:4: tls_server_config.min_version: found TLS13, expected at most max_version, "
            "TLS12",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: AnyClientCert}",
            'web.yml:1: tls_server_config.client_auth_type: found "AnyClientCert", expected one of '
            "NoClientCert, RequestClientCert, RequireAnyClientCert, RequireClientCert, "
            'VerifyClientCertIfGiven, RequireAndVerifyClientCert; did you mean "NoClientCert"?',
        ),
        (
            "tls_server_config: {cert_file: a, cert: hunter2, key_file: b}",
            "web.yml:1: tls_server_config.cert: found a text (not shown), expected PEM with "
            "CERTIFICATE",
        ),
        (
            "tls_server_config: {cert_file: a, key: hunter2, key_file: b}",
            "web.yml:1: tls_server_config.key: found a text (not shown), expected PEM with "
            "PRIVATE KEY",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
            "web.yml:1: tls_server_config.client_ca_file: found beside NoClientCert, expected "
            "RequireAndVerifyClientCert with it",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_allowed_sans: [x]}",
            "web.yml:1: tls_server_config.client_allowed_sans: found beside NoClientCert, expected "
            "RequireAndVerifyClientCert",
        ),
        (
            "basic_auth_users: {alice: hunter2}",
            "web.yml:1: basic_auth_users.alice: found a text (not shown), expected a bcrypt hash "
            "of cost 4 to 16 (htpasswd -nBC 10 NAME)",
        ),
        (
            f"basic_auth_users: {{alice: {HASHED.replace('$04$', '$31$')}}}",
            "web.yml:1: basic_auth_users.alice: found a text (not shown), expected a bcrypt hash "
            "of cost 4 to 16 (htpasswd -nBC 10 NAME)",
        ),
        (
            "basic_auth_user: {}",
            'web.yml:1: basic_auth_user: found an unknown key; did you mean "basic_auth_users"?',
        ),
    ],
)
def test_each_mistake_earns_its_line(text: str, said: str) -> None:
    """File, line, key, what was found and what was expected, as of the main config."""
    assert complaints(text) == (said,)


def test_header_values_cannot_smuggle_further_headers() -> None:
    """A line break in a header's value is refused, and so is a header that is not the format's."""
    said = complaints(
        'http_server_config:\n  headers: {X-Frame-Options: "deny\\r\\nX: y", Set-Cookie: a=b}'
    )
    assert len(said) == 2
    assert "headers.X-Frame-Options" in said[0]
    assert "headers.Set-Cookie" in said[1]
