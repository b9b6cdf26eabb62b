"""Reading when a certificate ends."""

from __future__ import annotations

import ssl
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from exporter.http.tls import not_after
from tests.http.servers import CERTIFICATES, ENDED, ENDS

# --- certificates ---------------------------------------------------------------------------------


def der(name: str) -> bytes:
    text = (CERTIFICATES / name).read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


def test_certificate_ends() -> None:
    """Both ways of writing a time are read: two digits of the year before 2050, four from then."""
    assert not_after(der("expired.pem")) == ENDED
    assert not_after(der("valid.pem")) == ENDS


@given(st.integers(0, 500), st.integers(0, 255), st.integers(0, 600))
def test_wounded_certificates_are_refused_or_read(place: int, byte: int, length: int) -> None:
    """Whatever a server presents ends in a time or a ValueError."""
    wounded = bytearray(der("expired.pem"))
    wounded[place % len(wounded)] = byte
    with suppress(ValueError):
        assert isinstance(not_after(bytes(wounded[:length])), float)
