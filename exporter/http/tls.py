"""When a server's certificate ends, also one that fails verification; and whom we trust."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

from exporter.http.proxy import Proxy, tunnel

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


async def certificate_end(
    host: str, port: int, timeout: float, proxy: Proxy | None = None
) -> float | None:
    """Look at the certificate of a server that failed verification; epoch seconds.

    None when it cannot be had within ``timeout`` seconds.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over it; only the certificate is read
    try:
        async with asyncio.timeout(timeout):
            opened = await tunnel(proxy, host, port)
            _, writer = await asyncio.open_connection(
                sock=opened, ssl=context, server_hostname=host
            )
            try:
                der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.transport.abort()
        return None if der is None else not_after(der)
    except (OSError, ValueError):
        return None


def tls_context(
    ca_file: str | None = None, kind: type[ssl.SSLContext] = ssl.SSLContext
) -> ssl.SSLContext:
    """Return a verifying TLS context: the system's authorities, or those in ``ca_file`` alone."""
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context
