"""Proxies by the environment's variables, and tunnels through them.

HTTPS_PROXY is for https, wss and ws, HTTP_PROXY for http, and for ws where there is no other; in
lower case they win. NO_PROXY lists who is asked directly: names (and all below them), addresses,
networks such as 10.0.0.0/8, each with or without a port; ``*`` for all. Loopback is never asked
over a proxy, or `demo` would not find its own simulator. What a proxy resolves it resolves for
itself: whose address it reaches in the end cannot be seen from here.

Source: RFC 9110, section 9.3.6 (CONNECT); RFC 6455, section 4.1 (a socket always tunnels).
"""

from __future__ import annotations

import base64
import errno
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from exporter.http.connection import connect
from exporter.http.resolver import resolve
from exporter.http.tcp import TcpConnection

_HEAD_LIMIT: Final = 16 << 10  # bytes of a proxy's answer to CONNECT
_NEVER: Final = ("localhost", "127.0.0.0/8", "::1")
_GATEWAY_TIMEOUT: Final = 504

_Network: TypeAlias = IPv4Network | IPv6Network


class ProxyError(ValueError):
    """The environment names a proxy that cannot be used; the text is one line without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One HTTP proxy. ``authorization`` is the value of the header Proxy-Authorization."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its URL, without the login."""
        return f"http://{authority(self.host, self.port)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exception:
    """One entry of NO_PROXY; without a port it holds for all."""

    name: str
    network: _Network | None
    port: int | None

    def holds(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.name == "*":
            return True
        if self.network is None:
            return host == self.name or host.endswith(f".{self.name}")
        try:
            return ip_address(host) in self.network
        except ValueError:
            return False


class Proxies:
    """The proxies in force. ``http`` and ``https`` are URLs; raises ProxyError."""

    def __init__(
        self, *, http: str | None = None, https: str | None = None, no: Collection[str] = ()
    ) -> None:
        self._http = None if http is None else _proxy("HTTP_PROXY", http)
        self._https = None if https is None else _proxy("HTTPS_PROXY", https)
        self._exceptions = [_exception(entry) for entry in no]

    def of(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy that leads to a host, None for nobody's help."""
        proxy = self._http if scheme == "http" else self._https
        if proxy is None and scheme == "ws":
            proxy = self._http
        if proxy is None:
            return None
        plain = host.strip("[]").rstrip(".").lower()
        return None if any(each.holds(plain, port) for each in self._exceptions) else proxy

    @property
    def secrets(self) -> list[str]:
        """What logs must hide."""
        found = []
        for proxy in (self._http, self._https):
            if proxy is not None and proxy.authorization is not None:
                encoded = proxy.authorization.partition(" ")[2]
                found += [encoded, base64.b64decode(encoded).decode().partition(":")[2]]
        return found


DIRECT: Final = Proxies()


def of_environment(environ: Mapping[str, str]) -> Proxies:
    """Read HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Raises ProxyError."""

    def value(name: str) -> str | None:
        return environ.get(name.lower()) or environ.get(name) or None

    # A CGI server would take HTTP_PROXY from a request's header Proxy: the known "httpoxy".
    http = environ.get("http_proxy") if "REQUEST_METHOD" in environ else value("HTTP_PROXY")
    listed = (value("NO_PROXY") or "").replace(" ", ",").split(",")
    no = [*_NEVER, *(entry for entry in listed if entry)]
    return Proxies(http=http, https=value("HTTPS_PROXY"), no=no)


@cache
def environment() -> Proxies:
    """Return the proxies of this process's environment, as it was at the first call.

    Raises ProxyError.
    """
    return of_environment(os.environ)


def authority(host: str, port: int) -> str:
    """Format host and port as a request names them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def through(proxy: Proxy, host: str, port: int) -> TcpConnection:
    """Have a proxy connect to a host. Raises OSError."""
    wire = await connect(await resolve(proxy.host), proxy.port)
    try:
        await ask(wire, proxy, host, port)
    except BaseException:
        wire.close()
        raise
    return wire


async def tunnel(proxy: Proxy | None, host: str, port: int) -> socket.socket:
    """Connect to a host, over a proxy where there is one. Raises OSError."""
    if proxy is None:
        return (await connect(await resolve(host), port)).detach()
    return (await through(proxy, host, port)).detach()


async def ask(wire: TcpConnection, proxy: Proxy, host: str, port: int) -> None:
    """Ask a proxy, over an open connection to it, to connect further. Raises OSError."""
    where = authority(host, port)
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await wire.receive()
        head += piece
        if not piece or len(head) > _HEAD_LIMIT:
            raise _refused("invalid answer of the proxy")
    version, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise _refused("the proxy's answer is not HTTP")
    if int(status) == _GATEWAY_TIMEOUT:
        raise TimeoutError(errno.ETIMEDOUT, "the proxy answered 504")
    if not status.startswith(b"2"):
        # Its reason and body are its own words, and may repeat the login.
        raise _refused(f"the proxy answered {int(status)}")
    if not head.endswith(b"\r\n\r\n"):
        raise _refused("data after the proxy's answer")


def _refused(why: str) -> OSError:
    return ConnectionRefusedError(errno.ECONNREFUSED, why)


def _proxy(name: str, url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    # Nothing of the value is repeated: it may hold a password.
    if not host or parts.scheme != "http" or parts.path not in ("", "/"):
        raise ProxyError(f"{name}: expected http://[user:password@]host:port")
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    return Proxy(host=host, port=port, authorization=authorization)


def _exception(entry: str) -> _Exception:
    name, port = entry.strip().lower(), None
    network = _network(name)
    if network is None:
        before, colon, number = name.rpartition(":")
        if colon and number.isdecimal():
            name, port = before, int(number)
            network = _network(name.strip("[]"))
    if name != "*":
        name = name.removeprefix("*").lstrip(".").rstrip(".")
    return _Exception(name=name, network=network, port=port)


def _network(text: str) -> _Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
