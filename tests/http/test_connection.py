"""Names with several addresses, kept connections that grow old, and chains of certificates."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.contracts import FetchFailedError
from exporter.http.certificates import not_after
from exporter.http.client import HttpClient
from exporter.http.connection import AddressMemory, connect
from exporter.http.resolver import Resolver
from exporter.model import Answer, ConnectAttempt, Probed, Reason, Target
from exporter.probes.failures import of_probe
from tests.http.servers import CERTIFICATES, ENDS, OK, Server, get, say

V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)


@contextmanager
def silent(port: int, count: int) -> Iterator[list[tuple[int, str]]]:
    """Occupy addresses of loopback on which nobody answers, not even with a refusal.

    Their queue of connections is full, and Linux lets whoever comes then wait.
    """
    held: list[socket.socket] = []
    addresses = [(V4, f"127.0.0.{number}") for number in range(2, 2 + count)]
    try:
        for _, address in addresses:
            listening = socket.create_server((address, port), backlog=0)
            held.append(listening)
            for _ in range(3):
                caller = socket.socket()
                caller.setblocking(False)
                caller.connect_ex((address, port))
                held.append(caller)
        yield addresses
    finally:
        for each in held:
            each.close()


def test_eight_addresses_of_which_one_answers() -> None:
    """Seven dead addresses cost a quarter of a second each, once: the next time they come last."""

    async def main() -> tuple[list[ConnectAttempt], list[ConnectAttempt]]:
        memory = AddressMemory()
        first, second = list[ConnectAttempt](), list[ConnectAttempt]()
        async with Server(say(OK)) as server:
            with silent(server.port, 7) as dead:
                for attempts in (first, second):
                    addresses = [*dead, (V4, "127.0.0.1")]
                    wire = await connect(addresses, server.port, attempts, memory)
                    assert wire.address == "127.0.0.1"
                    await wire.send(b"GET / HTTP/1.1\r\n\r\n")
                    assert await wire.receive() == OK
                    wire.close()
        return first, second

    first, second = asyncio.run(main())
    assert sorted(each.outcome for each in first) == ["connected", *["slower"] * 7]
    assert {each.address for each in first} == {f"127.0.0.{n}" for n in range(1, 9)}
    assert [(each.address, each.outcome) for each in second] == [("127.0.0.1", "connected")]


def test_what_came_of_each_address_is_evidence() -> None:
    """Where none lets us, the failure names all that were tried, in their own words."""

    async def main() -> FetchFailedError:
        async with Server(say(OK)) as server, HttpClient(address="127.0.0.9") as client:
            with pytest.raises(FetchFailedError) as caught:
                await get(client, server.url)
        return caught.value

    failed = asyncio.run(main())
    assert failed.reason is Reason.CONNECT_REFUSED
    (attempt,) = failed.attempts
    assert attempt.address == "127.0.0.9"
    assert "refused" in attempt.outcome
    done = Probed(
        exchange="acme",
        endpoint="time",
        time=1.0,
        duration=0.1,
        reason=failed.reason,
        attempts=failed.attempts,
    )
    kept = of_probe(done, Target(exchange="acme", endpoint="time", url="http://acme.example/"))
    assert kept.attempts == failed.attempts


def test_time_that_runs_out_leaves_its_addresses_too() -> None:
    """Of addresses that never answered is said that they did not, when the probe is given up."""

    async def main() -> tuple[BaseException, list[ConnectAttempt]]:
        attempts = list[ConnectAttempt]()
        async with Server(say(OK)) as server:
            with silent(server.port, 2) as dead, pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(2.0):
                    await connect(dead, server.port, attempts, AddressMemory())
        return caught.value, attempts

    _, attempts = asyncio.run(main())
    assert [each.outcome for each in attempts] == ["no answer", "no answer"]


def test_a_refusal_says_more_than_a_missing_route() -> None:
    """Without IPv6, its addresses fail at once; the reason is that of those which were reached."""

    async def main() -> OSError:
        async with Server(say(OK)) as server:
            port = server.port
        with pytest.raises(OSError, match="refused") as caught:
            await connect([(V4, "127.0.0.1"), (V6, "ff0e::1")], port, None, AddressMemory())
        return caught.value

    assert isinstance(asyncio.run(main()), OSError)


@given(
    addresses=st.lists(
        st.tuples(st.sampled_from((V4, V6)), st.text("abc", min_size=1, max_size=4)), unique=True
    ),
    chance=st.randoms(),
)
def test_families_take_turns(addresses: list[tuple[int, str]], chance: object) -> None:
    """None is left out, the system's first stays the first, and no family waits for the other."""
    ordered = AddressMemory().ordered(addresses, 443)
    assert sorted(ordered) == sorted(addresses)
    assert ordered[:1] == tuple(addresses[:1])
    both = min(sum(family == each for family, _ in addresses) for each in (V4, V6))
    heads = [family for family, _ in ordered[: 2 * both]]
    assert all(one != other for one, other in zip(heads[::2], heads[1::2], strict=True))


def test_what_was_good_comes_first_and_what_was_dead_last() -> None:
    """The memory reorders, and drops nothing."""
    memory = AddressMemory()
    addresses = [(V6, "dead"), (V4, "unknown"), (V4, "good")]
    memory.note("dead", 443, good=False)
    memory.note("good", 443, good=True)
    assert [name for _, name in memory.ordered(addresses, 443)] == ["good", "unknown", "dead"]
    assert [name for _, name in memory.ordered(addresses, 80)] == ["dead", "unknown", "good"]


def test_what_was_good_is_preferred_for_ten_minutes() -> None:
    """However often it is used meanwhile: then the order of the name server counts again."""
    now = [0.0]
    memory = AddressMemory(lambda: now[0])
    addresses = [(V4, "first"), (V4, "second")]

    def order() -> str:
        return memory.ordered(addresses, 443)[0][1]

    memory.note("second", 443, good=True)
    for now[0] in (1.0, 300.0, 600.0):
        assert order() == "second"
        memory.note("second", 443, good=True)
    now[0] = 601.0
    assert order() == "first"
    memory.note("first", 443, good=True)
    assert order() == "first"
    memory.note("first", 443, good=False)
    memory.note("second", 443, good=True)
    assert order() == "second"


# --- connections grow old -------------------------------------------------------------------------


@pytest.mark.timed
def test_a_kept_connection_is_replaced_at_its_age() -> None:
    """However often it is used, its name and its certificate are looked at anew now and then."""

    async def main(oldest: float) -> tuple[list[Answer], int]:
        async with Server(say(OK)) as server, HttpClient(oldest=oldest) as client:
            answers = [await get(client, server.url) for _ in range(2)]
            await asyncio.sleep(0.6)
            return [*answers, await get(client, server.url)], server.connections

    answers, connections = asyncio.run(main(0.5))
    assert [each.new_connection for each in answers] == [True, False, True]
    assert connections == 2
    answers, connections = asyncio.run(main(60.0))
    assert [each.new_connection for each in answers] == [True, False, False]


@pytest.mark.parametrize("lookup", ["moves", "fails", "hangs"])
def test_a_connection_to_where_its_name_was_is_given_up(lookup: str) -> None:
    """A name is asked for again while its connection is in use, and no request waits for that."""
    ended = threading.Event()
    asked: list[str] = []

    def names(name: str) -> tuple[tuple[int, str], ...]:
        asked.append(name)
        if len(asked) > 1 and lookup == "fails":
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        if len(asked) > 1 and lookup == "hangs":
            ended.wait(10.0)
        return ((V4, "127.0.0.1" if len(asked) == 1 else "127.0.0.2"),)

    async def main() -> list[bool]:
        reader = HttpClient(dns_ttl=0.0, names=Resolver(names))
        async with Server(say(OK)) as server, reader as client:
            url = server.url.replace("127.0.0.1", "moving.example")
            answers = [await get(client, url) for _ in range(2)]
            while len(asked) < 2:  # noqa: ASYNC110 - a thread of the resolver appends
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            if lookup == "moves":  # where nobody listens
                with pytest.raises(FetchFailedError) as caught:
                    await get(client, url)
                assert [each.address for each in caught.value.attempts] == ["127.0.0.2"]
            else:
                answers.append(await get(client, url))
        return [answer.new_connection for answer in answers]

    found = asyncio.run(main())
    ended.set()
    assert found == [True, *[False] * (1 if lookup == "moves" else 2)]


def test_a_certificate_that_expired_is_seen_on_a_kept_connection() -> None:
    """A server that takes an expired certificate is found out, though its old connection lives."""
    ca = str(CERTIFICATES / "ca.pem")

    async def main() -> FetchFailedError:
        async with (
            Server(say(OK), "valid.pem") as server,
            HttpClient(ca_file=ca, oldest=0.1) as client,
        ):
            assert (await get(client, server.url)).certificate_end == ENDS
            server.context.load_cert_chain(CERTIFICATES / "expired.pem")
            await asyncio.sleep(0.15)
            with pytest.raises(FetchFailedError) as caught:
                await get(client, server.url)
            return caught.value

    assert asyncio.run(main()).reason is Reason.CERT_EXPIRED


def test_the_chain_ends_with_its_first_certificate_to_expire() -> None:
    """What vouches for the server's certificate may expire before that."""
    ca = CERTIFICATES / "ca.pem"
    text = re.search(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", ca.read_text(), re.DOTALL
    )
    assert text is not None
    end = not_after(ssl.PEM_cert_to_DER_cert(text[0]))

    async def main() -> Answer:
        async with Server(say(OK), "valid.pem") as server, HttpClient(ca_file=str(ca)) as client:
            return await get(client, server.url)

    answer = asyncio.run(main())
    assert answer.certificate_end == ENDS
    assert answer.chain_end == min(end, ENDS)
