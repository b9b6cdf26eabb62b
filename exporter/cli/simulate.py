"""Run simulated exchanges alone, with a control API to inject faults."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import _flags as flags
from exporter.instrument import meant
from exporter.words import why

if TYPE_CHECKING:
    from exporter.simulator import Fault, Simulator

HELP = """\
Runs simulated exchanges over real HTTP and WebSocket sockets, in the venues' exact wire formats,
and injects faults on request. Prints each venue's URLs for rest_url and stream_url, then `ready
URL`.

  GET    /control/kinds        the kinds of faults, with parameters and defaults
  POST   /control/faults       {"fault": "mute", "venue": "okx", "channel": "trades", "for": "60s"}
  DELETE /control/faults[/ID]  end all faults, or one
  GET    /control/state, /control/truth, /control/stats

exit status: 0 stopped by a signal, 2 it cannot start
"""
_MOST_SCENARIO = 1 << 20  # bytes

_positive = partial(flags.number, most=1e6, wanted="a number above 0, up to 1e6")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add(
        "--listen-address",
        default="127.0.0.1:9718",
        metavar="HOST:PORT",
        type=_address,
        help="address to listen on; port 0 picks a free port (default: %(default)s)",
    )
    add(
        "--venues",
        type=flags.names,
        metavar="A,B",
        help="venues to simulate (default: those implemented in Python; all: also those defined "
        "in YAML)",
    )
    add(
        "--symbols",
        type=_instruments,
        metavar="A,B",
        help="instruments to trade (default: BTC-USDT and others)",
    )
    add(
        "--seed",
        type=int,
        default=1,
        help="seed of the market; the same seed gives the same market",
    )
    add(
        "--rate",
        type=_positive,
        default=5.0,
        metavar="N",
        help="trades per second of each market (default: %(default)s)",
    )
    add(
        "--book-rate",
        type=_positive,
        default=10.0,
        metavar="N",
        help="book updates per second of each market (default: %(default)s)",
    )
    add("--scenario", type=Path, metavar="FILE", help="YAML file with faults and their times")
    add(
        "--own-ports",
        action="store_true",
        help="use one more port for each venue, so that it can refuse connections",
    )
    add(
        "--lifetime",
        type=_positive,
        metavar="SECONDS",
        help="close each stream at this age (default: as the venue does)",
    )
    add(
        "--no-limits",
        dest="limited",
        action="store_false",
        help="do not enforce the venues' limits of requests, messages and connections",
    )
    add(
        "--write-config",
        type=Path,
        metavar="FILE",
        help="write the config with which `run` watches these simulated exchanges",
    )
    add(
        "--end-with-input",
        action="store_true",
        help="exit when standard input closes, for programs that start this one",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; 2 if it cannot begin."""
    # Loaded here, so that other commands and --help do not pay for it.
    from exporter.simulator import FaultError, Simulator, venues
    from exporter.simulator.service import SYMBOLS

    names = args.venues or list(venues.names())
    names = list(venues.every()) if names == ["all"] else names
    unknown = [name for name in names if name not in venues.every()]
    if unknown:
        near = get_close_matches(unknown[0], venues.every(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(venues.every())}"
        return _fail(f"--venues: unknown {unknown[0][:80]!r}; {hint}")
    host, port = args.listen_address
    try:
        simulator = Simulator(
            venue_names=names, symbols=args.symbols or SYMBOLS, seed=args.seed, rate=args.rate,
            book_rate=args.book_rate, host=host, port=port, own_ports=args.own_ports,
            limited=args.limited, lifetime=args.lifetime,
            scenario=_scenario(args.scenario, names) if args.scenario else (),
        )  # fmt: skip
        symbols = {name: venues.load(name).lists(args.symbols or SYMBOLS) for name in names}
        asyncio.run(_serve(simulator, symbols, args.write_config, args.end_with_input))
    except FaultError as error:
        return _fail("\n".join(error.complaints))
    except OSError as error:
        if error.filename is None:
            code = error.errno or 0  # below 0: of getaddrinfo, which brings its own words
            said = os.strerror(code) if code > 0 else why(error)
            return _fail(f"cannot listen on {host}:{port}: {said}")
        return _fail(why(error))
    return 0


def _scenario(path: Path, names: list[str]) -> tuple[Fault, ...]:
    from exporter.simulator import FaultError, scenario

    raw = path.read_bytes()
    if len(raw) > _MOST_SCENARIO:
        raise FaultError([f"{path}: larger than {_MOST_SCENARIO} bytes"])
    try:
        return scenario.load(raw.decode(), str(path), names)
    except UnicodeDecodeError as error:
        raise FaultError([f"{path}: not UTF-8 text"]) from error


async def _serve(
    simulator: Simulator,
    symbols: Mapping[str, Sequence[str]],
    write: Path | None,
    end_with_input: bool,
) -> None:
    from exporter.cli.demo import document, stream_url

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if end_with_input:

        def read() -> None:
            if not os.read(sys.stdin.fileno(), 1024):
                stop.set()
                loop.remove_reader(sys.stdin.fileno())

        loop.add_reader(sys.stdin.fileno(), read)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with simulator:
        places = {}
        for name in simulator.names:
            places[name] = simulator.rest_url(name)
            print(f"{name}: {places[name]} {stream_url(name, places[name])}")
        if write is not None:
            await asyncio.to_thread(write.write_text, document(places, symbols))
            print(f"config: {write}")
        print(f"control: {simulator.url}/control/state")
        # Programs that start this one wait for this line.
        print(f"ready {simulator.url}", flush=True)
        await stop.wait()


def _fail(message: str) -> int:
    print(f"exchange-exporter simulate: {message}", file=sys.stderr)
    return 2


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _instruments(text: str) -> list[str]:
    names = flags.names(text)
    for name in names:
        near = meant(name)
        if near != name:
            hint = f"; did you mean {near}?" if near else ""
            wrong = f"found {name[:40]!r}, expected an instrument such as BTC-USDT{hint}"
            raise argparse.ArgumentTypeError(wrong)
    return names
