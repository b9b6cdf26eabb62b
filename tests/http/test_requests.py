"""Requests over real sockets: what each phase measures, and why each failure failed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib

import pytest

from exporter.contracts import FetchFailedError
from exporter.http.client import HttpClient
from exporter.model import Answer, Phase, Reason
from exporter.web.connection_limits import abort
from tests.http.servers import (
    CERTIFICATES,
    ENDED,
    ENDS,
    OK,
    Handler,
    Server,
    failure,
    fetched,
    get,
    hang_up,
    leave,
    reset,
    say,
)

# --- what is measured ---------------------------------------------------------------------------


def test_new_and_reused_connections_are_told_apart() -> None:
    """The first request opens a connection, the second rides on it, and their phases say so."""
    first, second = fetched(say(OK), times=2)
    assert (first.status, first.body, first.headers["x-used"]) == (200, b"ok", "7")
    assert (first.new_connection, second.new_connection) == (True, False)
    assert set(first.phases) == {Phase.CONNECT, Phase.PROCESSING, Phase.TRANSFER}
    assert set(second.phases) == {Phase.PROCESSING, Phase.TRANSFER}
    assert first.certificate_end is None


def test_name_is_resolved_once_and_its_addresses_told() -> None:
    """A name's first request times the resolver and lists what it found."""
    first, second = fetched(say(OK), times=2, host="localhost")
    assert first.phases[Phase.RESOLVE] > 0.0
    assert "127.0.0.1" in first.addresses
    assert Phase.RESOLVE not in second.phases
    assert second.addresses == ()


def test_tls_is_timed_apart_and_its_end_known() -> None:
    """The handshake has its own phase; a reused connection keeps its certificate's end."""
    first, second = fetched(say(OK), certificate="valid.pem", times=2)
    assert first.phases[Phase.TLS] > 0.0
    assert first.phases[Phase.CONNECT] > 0.0
    assert Phase.TLS not in second.phases
    assert (first.certificate_end, second.certificate_end) == (ENDS, ENDS)


@pytest.mark.timed
def test_phases_measure_what_they_say() -> None:
    """A slow server shows in processing, a slow body in transfer, and nowhere else."""
    head, body = OK[:-2], OK[-2:]
    (answer,) = fetched(say(head, body, before=0.2, between=0.1))
    assert 0.2 <= answer.phases[Phase.PROCESSING] < 0.28
    assert 0.1 <= answer.phases[Phase.TRANSFER] < 0.18
    assert answer.phases[Phase.CONNECT] < 0.1


@pytest.mark.timed
def test_tls_phase_measures_the_handshake() -> None:
    """A server that is slow to shake hands shows in tls, not in connect."""

    async def main() -> Answer:
        async with Server(say(OK), "valid.pem") as server:

            async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await asyncio.sleep(0.2)
                there, back = await asyncio.open_connection("127.0.0.1", server.port)

                async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                    while piece := await source.read(65536):
                        sink.write(piece)

                try:
                    await asyncio.gather(pump(reader, back), pump(there, writer))
                finally:
                    abort(back.transport)

            ca_file = str(CERTIFICATES / "ca.pem")
            async with Server(late) as proxy, HttpClient(ca_file=ca_file) as client:
                return await get(client, proxy.url.replace("http:", "https:"))

    answer = asyncio.run(main())
    assert answer.phases[Phase.TLS] >= 0.2
    assert answer.phases[Phase.CONNECT] < 0.1


def test_redirects_are_answers() -> None:
    """Nothing is followed to where nobody configured it."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    (answer,) = fetched(say(moved))
    assert answer.status == 302
    assert answer.headers["location"] == "http://127.0.0.1:1/"


def test_a_body_is_sent_whole() -> None:
    """A request may carry a body, larger than any buffer on the way."""
    sent = bytes(range(256)) * 20_000

    async def echo_size(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        same = await reader.readexactly(length) == sent
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + (b"same" if same else b"else")
        )

    async def main() -> Answer:
        async with Server(echo_size) as server, HttpClient() as client:
            return await client(
                "POST", server.url, headers={}, timeout=5.0, body_limit=10, body=sent
            )

    assert asyncio.run(main()).body == b"same"


def test_a_host_header_of_the_config_is_sent() -> None:
    """Instead of the URL's own, as for one of several sites at one address."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        hosts = b",".join(line for line in head.split(b"\r\n") if line.lower().startswith(b"host"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(hosts), hosts))

    async def main() -> Answer:
        async with Server(repeat) as server, HttpClient() as client:
            headers = {"host": "site.example"}
            return await client("GET", server.url, headers=headers, timeout=5.0, body_limit=100)

    assert asyncio.run(main()).body == b"Host: site.example"


def test_without_keepalive_every_connection_is_new() -> None:
    """A client for cold measurements never reuses."""

    async def main() -> tuple[list[bool], int]:
        async with Server(say(OK)) as server, HttpClient(keepalive=None) as client:
            answers = [await get(client, server.url) for _ in range(3)]
            return [answer.new_connection for answer in answers], server.connections

    assert asyncio.run(main()) == ([True, True, True], 3)


def test_pool_is_bounded_per_host() -> None:
    """Twenty requests at once share two connections, and all are answered."""

    async def main() -> int:
        async with (
            Server(say(OK, before=0.01)) as server,
            HttpClient(limit_per_host=2) as client,
        ):
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(get(client, server.url))
            return server.connections

    assert asyncio.run(main()) == 2


def test_dropped_idle_connection_is_no_failure() -> None:
    """A server that closed an idle connection is simply connected to again."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    first, second = fetched(once, times=2)
    assert (first.new_connection, second.new_connection) == (True, True)


# --- what fails, and why --------------------------------------------------------------------------


def test_refused_and_unknown_hosts() -> None:
    """Nobody listens, or nobody has the name: two different things."""

    async def main(url: str) -> None:
        async with HttpClient() as client:
            await get(client, url)

    async def unused() -> str:
        async with Server(say(OK)) as server:
            return server.url

    for url, reason in (
        (asyncio.run(unused()), Reason.CONNECT_REFUSED),
        ("http://nobody.invalid/", Reason.DNS),
        ("ftp://127.0.0.1/", Reason.OTHER),
        ("http://", Reason.OTHER),
        ("http://127.0.0.1:99999/", Reason.OTHER),
    ):
        with pytest.raises(FetchFailedError) as caught:
            asyncio.run(main(url))
        assert caught.value.reason is reason, url
        assert caught.value.detail


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (say(OK, before=5.0), Reason.READ_TIMEOUT),
        (say(OK[:-2], OK[-2:], between=5.0), Reason.READ_TIMEOUT),
        (hang_up, Reason.CLOSED),
        (leave, Reason.CLOSED),
        (reset, Reason.RESET),
        (say(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), Reason.BARE_LINE_FEED),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok"), Reason.BARE_LINE_FEED),
        (
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n"),
            Reason.BARE_LINE_FEED,
        ),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Reason.BODY_INVALID),
        (say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), Reason.BODY_INVALID),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n"), Reason.BODY_INVALID),
        (
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            Reason.BODY_INVALID,
        ),
        (
            say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
            Reason.BODY_INVALID,
        ),
    ],
)
def test_failures_have_their_reason(handler: Handler, reason: Reason) -> None:
    """Slow, rude and broken servers each fail in their own way, within the timeout."""
    assert failure(handler, timeout=0.3).reason is reason


@pytest.mark.parametrize("certificate", [None, "valid.pem"])
def test_closed_without_an_answer_is_no_broken_tls(certificate: str | None) -> None:
    """Who hangs up on a request is said to have, over TLS too, with or without its goodbye."""

    async def main() -> None:
        ca = str(CERTIFICATES / "ca.pem")
        async with Server(leave, certificate) as server, HttpClient(ca_file=ca) as client:
            await get(client, server.url)

    with pytest.raises(FetchFailedError) as caught:
        asyncio.run(main())
    assert caught.value.reason is Reason.CLOSED


def test_no_way_to_a_network_is_said() -> None:
    """The system's word that there is no route is a reason of its own."""

    async def main() -> None:
        async with HttpClient(address="ff0e::1") as client:  # no machine connects to a multicast
            await get(client, "http://venue.example/")

    with pytest.raises(FetchFailedError) as caught:
        asyncio.run(main())
    assert caught.value.reason is Reason.UNREACHABLE


def test_cut_off_body_is_invalid() -> None:
    """A body shorter than announced is not passed off as whole."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")

    assert failure(cut).reason is Reason.BODY_INVALID


def test_connect_timeout() -> None:
    """A full backlog, where no handshake ends, is a connect timeout."""

    async def main() -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(deaf.getsockname())
            try:
                async with HttpClient() as client:
                    await get(client, f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout=0.3)
            finally:
                for filler in fillers:
                    filler.close()

    with pytest.raises(FetchFailedError) as caught:
        asyncio.run(main())
    assert caught.value.reason is Reason.CONNECT_TIMEOUT


def test_silent_handshake_is_tls() -> None:
    """A port that accepts and never answers the handshake fails as tls."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5.0)

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        abort(writer.transport)

    async def main(handler: Handler) -> None:
        async with Server(handler) as server, HttpClient() as client:
            await get(client, server.url.replace("http:", "https:"), timeout=0.3)

    for handler in (mute, plain, reset):
        with pytest.raises(FetchFailedError) as caught:
            asyncio.run(main(handler))
        assert caught.value.reason is Reason.TLS, handler.__name__


def test_expired_certificate_is_named_with_its_end() -> None:
    """An expired certificate has its own reason, and its end is known though nothing was read."""
    failed = failure(say(OK), certificate="expired.pem")
    assert (failed.reason, failed.certificate_end) == (Reason.CERT_EXPIRED, ENDED)


def test_untrusted_certificate_is_tls_with_its_end() -> None:
    """An unknown authority is a TLS failure; the certificate's end is still told."""
    failed = failure(say(OK), certificate="valid.pem", trusted=False)
    assert (failed.reason, failed.certificate_end) == (Reason.TLS, ENDS)


@pytest.mark.parametrize("size", [1000, 1001, 100_000])
def test_body_limit_is_exact(size: int) -> None:
    """A body of the limit passes, one byte more fails: never a silent cut."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    if size <= 1000:
        assert fetched(say(reply), body_limit=1000)[0].body == b"x" * size
    else:
        assert failure(say(reply), body_limit=1000).reason is Reason.BODY_INVALID


def test_endless_body_is_cut_off() -> None:
    """A server that never stops sending is left at the limit, long before the timeout."""
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    failed = failure(say(reply, *[piece] * 1000), timeout=30.0)
    assert failed.reason is Reason.BODY_INVALID


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_bodies_are_read_and_bombs_are_not(coding: str) -> None:
    """The limit is on what is decompressed: 50 MB of zeros in 50 kB are refused."""

    def reply(body: bytes) -> bytes:
        packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}"
        return head.encode() + b"\r\n\r\n" + packed

    assert fetched(say(reply(b"fine")))[0].body == b"fine"
    failed = failure(say(reply(bytes(50_000_000))))
    assert failed.reason is Reason.BODY_INVALID


def test_cancellation_passes() -> None:
    """A cancelled request is cancelled, not failed, and leaves the pool whole."""

    async def main() -> None:
        async with (
            Server(say(OK, before=0.2)) as server,
            HttpClient(limit=1, limit_per_host=1) as client,
        ):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(get(client, server.url))
                await asyncio.sleep(0.05)
                task.cancel()
            assert task.cancelled()
            assert (await get(client, server.url)).status == 200

    asyncio.run(main())
