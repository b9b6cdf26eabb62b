"""CPU per check: our probe beside prometheus-blackbox-exporter, same server, same run.

    python benchmarks/probe.py [--checks N] [--rounds N] [--tls]
                               [--loop asyncio|uvloop] [--client direct|aiohttp]

Rounds alternate between the two, because the machine's own pace drifts; the ratio is the median
over the rounds. The peer's figure includes its answer to the scrape, which it cannot probe
without; ours includes judging the body. The server is a process of its own, counted in neither.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import os
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.clock import SystemClock
from exporter.http.client import HttpClient
from exporter.model import Expectation, Probed, Target
from exporter.probes.probe import Readers, probe

PEER = "prometheus-blackbox-exporter"
BODY = b'{"serverTime": 1700000000000}'
MODULE = """
modules:
  http:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      fail_if_body_not_matches_regexp: ['"serverTime": 17']
      tls_config: {ca_file: CA_FILE}
"""
CERTIFICATES = Path(__file__).parent.parent / "tests" / "http" / "certificates"
TARGETS = {"new": 3.0, "reused": 7.0}  # the peer's CPU, divided by ours, is to reach this


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(BODY) + BODY)


async def _serve(tls: bool) -> None:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / "valid.pem")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def _server(tls: bool) -> Iterator[str]:
    """Run the server. Gives the URL to probe."""
    command = [sys.executable, __file__, "--serve", *(["--tls"] if tls else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield f"http{'s' if tls else ''}://127.0.0.1:{port}/time"
        finally:
            process.kill()


@contextmanager
def blackbox(module: str) -> Iterator[tuple[int, int]]:
    """Run the peer on one module file. Gives its process id and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write(module)
        config.flush()
        command = [PEER, f"--config.file={config.name}", f"--web.listen-address=127.0.0.1:{port}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                for _ in range(100):
                    with socket.socket() as trial:
                        if trial.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.1)
                yield process.pid, port
            finally:
                process.kill()


def release() -> str:
    """Return the peer's name and version, such as "blackbox_exporter 0.28.0"."""
    done = subprocess.run([PEER, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"(\w+), version (\S+)", done.stdout + done.stderr)
    return " ".join(found.groups()) if found else PEER


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peer_round(pid: int, port: int, url: str, checks: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = _cpu(pid)
    for _ in range(checks):
        connection.request("GET", f"/probe?module=http&target={url}")
        page = connection.getresponse().read()
        assert b"\nprobe_success 1" in page
    connection.close()
    return (_cpu(pid) - begun) / checks


async def _own_round(client: HttpClient, target: Target, checks: int, new: bool) -> float:
    clock, readers = SystemClock(), Readers()
    done: Probed | None = None
    begun = time.process_time()
    for _ in range(checks):
        done = await probe(target, client, clock, readers)
        assert done.ok, done.detail
    spent = time.process_time() - begun
    assert done is not None
    assert done.answer is not None
    assert done.answer.new_connection is new
    return spent / checks


async def _stress(
    client: HttpClient, target: Target, checks: int, at_once: int
) -> tuple[float, float]:
    """Return probes per second, and probes per second of our CPU, with so many at once."""
    clock, readers = SystemClock(), Readers()

    async def one() -> None:
        for _ in range(checks // at_once):
            assert (await probe(target, client, clock, readers)).ok

    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one())
    count = checks // at_once * at_once
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


async def _compare(checks: int, rounds: int, tls: bool) -> None:
    ca_file = str(CERTIFICATES / "ca.pem")
    module = MODULE.replace("CA_FILE", ca_file)
    with _server(tls) as url, blackbox(module) as (pid, peer_port):
        target = Target(
            exchange="acme",
            endpoint="time",
            url=url,
            expect=(Expectation(matches='"serverTime": 17'),),
        )
        figures: dict[str, list[tuple[float, float]]] = {"new": [], "reused": []}
        async with (
            HttpClient(keepalive=None, ca_file=ca_file) as cold,
            HttpClient(limit_per_host=50, ca_file=ca_file) as warm,
        ):
            clients: dict[str, HttpClient] = {"new": cold, "reused": warm}
            for name, client in clients.items():
                await _own_round(client, target, 1, new=True)
                await _own_round(client, target, 200, new=name == "new")
            _peer_round(pid, peer_port, url, 200)
            gc.collect()
            for _ in range(rounds):
                peer = _peer_round(pid, peer_port, url, checks)
                for name, client in clients.items():
                    own = await _own_round(client, target, checks, new=name == "new")
                    figures[name].append((own, peer))
            rate, per_cpu = await _stress(warm, target, 20_000, 50)
    for name, pairs in figures.items():
        own = statistics.median(own for own, _ in pairs)
        peer = statistics.median(peer for _, peer in pairs)
        ratio = statistics.median(peer / own for own, peer in pairs)
        aim = ""
        if not tls:  # over TLS the handshake's arithmetic, the same for all, is most of it
            verdict = "reached" if ratio >= TARGETS[name] else "MISSED"
            aim = f" (target 1/{TARGETS[name]:.0f}: {verdict})"
        print(
            f"{name:7} connection: ours {own * 1e6:5.0f} µs, {release()} {peer * 1e6:5.0f} µs "
            f"of CPU per check: 1/{ratio:.2f} of it{aim}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"50 at once: {rate:.0f} probes a second, {per_cpu:.0f} per second of our CPU, "
        f"peak RSS {peak:.0f} MB"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU per probe, beside blackbox_exporter's.")
    parser.add_argument("--checks", type=int, default=1000, help="per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--tls", action="store_true", help="probe over https")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(_serve(args.tls))
        return 0
    if shutil.which(PEER) is None:
        print(f"{PEER} is not installed: apt-get install {PEER}", file=sys.stderr)
        return 2
    comparison = _compare(args.checks, args.rounds, args.tls)
    if args.loop == "uvloop":
        import uvloop

        uvloop.run(comparison)
    else:
        asyncio.run(comparison)
    return 0


if __name__ == "__main__":
    sys.exit(main())
