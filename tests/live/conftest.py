"""The simulated exchanges and the exporter that watches them, as real processes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from exporter import venues
from tests.live import programs

SYMBOLS = "[BTC-USDT, ETH-USDT]"


@dataclass
class World:
    """What a live test talks to: two URLs and two processes."""

    simulator: programs.Process
    simulator_url: str
    exporter: programs.Process
    url: str

    def scrape(self) -> Samples:
        """Read the page that Prometheus would read."""
        return Samples(programs.get(f"{self.url}/metrics"))

    def inject(self, **fault: object) -> None:
        """Make a simulated exchange misbehave; ``for`` is spelled ``for_``."""
        body = {name.removesuffix("_"): value for name, value in fault.items()}
        programs.post_json(f"{self.simulator_url}/control/faults", body)

    def clear(self) -> None:
        """End all faults."""
        programs.post_json(f"{self.simulator_url}/control/faults", None, method="DELETE")


class Samples:
    """The samples of one page, found by name and labels.

    Only lines that are asked for are parsed: a page may have ten thousand.
    """

    def __init__(self, text: str) -> None:
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        for line in text.splitlines():
            if not line.startswith("#"):
                self._lines[re.split("[{ ]", line, maxsplit=1)[0]].append(line)

    @cached_property
    def found(self) -> list[Sample]:
        """All of them."""
        return [sample for name in self._lines for sample in self.named(name)]

    def named(self, name: str) -> list[Sample]:
        """Return the samples of that name."""
        text = "\n".join(self._lines.get(name, ())) + "\n"
        return [each for family in text_string_to_metric_families(text) for each in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Sum the samples of that name whose labels include these."""
        return sum(self.values(name, **labels))

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of the samples of that name whose labels include these."""
        return [
            sample.value for sample in self.named(name) if labels.items() <= sample.labels.items()
        ]


def config(places: dict[str, str], extra: str = "", exchange: str = "") -> str:
    """Return a config for simulated exchanges, impatient so that tests need not wait."""
    lines = ["probes: {interval: 500ms, timeout: 400ms}"]
    lines += [
        "streams: {stale_floor: 1500ms, stale_ceiling: 3s, backoff_cap: 1s, idle_timeout: 5s}"
    ]
    lines += [extra, "exchanges:"]
    for name, url in places.items():
        path = urlsplit(venues.load(name).stream_urls[0]).path
        lines += [
            f"- venue: {name}",
            f"  symbols: {SYMBOLS}",
            f"  rest_url: {url}",
            f"  stream_url: {url.replace('http', 'ws', 1)}{path}",
            "  breaker: {failures: 5, recovery: 1s, recovery_cap: 2s}",
            "  limits: {weight: 100000, share: 100%}",
            exchange,
        ]
    return "\n".join(line for line in lines if line) + "\n"


def places(lines: list[str]) -> dict[str, str]:
    """Return the REST URL of each simulated exchange, from what the simulator printed."""
    found = {}
    for line in lines:
        name, _, rest = line.partition(": ")
        if name in venues.names():
            found[name] = rest.split()[0]
    return found


@contextmanager
def make_world(
    folder: Path, *arguments: str, extra: str = "", exchange: str = ""
) -> Iterator[World]:
    """Start the simulator with these arguments, and an exporter that watches it; wait for both."""
    with ExitStack() as stack:
        simulator, simulator_url = stack.enter_context(programs.simulator(*arguments))
        file = folder / "exchanges.yml"
        file.write_text(config(places(simulator.lines), extra, exchange))
        port = programs.free_port()
        address = f"--web.listen-address=127.0.0.1:{port}"
        exporter = stack.enter_context(programs.command("run", f"--config.file={file}", address))
        world = World(simulator, simulator_url, exporter, f"http://127.0.0.1:{port}")
        programs.eventually(lambda: programs.get(f"{world.url}/-/ready"), "the exporter is ready")
        yield world


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Yield a function that starts a world of its own; all of it ends with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **more: stack.enter_context(
            make_world(tmp_path, *arguments, **more)
        )
