"""When certificates end, also those that fail verification or only vouch for others."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def not_after(der: bytes) -> float:
    """Return the end of a certificate's validity, epoch seconds. Raises ValueError.

    Source: RFC 5280, sections 4.1 and 4.1.2.5. The standard library decodes only certificates
    that it has verified, and the expired one is the one we want to know about.
    """
    try:
        certificate, _ = _element(der, _SEQUENCE)
        signed, _ = _element(certificate, _SEQUENCE)
        if signed[0] == _VERSION:
            _, signed = _element(signed)
        for _ in ("serialNumber", "signature", "issuer"):
            _, signed = _element(signed)
        validity, _ = _element(signed, _SEQUENCE)
        _, after = _element(validity)
        kind = after[0]
        text = _element(after)[0].decode("ascii")
    except IndexError as error:
        raise ValueError("certificate: cut short") from error
    if kind == _UTC_TIME:
        # Two digits of the year: 50 and above are the last century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError(f"certificate: tag {kind:#x} where a time belongs")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Split off the content of the first element."""
    if tag is not None and der[0] != tag:
        raise ValueError(f"certificate: tag {der[0]:#x}, expected {tag:#x}")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if len(der) < start + length:
        raise IndexError
    return der[start : start + length], der[start + length :]


def verified_chain(tls: ssl.SSLObject) -> list[bytes]:
    """Return the certificates by which a peer was verified, its own first, as DER.

    Python has a public name for it since 3.13; what it calls is there since 3.10.
    """
    public = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return [bytes(each) for each in public()]
    inner: Any = getattr(tls, "_sslobj", None)
    found = getattr(inner, "get_verified_chain", None)
    return [each.public_bytes(_ENCODING_DER) for each in found() or ()] if found else []


_ENCODING_DER = 2  # _ssl.ENCODING_DER
