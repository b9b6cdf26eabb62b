"""TLS contexts, and the expiry of server certificates, including ones that fail verification."""

from __future__ import annotations

import asyncio
import ssl

from exporter.http.certificates import not_after as not_after
from exporter.http.proxy import Proxy, tunnel


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
