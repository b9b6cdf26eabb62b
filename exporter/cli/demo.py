"""Watch simulated exchanges, without any config."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from exporter.cli import _serve as serve

HELP = """\
Starts simulated exchanges in a separate process and watches them like real ones. Prints the pages
to open, and a command that makes an exchange misbehave. Ctrl-C stops both.

Takes the flags of `run`, except for the config.

exit status: 0 stopped by a signal, 1 stopped by a signal, but too slowly, 2 it cannot start
"""
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--venues",
        metavar="A,B",
        default="binance,bybit,okx",
        help="simulated venues to watch (default %(default)s), or all; `simulate` lists them",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the simulated market (default 1)"
    )
    serve.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    with _simulator(args.venues, args.seed) as simulator:
        # Imported while the simulator starts: both are up within two seconds.
        from exporter import config as settings
        from exporter import venues

        url, places = _places(simulator)
        if not url:
            print("exchange-exporter: the simulator did not start", file=sys.stderr)
            return serve.UNUSABLE
        config = settings.read(document(places), "demo", venues.choices(), venues.load)
        return serve.serve(config, args, ready=lambda port: _greet(port, url))


def _places(simulator: subprocess.Popen[str]) -> tuple[str, dict[str, str]]:
    """Return the simulator's URL and that of each venue, by name, as it prints them."""
    places: dict[str, str] = {}
    for line in simulator.stdout or ():
        name, _, rest = line.partition(" ")
        if name == "ready":
            return rest.strip(), places
        places[name.removesuffix(":")] = rest.split()[0]
    return "", {}


def document(places: Mapping[str, str], symbols: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the config that watches simulated exchanges, by the URL and symbols of each venue."""
    from exporter import venues

    lines = ["probes: {interval: 5s, timeout: 2s}", "exchanges:"]
    for name, url in places.items():
        if name not in venues.names():  # such as the simulator's own control address
            continue
        venue = venues.load(name)
        lines += [
            f"- venue: {name}",
            f"  symbols: [{', '.join((symbols or {}).get(name) or _listed(name))}]",
            f"  rest_url: {url}",
            f"  stream_url: {stream_url(name, url)}",
        ]
        if venue.status_page is not None:
            lines.append(f"  status_page_url: {url}/statuspage")
    return "\n".join(lines) + "\n"


def _listed(name: str) -> Sequence[str]:
    """Return the usual symbols as a simulated venue lists them, in dollars if not in theirs."""
    from exporter import venues
    from exporter.simulator import venues as simulated

    there = simulated.load(name).lists(SYMBOLS)
    usual = [each for each in venues.listed(venues.load(name), SYMBOLS) if each in there]
    return usual or there


def stream_url(name: str, url: str) -> str:
    """Return where a simulated venue streams, by its REST URL."""
    from exporter import venues

    return url.replace("http", "ws", 1) + urlsplit(venues.load(name).stream_urls[0]).path


def _greet(port: int, simulator: str) -> None:
    here = f"http://localhost:{port}"
    print(
        f"""
  Status page    {here}/
  Metrics        {here}/metrics
  Simulator      {simulator}/control/state

  Stop OKX's trades for a minute, and watch the status page:
    curl -X POST {simulator}/control/faults -H 'Content-Type: application/json' \\
      -d '{{"venue": "okx", "fault": "mute", "channel": "trades", "for": "60s"}}'

  Ctrl-C stops it.
""",
        flush=True,
    )


@contextmanager
def _simulator(names: str, seed: int) -> Iterator[subprocess.Popen[str]]:
    """Run the simulated exchanges until leaving; they end by themselves if we are killed."""
    command = (
        *(sys.executable, "-m", "exporter", "simulate"),
        *(
            "--listen-address=127.0.0.1:0",
            f"--venues={names}",
            f"--seed={seed}",
            "--end-with-input",
        ),
    )
    # Its own session: Ctrl-C in the terminal is for us, and we end it when our last frame is read.
    simulator = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield simulator
    finally:
        simulator.terminate()
        try:
            simulator.wait(1.0)
        except subprocess.TimeoutExpired:
            simulator.kill()
            simulator.wait()
        for pipe in (simulator.stdin, simulator.stdout):
            if pipe is not None:
                pipe.close()
