"""What the direct client promises beyond what both clients do (test_http.py)."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from exporter.clock import SystemClock
from exporter.contracts import FetchFailedError
from exporter.http.client import HttpClient
from exporter.http.connection import connect
from exporter.http.tls import tls_context
from exporter.model import Answer, Phase, Reason, Target
from exporter.probes.attribution import Symptom, of_probe
from exporter.probes.probe import Readers, probe
from exporter.web.connection_limits import abort
from tests.http.servers import CERTIFICATES, ENDS, OK, Server, get, hang_up, say


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked


def test_second_address_is_tried() -> None:
    """A dead first address costs a moment, not the probe."""

    async def main() -> None:
        async with Server(say(OK)) as server:
            addresses = [(int(socket.AF_INET), "127.0.0.2"), (int(socket.AF_INET), "127.0.0.1")]
            wire = await connect(addresses, server.port)
            await wire.send(b"GET / HTTP/1.1\r\n\r\n")
            assert await wire.receive() == OK
            wire.close()

    asyncio.run(main())


def test_idle_connections_end_with_their_time() -> None:
    """What idles for longer than `keepalive` is closed and not used again."""

    async def main() -> tuple[Answer, int]:
        async with Server(say(OK)) as server, HttpClient(keepalive=0.05) as client:
            await get(client, server.url)
            await asyncio.sleep(0.1)
            return await get(client, server.url), server.connections

    answer, connections = asyncio.run(main())
    assert (answer.new_connection, connections) == (True, 2)


def test_answer_nobody_asked_for_spoils_the_connection() -> None:
    """Bytes that come while a connection idles never become the next probe's answer."""

    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await asyncio.sleep(0.02)
            writer.write(OK.replace(b"ok", b"no"))

    async def main() -> Answer:
        async with Server(chatty) as server, HttpClient() as client:
            await get(client, server.url)
            await asyncio.sleep(0.1)
            return await get(client, server.url)

    answer = asyncio.run(main())
    assert (answer.body, answer.new_connection) == (b"ok", True)


@pytest.mark.parametrize("ends", [False, True])
def test_what_the_loop_has_not_seen_yet_counts(ends: bool) -> None:
    """Bytes or an end that came a moment ago spoil an idle connection, turn of the loop or not."""

    async def main() -> list[bool]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            wire = await connect([(int(socket.AF_INET), "127.0.0.1")], port)
            with listening.accept()[0] as peer:
                found = [wire.alive()]
                if ends:
                    peer.shutdown(socket.SHUT_WR)
                else:
                    peer.sendall(b"x")
                found.append(wire.alive())
            wire.close()
        return found

    assert asyncio.run(main()) == [True, False]


@pytest.mark.parametrize("later", [False, True])
def test_an_answer_nobody_asked_for_is_served_to_nobody(later: bool) -> None:
    """Over TLS a second record may come with the first, or afterwards; it spoils the connection."""
    poison = OK.replace(b"ok", b"!!")

    async def poisoning(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            if later:
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write(poison)

    async def main() -> list[Answer]:
        ca_file = str(CERTIFICATES / "ca.pem")
        async with Server(poisoning, "valid.pem") as server, HttpClient(ca_file=ca_file) as client:
            url, answers = server.url.replace("127.0.0.1", "localhost"), []
            for _ in range(3):
                answers.append(await get(client, url))
                await asyncio.sleep(0.1)
            return answers

    answers = asyncio.run(main())
    assert [(answer.body, answer.new_connection) for answer in answers] == [(b"ok", True)] * 3


def _shaken(peer: socket.socket) -> tuple[ssl.SSLObject, ssl.MemoryBIO]:
    """Do the server's part of a TLS handshake by hand; what is written waits in the second."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "valid.pem")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            peer.sendall(outgoing.read())
            incoming.write(peer.recv(1 << 16))
        else:
            peer.sendall(outgoing.read())
            return tls, outgoing


@pytest.mark.parametrize(("share", "fit"), [(0.0, True), (0.1, False), (0.9, False)])
def test_half_a_record_spoils_a_connection(share: float, fit: bool) -> None:
    """Its other half would be the next probe's answer; tickets, which are whole, do no harm."""

    async def main() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            wire = await connect([(int(socket.AF_INET), "127.0.0.1")], listening.getsockname()[1])
            with listening.accept()[0] as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serving = asyncio.to_thread(_shaken, peer)
                context = tls_context(str(CERTIFICATES / "ca.pem"))
                _, (tls, outgoing) = await asyncio.gather(
                    wire.shake_hands(context, "localhost"), serving
                )
                tls.write(OK)
                record = outgoing.read()
                peer.sendall(record[: round(share * len(record))])
                found = wire.alive()
            wire.close()
        return found

    assert asyncio.run(main()) is fit


@contextmanager
def no_descriptor() -> Iterator[None]:
    """Leave this process without a descriptor to open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() - 1, before[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in taken:
            os.close(number)


@pytest.mark.parametrize("name", ["127.0.0.1", "exchange.invalid"])
def test_descriptors_of_ours_that_ran_out_are_our_own_fault(name: str) -> None:
    """The other side is well: its reason is not ours, and neither is the domain.

    The system's resolver says of any name then that there is none.
    """

    async def main() -> Reason:
        async with Server(say(OK)) as server, HttpClient() as client:
            url = server.url.replace("127.0.0.1", name)
            with no_descriptor(), pytest.raises(FetchFailedError) as raised:
                await get(client, url)
            return raised.value.reason

    reason = asyncio.run(main())
    assert reason is Reason.LOCAL_RESOURCE
    assert of_probe(reason) is Symptom.UNASKED


@pytest.mark.timed
@pytest.mark.parametrize(("stood_still", "reason"), [
    (1.5, Reason.LOCAL_RESOURCE), (0.0, Reason.READ_TIMEOUT),
])  # fmt: skip
def test_a_timeout_that_came_late_is_our_own_fault(stood_still: float, reason: Reason) -> None:
    """While our loop stands still an answer may come, and nobody looks."""

    async def main() -> Reason:
        async with Server(say(b"")) as server, HttpClient() as client:
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, time.sleep, stood_still)  # which is the fault
            with pytest.raises(FetchFailedError) as raised:
                await get(client, server.url, timeout=0.2)
            return raised.value.reason

    assert asyncio.run(main()) is reason


def test_flood_while_idle_stays_outside() -> None:
    """Of megabytes that nobody asked for one piece is taken in, and the connection is given up."""
    sent = asyncio.Event()

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await asyncio.sleep(0.02)
            writer.write(bytes(64 << 20))
            await writer.drain()
            sent.set()

    async def main() -> Answer:
        async with Server(flooding) as server, HttpClient() as client:
            await get(client, server.url)
            await asyncio.sleep(0.5)
            assert not sent.is_set()
            return await get(client, server.url)

    answer = asyncio.run(main())
    assert (answer.body, answer.new_connection) == (b"ok", True)


def test_other_headers_are_another_request() -> None:
    """What was written for one set of headers is never sent for another, nor kept from changes."""
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(head)
            writer.write(OK)

    async def main() -> None:
        async with Server(note) as server, HttpClient() as client:
            headers = {"X-Key": "one"}
            for value in ("one", "one", "two"):
                headers["X-Key"] = value
                await client("GET", server.url, headers=headers, timeout=2.0, body_limit=10)
            await client("HEAD", server.url, headers=headers, timeout=2.0, body_limit=10)
            await client("POST", server.url, headers={}, timeout=2.0, body_limit=10, body=b"")
            await client("GET", server.url, headers={}, timeout=2.0, body_limit=10)

    asyncio.run(main())
    assert [head.split(b" ")[0] for head in seen] == [b"GET"] * 3 + [b"HEAD", b"POST", b"GET"]
    keys = [head.partition(b"X-Key: ")[2][:3] for head in seen]
    assert keys == [b"one", b"one", b"two", b"two", b"", b""]


def test_only_safe_methods_are_sent_again() -> None:
    """A POST on a connection that dies may have done its work: it fails rather than repeat."""

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        abort(writer.transport)

    async def main(method: str) -> Answer:
        async with Server(dying) as server, HttpClient() as client:
            await get(client, server.url)
            return await client(method, server.url, headers={}, timeout=2.0, body_limit=10)

    assert asyncio.run(main("GET")).status == 200
    with pytest.raises(FetchFailedError) as caught:
        asyncio.run(main("POST"))
    assert caught.value.reason is Reason.CLOSED


def test_headers_replace_ours_and_cannot_break_out() -> None:
    """A configured header wins over the default one; a line break in one is refused."""
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def main(value: str) -> None:
        async with Server(note) as server, HttpClient() as client:
            await client(
                "GET", server.url, headers={"user-agent": value}, timeout=2.0, body_limit=10
            )

    asyncio.run(main("mine"))
    assert seen[0].lower().count(b"user-agent") == 1
    assert b"user-agent: mine\r\n" in seen[0]
    with pytest.raises(FetchFailedError) as caught:
        asyncio.run(main("x\r\nX-Evil: 1"))
    assert caught.value.reason is Reason.OTHER


@pytest.mark.parametrize("certificate", [None, "valid.pem", "expired.pem"])
def test_no_descriptor_is_left_behind(certificate: str | None) -> None:
    """Whatever ends a request, its socket is closed or kept for reuse, never forgotten."""

    async def main() -> int:
        ca_file = str(CERTIFICATES / "ca.pem")
        async with Server(say(OK, before=0.01), certificate) as server, Server(hang_up) as rude:
            before = descriptors()
            async with HttpClient(ca_file=ca_file) as client:
                for timeout in (0.001, 0.005, 0.012, 5.0) * 5:
                    for url in (server.url, rude.url):
                        with suppress(FetchFailedError):
                            await get(client, url, timeout)
            await asyncio.sleep(0.1)
            return descriptors() - before

    assert asyncio.run(main()) <= 0


def test_uvloop_gives_the_same() -> None:
    """The faster event loop changes no figure."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> list[Answer]:
        ca_file = str(CERTIFICATES / "ca.pem")
        async with (
            Server(say(OK), "valid.pem") as server,
            HttpClient(ca_file=ca_file) as client,
        ):
            return [await get(client, server.url) for _ in range(2)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        first, second = runner.run(main())
    assert (first.new_connection, second.new_connection) == (True, False)
    assert first.certificate_end == second.certificate_end == ENDS


@pytest.mark.timed
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's stamps are asked for on Linux")
def test_our_own_lateness_is_no_latency_of_theirs() -> None:
    """What arrived while the loop was held up is timed by its arrival, not by our reading it."""
    held = 0.5

    async def main() -> tuple[Answer, float]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = threading.Thread(target=_soon, args=(listening,))
            serving.start()
            async with HttpClient() as client:
                url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
                await get(client, url)  # the kernel begins to stamp a moment after the first wish
                await asyncio.sleep(0.1)
                target = Target(exchange="acme", endpoint="time", url=url)
                async with asyncio.TaskGroup() as tasks:
                    asked = tasks.create_task(probe(target, client, SystemClock(), Readers()))
                    for _ in range(5):
                        await asyncio.sleep(0)  # until it has been asked
                    time.sleep(held)  # noqa: ASYNC251 - what a busy loop does
            serving.join(timeout=10)
        probed = asked.result()
        assert probed.answer is not None
        return probed.answer, probed.duration

    answer, duration = asyncio.run(main())
    measured = answer.phases[Phase.PROCESSING] + answer.phases[Phase.TRANSFER]
    assert 0 < measured <= duration < held / 2 < answer.unread


def _soon(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        while connection.recv(65536):
            time.sleep(0.05)  # not before the loop is held up
            connection.sendall(OK)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel stamps what arrives on Linux alone")
def test_our_own_stall_is_in_no_phase_but_told_of() -> None:
    """Standing still while a handshake and an answer are there makes neither of them late."""
    stall = 0.3

    def stand_still() -> None:
        time.sleep(stall)

    async def main() -> tuple[Answer, Answer, float]:
        async with Server(say(OK)) as server, HttpClient() as client:
            loop = asyncio.get_running_loop()
            began = time.monotonic()
            loop.call_soon(stand_still)  # runs once the client has begun to connect
            new = await get(client, server.url)
            took = time.monotonic() - began
            return new, await get(client, server.url), took

    new, kept, took = asyncio.run(main())
    assert new.late >= stall / 2 > kept.late
    assert new.held >= stall / 2
    assert new.phases[Phase.CONNECT] <= took - stall / 2
    assert kept.held < stall / 2
