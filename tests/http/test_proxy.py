"""Ways through a proxy: who is asked over which, TLS end to end, and what a refusal is called."""

from __future__ import annotations

import asyncio
import base64
import os
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection, serve

from exporter.clock import SystemClock
from exporter.contracts import ConnectionLostError, FetchFailedError
from exporter.http.client import HttpClient
from exporter.http.proxy import DIRECT, Proxies, ProxyError, of_environment
from exporter.model import Answer, Lost, Phase, Reason
from exporter.web.connection_limits import abort
from exporter.websocket.client import connect
from tests.http.servers import (
    CERTIFICATES,
    ENDED,
    ENDS,
    OK,
    Server,
    get,
    say,
)

CA_FILE = str(CERTIFICATES / "ca.pem")
LOGIN = "Basic " + base64.b64encode(b"desk:pa:ss/word").decode()


class Proxy:
    """A proxy on loopback that takes every name for 127.0.0.1; ``heads`` is what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self._answer = answer
        self.heads: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://desk:pa%3Ass%2Fword@127.0.0.1:{self.port}"
        self.proxies = Proxies(http=self.url, https=self.url)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            if method == "CONNECT":
                writer.write(self._answer)
                if b" 200 " not in self._answer:
                    await writer.drain()
                    writer.close()
                    return
                port, first = int(target.rpartition(":")[2]), b""
            else:
                port = int(target.split("/")[2].rpartition(":")[2])
                first = head.encode()
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            self._writers.append(outer)
            outer.write(first)
            await asyncio.gather(_pump(reader, outer), _pump(inner, writer))

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            abort(writer.transport)
        await asyncio.sleep(0.01)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _through(
    url: str, certificate: str | None = None, answer: bytes | None = None
) -> tuple[list[Answer], list[str]]:
    """Ask a server twice over a proxy; return the answers and what the proxy was asked."""

    async def main() -> tuple[list[Answer], list[str]]:
        proxy = Proxy() if answer is None else Proxy(answer)
        async with (
            Server(say(OK), certificate) as server,
            proxy,
            HttpClient(ca_file=CA_FILE, proxies=proxy.proxies) as client,
        ):
            target = url.replace("PORT", str(server.port))
            return [await get(client, target) for _ in range(2)], proxy.heads

    return asyncio.run(main())


def test_https_goes_through_a_tunnel_with_tls_end_to_end() -> None:
    """The server's own certificate is verified, and the proxy sees nothing but where it leads."""
    (first, second), heads = _through("https://localhost:PORT/secret?key=1", "valid.pem")
    assert (first.body, first.certificate_end) == (b"ok", ENDS)
    assert len(heads) == 1
    assert heads[0].startswith("CONNECT localhost:")
    assert f"Proxy-Authorization: {LOGIN}\r\n" in heads[0]
    assert "secret" not in heads[0]
    # The phases are those of a new connection, then those of a reused one.
    assert set(first.phases) >= {Phase.CONNECT, Phase.TLS, Phase.PROCESSING, Phase.TRANSFER}
    assert (second.new_connection, set(second.phases)) == (
        False,
        {Phase.PROCESSING, Phase.TRANSFER},
    )


def test_http_is_asked_in_absolute_form() -> None:
    """Without TLS the proxy reads the request itself, and may resolve a name that we cannot."""
    (first, _), heads = _through("http://exchange.invalid:PORT/api/v3/ping?x=1")
    assert first.body == b"ok"
    line, host, *_ = heads[0].split("\r\n")
    assert line.startswith("GET http://exchange.invalid:")
    assert line.endswith("/api/v3/ping?x=1 HTTP/1.1")
    assert host.startswith("Host: exchange.invalid:")
    assert f"Proxy-Authorization: {LOGIN}\r\n" in heads[0]


@pytest.mark.parametrize(
    ("certificate", "host", "reason"),
    [
        ("self_signed.pem", "localhost", Reason.TLS),
        ("valid.pem", "exchange.invalid", Reason.TLS),
        ("expired.pem", "localhost", Reason.CERT_EXPIRED),
    ],
)
def test_a_false_certificate_is_seen_through_a_proxy(
    certificate: str, host: str, reason: Reason
) -> None:
    """A proxy that answers in the exchange's name is found out, and an end can be read."""
    with pytest.raises(FetchFailedError) as caught:
        _through(f"https://{host}:PORT/", certificate)
    assert caught.value.reason is reason
    if reason is Reason.CERT_EXPIRED:
        assert caught.value.certificate_end == ENDED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 desk:pa:ss/word\r\n\r\npa:ss/word", Reason.CONNECT_REFUSED),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Reason.CONNECT_REFUSED),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", Reason.CONNECT_TIMEOUT),
    ],
)
def test_a_proxy_that_refuses_is_a_connection_that_fails(answer: bytes, reason: Reason) -> None:
    """Its status is told, its words are not: they may repeat the login."""
    with pytest.raises(FetchFailedError) as caught:
        _through("https://localhost:PORT/", "valid.pem", answer)
    assert caught.value.reason is reason
    assert answer[9:12].decode() in str(caught.value.detail)
    assert "ss/word" not in caught.value.detail


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\nmore", b"HTTP/1.1 200 OK\r\n" * 2000],
)
def test_a_proxy_that_speaks_no_http_is_refused(answer: bytes) -> None:
    """Whatever answers there, the probe ends with a reason."""
    with pytest.raises(FetchFailedError) as caught:
        _through("https://localhost:PORT/", "valid.pem", answer)
    assert caught.value.reason is Reason.CONNECT_REFUSED


def test_an_absent_proxy_is_told_like_an_absent_exchange() -> None:
    """Nobody listens: the connection is refused, and nothing goes around the proxy."""

    async def main() -> int:
        async with Server(say(OK), "valid.pem") as server, Server(say(OK)) as gone:
            pass
        proxies = Proxies(https=f"http://127.0.0.1:{gone.port}")
        async with Server(say(OK), "valid.pem") as server:
            async with HttpClient(ca_file=CA_FILE, proxies=proxies) as client:
                with pytest.raises(FetchFailedError) as caught:
                    await get(client, f"https://localhost:{server.port}/")
            assert caught.value.reason is Reason.CONNECT_REFUSED
            return server.connections

    assert asyncio.run(main()) == 0


def test_streams_go_through_the_proxy() -> None:
    """A WebSocket tunnels, with and without TLS; a refusal is the network's, with its status."""

    async def handler(server: ServerConnection) -> None:
        await server.send("through")
        await server.wait_closed()

    async def main() -> tuple[list[bytes], list[str]]:
        frames: list[bytes] = []

        def take(batch: list[tuple[float, bytes]]) -> bool:
            frames.extend(frame for _, frame in batch)
            return True

        async with serve(handler, "127.0.0.1", 0) as server, Proxy() as proxy:
            port = next(iter(server.sockets)).getsockname()[1]
            socket = await connect(
                f"ws://exchange.invalid:{port}/", clock=SystemClock(), proxies=proxy.proxies
            )
            await socket.receive(take)  # type: ignore[arg-type]  # a list is a sequence
            await socket.close()
            heads = proxy.heads
        async with Proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
            with pytest.raises(ConnectionLostError) as caught:
                await connect("wss://exchange.invalid/", clock=SystemClock(), proxies=proxy.proxies)
            assert caught.value.reason is Lost.NETWORK
            assert "the proxy answered 403" in str(caught.value.detail)
        return frames, heads

    frames, heads = asyncio.run(main())
    assert frames == [b"through"]
    assert heads[0].startswith("CONNECT exchange.invalid:")


def test_no_descriptor_is_left_behind() -> None:
    """However a tunnel ends, its socket is closed or kept for reuse."""

    async def main() -> int:
        async with (
            Server(say(OK), "valid.pem") as server,
            Proxy() as proxy,
            Proxy(b"HTTP/1.1 403 No\r\n\r\n") as closed,
        ):
            for each in (proxy, closed):
                for timeout in (0.001, 0.01, 5.0):
                    async with HttpClient(ca_file=CA_FILE, proxies=each.proxies) as client:
                        with suppress(FetchFailedError):
                            await get(client, f"https://localhost:{server.port}/", timeout)
            for url in (f"wss://localhost:{server.port}/", f"ws://localhost:{server.port}/"):
                with suppress(ConnectionLostError):
                    await connect(url, clock=SystemClock(), timeout=1.0, proxies=closed.proxies)
        await asyncio.sleep(0.1)
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked

    before = asyncio.run(main())
    assert asyncio.run(main()) <= before


# --- who is asked over which ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("no", "host", "port", "direct"),
    [
        ("", "api.exchange.com", 443, False),
        ("", "localhost", 443, True),
        ("", "127.8.9.10", 443, True),
        ("", "[::1]", 443, True),
        ("*", "api.exchange.com", 443, True),
        ("exchange.com", "api.exchange.com", 443, True),
        (".exchange.com", "API.exchange.com.", 443, True),
        ("*.exchange.com", "api.exchange.com", 443, True),
        ("exchange.com", "otherexchange.com", 443, False),
        ("other.org, exchange.com", "exchange.com", 443, True),
        ("exchange.com:8443", "exchange.com", 443, False),
        ("exchange.com:8443", "exchange.com", 8443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "ten.example", 443, False),
        ("fd00::/8", "[fd00::1]", 443, True),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("[fd00::1]:8443", "fd00::1", 8443, True),
    ],
)
def test_no_proxy_names_who_is_asked_directly(no: str, host: str, port: int, direct: bool) -> None:
    """Names with what is below them, addresses and networks, each with or without a port."""
    proxies = of_environment({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no})
    assert (proxies.of("https", host, port) is None) is direct


def test_each_scheme_has_its_variable() -> None:
    """In either case of letters, the lower one first; without any there is no proxy."""
    proxies = of_environment(
        {"http_proxy": "one:1", "HTTP_PROXY": "two:2", "HTTPS_PROXY": "http://three/"}
    )
    found = {scheme: proxies.of(scheme, "x.org", 1) for scheme in ("http", "https", "ws", "wss")}
    assert {scheme: proxy.url for scheme, proxy in found.items() if proxy} == {
        "http": "http://one:1",
        "https": "http://three:80",
        "ws": "http://three:80",
        "wss": "http://three:80",
    }
    only = of_environment({"HTTP_PROXY": "one:1"}).of("ws", "x.org", 1)
    assert only is not None
    assert of_environment({}).of("https", "x.org", 1) is None
    assert DIRECT.of("https", "x.org", 1) is None


def test_a_proxy_cannot_be_slipped_in_by_a_request() -> None:
    """In a CGI environment HTTP_PROXY is a header of whoever asks: only http_proxy counts there."""
    environ = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:1"}
    assert of_environment(environ).of("http", "x.org", 80) is None


@pytest.mark.parametrize(
    "value",
    [
        "socks5://u:hunter2@proxy:1080",
        "https://u:hunter2@proxy",
        "http://u:hunter2@",
        "http://u:hunter2@proxy:x",
    ],
)
def test_a_proxy_of_another_kind_is_refused_without_its_password(value: str) -> None:
    """One line says what is expected, and repeats nothing."""
    with pytest.raises(ProxyError, match=r"^HTTPS_PROXY: expected http://") as caught:
        of_environment({"HTTPS_PROXY": value})
    assert "hunter2" not in str(caught.value)


def test_logins_are_shown_to_nobody() -> None:
    """Neither a proxy's spelling nor its URL has one, and logs are told what to hide."""
    proxies = of_environment({"HTTPS_PROXY": "http://desk:pa%3Ass%2Fword@proxy:3128"})
    proxy = proxies.of("https", "x.org", 443)
    assert proxy is not None
    assert proxy.authorization == LOGIN
    assert "word" not in f"{proxy!r}{proxy.url}"
    assert set(proxies.secrets) == {LOGIN.removeprefix("Basic "), "pa:ss/word"}
