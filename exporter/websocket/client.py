"""Opening a WebSocket: URL, proxy, TLS and handshake, within a timeout."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from time import monotonic

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.uri import parse_uri

from exporter.contracts import Clock, ConnectionLostError
from exporter.flow.stalls import UNWATCHED, LoopStalls
from exporter.http.connection import STALLED, is_local
from exporter.http.proxy import Proxies, environment, tunnel
from exporter.http.tls import tls_context
from exporter.model import Lost
from exporter.websocket.connection import HEADERS, WebSocket
from exporter.websocket.receive_queue import (
    SILENT,
    ReceiveQueueBounds,
    ReceiveQueueMeter,
)
from exporter.words import quoted, why


@cache
def verifying(ca_file: str | None = None) -> ssl.SSLContext:
    """Return the one context that trusts the system's authorities, or those in ``ca_file`` alone.

    Loading it takes 20 ms.
    """
    return tls_context(ca_file)


async def connect(
    url: str,
    *,
    clock: Clock,
    timeout: float = 10.0,
    headers: Mapping[str, str] = HEADERS,
    max_message: int = 16 << 20,
    bounds: ReceiveQueueBounds | None = None,
    meter: ReceiveQueueMeter = SILENT,
    ping_every: float | None = 20.0,
    ping_timeout: float = 10.0,
    close_timeout: float = 2.0,
    on_ping_rtt: Callable[[float | None], None] = lambda rtt: None,
    stalls: LoopStalls = UNWATCHED,
    compression: bool = True,
    tls: ssl.SSLContext | None = None,
    proxies: Proxies | None = None,
) -> WebSocket:
    """Open a connection to a ``ws://`` or ``wss://`` URL, the certificate verified.

    ``max_message`` bounds a message in bytes, after decompression. ``ping_every`` None sends no
    pings; ``on_ping_rtt`` hears None where we were late to read the pong. ``proxies`` are the
    environment's unless given. Raises ConnectionLostError, and
    ValueError for what is no such URL.
    """
    try:
        uri = parse_uri(url)
    except WebSocketException as error:
        raise ValueError(f"expected a ws:// or wss:// URL, got {quoted(url)}") from error
    extensions = [ClientPerMessageDeflateFactory()] if compression else None
    protocol = ClientProtocol(uri, extensions=extensions, max_size=max_message)
    context = (tls or verifying()) if uri.secure else None

    def make() -> WebSocket:
        return WebSocket(
            protocol,
            clock=clock,
            headers=headers,
            max_message=max_message,
            bounds=bounds or ReceiveQueueBounds(),
            meter=meter,
            ping_every=ping_every,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            on_ping_rtt=on_ping_rtt,
            stalls=stalls,
        )

    proxies = environment() if proxies is None else proxies
    proxy = proxies.of("wss" if uri.secure else "ws", uri.host, uri.port)
    socket: WebSocket | None = None
    begun = monotonic()
    try:
        async with asyncio.timeout(timeout):
            opened = await tunnel(proxy, uri.host, uri.port)
            _, socket = await asyncio.get_running_loop().create_connection(
                make,
                sock=opened,
                ssl=context,
                server_hostname=uri.host if context is not None else None,
            )
            await socket.opened
    except TimeoutError as error:
        stalled = monotonic() - begun - timeout > STALLED
        reason = Lost.LOCAL_RESOURCE if stalled else Lost.NETWORK
        raise ConnectionLostError(reason, f"not open after {timeout:g} s") from error
    except OSError as error:  # refused, unreachable, no such name, certificate not trusted
        if isinstance(error, ConnectionLostError):
            raise
        reason = Lost.LOCAL_RESOURCE if is_local(error) else Lost.NETWORK
        raise ConnectionLostError(reason, why(error)[:200]) from error
    finally:
        if socket is not None and not _open(socket):
            socket.abort()
    return socket


def _open(socket: WebSocket) -> bool:
    opened = socket.opened
    return opened.done() and not opened.cancelled() and opened.exception() is None
