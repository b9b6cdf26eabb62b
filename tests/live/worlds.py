"""Worlds for tests that write the whole config themselves, or start the exporter again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live import programs
from tests.live.conftest import World, places

NO_LIMITS = "--no-limits"


@contextmanager
def simulated(
    folder: Path, text: Callable[[dict[str, str]], str], *arguments: str
) -> Iterator[tuple[programs.Process, str, Path]]:
    """Start the simulator; return it, its URL and the file of the config that ``text`` gives.

    ``text`` takes the REST URL of each simulated exchange.
    """
    with programs.simulator(*arguments) as (simulator, url):
        file = folder / "exchanges.yml"
        file.write_text(text(places(simulator.lines)))
        yield simulator, url, file


@contextmanager
def watched(
    simulator: programs.Process,
    simulator_url: str,
    file: Path,
    *arguments: str,
    program: Sequence[str] = ("exporter",),
) -> Iterator[World]:
    """Start an exporter on a config file and wait until it is ready.

    ``program`` is the module that runs it, with what it takes before the exporter's own arguments.
    """
    port = programs.free_port()
    address = f"--web.listen-address=127.0.0.1:{port}"
    command = (sys.executable, "-u", "-m", *program, "run", f"--config.file={file}", address)
    with programs.process(*command, *arguments) as exporter:
        world = World(simulator, simulator_url, exporter, f"http://127.0.0.1:{port}")
        programs.eventually(
            lambda: programs.get(f"{world.url}/-/ready"), "the exporter is ready", within=120
        )
        yield world
