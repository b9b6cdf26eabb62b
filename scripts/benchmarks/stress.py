"""50 probes at a time against one server on loopback: requests a second on one core, and memory.

    python scripts/benchmarks/stress.py [--for SECONDS]

Each probe is a whole one: timed by phase, judged, and counted in the metrics as in the running
program. The server is a process of its own. Prints what was reached; exit status 1 below 5,000
requests a second by the clock, or above 120 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time

from exporter.clock import SystemClock
from exporter.http.client import HttpClient
from exporter.metrics.registry import Registry
from exporter.model import Target
from exporter.probes.meter import ProbeMeter
from exporter.probes.probe import Readers, probe

AT_ONCE, LEAST_RATE, MOST_MEMORY = 50, 5000.0, 120e6
_SERVER = """
import asyncio
BODY = b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Type: application/json\\r\\n\\r\\n{}'
class Answering(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(BODY * data.count(b'\\r\\n\\r\\n'))
async def main():
    server = await asyncio.get_running_loop().create_server(Answering, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
try:
    import uvloop
    uvloop.run(main())
except ImportError:
    asyncio.run(main())
"""


async def _stress(port: int, duration: float) -> tuple[int, int, float]:
    clock, readers = SystemClock(), Readers()
    meter = ProbeMeter(Registry(), "stress", "one")
    target = Target(exchange="stress", endpoint="one", url=f"http://127.0.0.1:{port}/")
    done = failed = 0

    async with HttpClient(limit=AT_ONCE, limit_per_host=AT_ONCE) as client:
        until = time.monotonic() + duration

        async def one() -> None:
            nonlocal done, failed
            while time.monotonic() < until:
                result = await probe(target, client, clock, readers)
                meter.probed(result)
                done += 1
                failed += not result.ok

        begun = time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one())
        return done, failed, time.process_time() - begun


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="duration", type=float, default=10.0, metavar="SECONDS")
    args = parser.parse_args()
    server = subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(server.stdout.readline()) if server.stdout else 0
        try:
            import uvloop

            runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        except ImportError:
            runner = asyncio.Runner()
        with runner:
            done, failed, cpu = runner.run(_stress(port, args.duration))
    finally:
        server.terminate()
        server.wait()
        if server.stdout:
            server.stdout.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rate = done / args.duration
    sys.stdout.write(
        f"{done} requests in {args.duration:g} s, {failed} failed; "
        f"{rate:.0f} a second, {done / cpu:.0f} a second of CPU on {os.cpu_count()} "
        f"shared cores; {memory / 1e6:.0f} MB\n"
    )
    return 0 if rate >= LEAST_RATE and memory <= MOST_MEMORY and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
