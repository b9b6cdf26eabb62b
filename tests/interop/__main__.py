"""Run other people's clients against the simulated venues, and print a table of what came of it.

``python -m tests.interop`` is `make interop`; with --record it writes `recorded.jsonl` anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import aiohttp

from exporter.simulator import venues
from exporter.simulator.more import WIRES
from tests.interop import reading, recording
from tests.interop.asking import answers, frames
from tests.interop.recording import RecordingSimulator

CLIENTS = ("ccxt", "cryptofeed", "pybit", "python_binance", "python_kraken_sdk", "python_okx")
READING = "ccxt_reading"  # the same recorded frames through our readers and ccxt's
# Cells that cannot pass, by client, venue and the beginning of the cell, with the reason.
ARGUED = {
    ("ccxt", "coinbase", "watchOrderBook"): "asks for an account, whichever channel is named",
    (READING, "deribit", ""): "4.5.90 keeps the trades of the last frame alone",
    ("ccxt", "hyperliquid", "fetchTrades"): "asks for an account's own trades",
    ("ccxt", "binance_us", "fetchStatus"): "asks for Binance's own status, which has no place here",
}
_PATIENCE = 300.0  # seconds for one client
Cells = dict[tuple[str, str], dict[str, str]]  # client and venue → cell → what is wrong


async def _client(simulator: RecordingSimulator, python: Path, name: str, cells: Cells) -> str:
    """Run one client; return why it failed as a whole, or an empty text."""
    simulator.client = name
    urls = json.dumps({venue: simulator.rest_url(venue) for venue in simulator.names})
    process = await asyncio.create_subprocess_exec(
        python, "-W", "ignore", "-m", f"tests.interop.clients.with_{name}", urls,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        return f"did not end within {_PATIENCE:g} s"
    for line in out.decode().splitlines():
        if line.startswith('{"venue"'):
            row = json.loads(line)
            cells[name, row["venue"]][row["cell"]] = row["wrong"]
    if process.returncode:
        return f"exit status {process.returncode}: {err.decode()[-500:]}"
    return "" if any(client == name for client, _ in cells) else "told of nothing"


def argument(client: str, venue: str, cell: str) -> str | None:
    """Return why a cell cannot pass, or None where it must."""
    return next(
        (why for (c, v, start), why in ARGUED.items()
         if (c, v) == (client, venue) and cell.startswith(start)), None,
    )  # fmt: skip


def table(cells: Cells) -> list[str]:
    """Return the lines of the table: clients in rows, venues in columns, cells passed of all."""
    venues = sorted({venue for _, venue in cells})
    rows = [["", *venues]]
    for client in (*CLIENTS, READING):
        row = [client]
        for venue in venues:
            found = cells.get((client, venue))
            good = sum(not wrong for wrong in found.values()) if found else 0
            row.append(f"{good}/{len(found)}" if found else "-")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def verdict(cells: Cells, broken: dict[str, str]) -> tuple[list[str], bool]:
    """Return what there is to say below the table, and whether all is well."""
    lines = [f"BROKEN  {client}: {why}" for client, why in broken.items() if why]
    for (client, venue), found in cells.items():
        for cell, wrong in found.items():
            why = argument(client, venue, cell)
            if wrong:
                lines.append(f"{'argued' if why else 'FAILED'}  {client} {venue} {cell}: "
                             f"{why or wrong}")  # fmt: skip
            elif why:
                lines.append(f"FAILED  {client} {venue} {cell}: passes, so needs no argument")
    return lines, not any(line.startswith(("BROKEN", "FAILED")) for line in lines)


async def _record(simulator: RecordingSimulator) -> None:
    """Ask again what the clients asked, keep the shapes of what comes, and write the file."""
    simulator.client, asked = "", list(simulator.asked.values())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def take(one: recording.Asked) -> None:
            one.shapes = (
                await frames(simulator, one, http, seconds=4.0)
                if one.stream
                else await answers(simulator, one, http)
            )

        await asyncio.gather(*map(take, asked))
    recording.write(asked)


async def main() -> int:
    """Run the clients that are named, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    every = (*CLIENTS, READING)
    parser.add_argument("clients", nargs="*", help=f"of {', '.join(every)} (default: all)")
    parser.add_argument("--record", action="store_true", help="write recorded.jsonl anew")
    args = parser.parse_args()
    python = Path(os.environ.get("VENV", ".venv")) / "interop" / "bin" / "python"
    cells: Cells = defaultdict(dict)
    # Books change slowly enough that REST can be asked between two changes on a busy machine.
    async with RecordingSimulator(
        venue_names=[*venues.names(), *WIRES], limited=False, rate=20.0, book_rate=4.0
    ) as simulator:
        # As over a short line: on none at all a frame may overtake its own subscription in a client
        # that notes it down after sending.
        quick = simulator.inject({"fault": "latency", "seconds": 0.02})
        broken = {}
        for name in args.clients or every:
            sys.stderr.write(f"{name} ...\n")
            if name == READING:
                for venue, found in (await reading.judge(python)).items():
                    cells[name, venue] = found
                continue
            broken[name] = await _client(simulator, python, name, cells)
        lines, good = verdict(cells, broken)
        sys.stdout.write("\n".join([*table(cells), "", *lines]) + "\n")
        simulator.clear(quick)
        if args.record and good:
            await _record(simulator)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
