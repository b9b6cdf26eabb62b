"""Load on the relay: one post of 1,000 alerts, 10,000 posts in a minute, and the time to a page.

The relay runs as its own process with stand-ins of LINE, Discord and a webhook in another, all on
loopback; posts come from here. Prints figures beside their targets, and ends with 1 when one of
them is missed. ``python -m benchmarks.relay [--posts=10000] [--pages=300]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

from tests.live.programs import Process
from tests.relay import fakes
from tests.relay.programs import alert, post_of, receiver, relay, write

RATE = 10_000 / 60  # posts a second
KINDS = ("discord", "webhook", "line")


def _fakes(pipe: Connection, delay: float) -> None:
    """Serve the stand-ins; at each word, give what they took since, and begin anew."""

    def model(body: dict[str, Any]) -> fakes.Answer:
        time.sleep(delay)
        return fakes.completion(fakes.ADVICE)

    with fakes.serving() as providers:
        providers.model = model
        pipe.send(providers.url)
        while pipe.recv():
            with providers.lock:
                pipe.send(
                    [(each.service, each.time, json.dumps(each.body)) for each in providers.taken]
                )
                providers.taken.clear()


async def _post_all(url: str, bodies: list[bytes], rate: float) -> list[float]:
    """Post at a steady rate, whatever the answers do; return the seconds each took from its due."""
    took: list[float] = []
    began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def one(due: float, body: bytes) -> None:
            async with session.post(url, data=body) as reply:
                await reply.read()
                if reply.status != 200:
                    raise SystemExit(f"the relay answered {reply.status}")
            took.append(time.monotonic() - due)

        async with asyncio.TaskGroup() as group:
            for number, body in enumerate(bodies):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                group.create_task(one(due, body))
    return took


def _p99(values: list[float]) -> float:
    return sorted(values)[max(0, int(len(values) * 0.99) - 1)]


class Report:
    """The lines of figures, and whether all are within their targets."""

    def __init__(self) -> None:
        self.good = True

    def line(self, what: str, value: float, target: float, unit: str) -> None:
        """Print one figure beside its target."""
        good = value <= target
        self.good &= good
        print(f"{what:<58} {value:>9.1f} {unit:<3} target <= {target:g} {'' if good else 'MISSED'}")


def _flood(report: Report, fake: Connection, provider_url: str, posts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), [receiver(kind, provider_url) for kind in KINDS],
                     log={"level": "warning"})  # fmt: skip
        with relay(file) as (process, url):
            url += "/api/v1/alertmanager"
            many = [
                alert(f"Alert{n % 40}", labels={"exchange": f"x{n % 25}", "pair": str(n)})
                for n in range(1000)
            ]
            body = json.dumps(post_of(*many, group="thousand")).encode()
            took = asyncio.run(_post_all(url, [body], 1.0))
            report.line(
                f"1,000 alerts in one post ({len(body) >> 10} KiB): intake",
                took[0] * 1e3,
                1000,
                "ms",
            )
            time.sleep(2.0)
            found = _taken(fake)
            print(f"  messages for it: {_by_service(found)}")
            bodies = [
                json.dumps(
                    post_of(alert(f"Flood{n}", labels={"n": str(n)}), group=f"f{n}")
                ).encode()
                for n in range(posts)
            ]
            before = _cpu(process)
            took = asyncio.run(_post_all(url, bodies, RATE))
            print(f"  the relay's CPU: {(_cpu(process) - before) / posts * 1e3:.2f} ms a post")
            report.line(f"{posts:,} posts at {RATE:.0f}/s: intake p99", _p99(took) * 1e3, 100, "ms")
            print(
                f"  p50 {sorted(took)[len(took) // 2] * 1e3:.1f} ms, worst {max(took) * 1e3:.1f} ms"
            )
            report.line("  memory, resident", _peak(process), 120, "MB")
            time.sleep(2.0)
            print(f"  messages for them: {_by_service(_taken(fake))}")


def _pages(report: Report, fake: Connection, provider_url: str, pages: int, triage: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        many = {"storm": {"messages": 10_000}}
        file = write(
            Path(folder),
            [receiver(kind, provider_url, **many) for kind in KINDS],
            log={"level": "warning"},
            triage={
                "enabled": triage,
                "base_url": f"{provider_url}/model/v1",
                "api_key": {"env": "MODEL_KEY"},
                "per_hour": 10_000,
                "per_day": 10_000,
            },
        )
        with relay(file) as (_, url):
            posted: dict[str, float] = {}

            async def post() -> None:
                async with aiohttp.ClientSession() as session:
                    for number in range(pages):
                        name = f"Page{number}x"
                        body = json.dumps(post_of(alert(name), group=name))
                        posted[name] = time.time()  # noqa: TID251 - compared over processes
                        async with session.post(f"{url}/api/v1/alertmanager", data=body) as reply:
                            await reply.read()
                        await asyncio.sleep(0.05)

            asyncio.run(post())
            time.sleep(3.0)
            found = _taken(fake)
        word = "on" if triage else "off"
        for kind in KINDS:
            first: dict[str, float] = {}
            for service, at, body in found:
                if service == kind:
                    name = body[body.index("Page") :].split("x")[0] + "x"
                    first.setdefault(name, at)
            took = [first[name] - at for name, at in posted.items() if name in first]
            if len(took) != pages:
                raise SystemExit(f"{kind}: {len(took)} of {pages} arrived")
            target = 1800 if triage and kind == "line" else 300
            report.line(
                f"post to receipt, {kind}, triage {word}: p99", _p99(took) * 1e3, target, "ms"
            )


def _taken(fake: Connection) -> list[Any]:
    fake.send("taken")
    return list(fake.recv())


def _by_service(found: list[Any]) -> dict[str, int]:
    return {kind: sum(each[0] == kind for each in found) for kind in KINDS}


def _cpu(process: Process) -> float:
    """Return the seconds of CPU that it has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: Process) -> float:
    """Return the most resident memory it ever had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> int:
    """Run all of it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--model-delay", type=float, default=1.0, help="seconds the model takes")
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_fakes, args=(theirs, args.model_delay), daemon=True
    )
    server.start()
    report = Report()
    url = ours.recv()
    _flood(report, ours, url, args.posts)
    _pages(report, ours, url, args.pages, triage=False)
    _pages(report, ours, url, args.pages, triage=True)
    ours.send("")
    server.join(5)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
