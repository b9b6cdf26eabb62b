"""Send a test page to your own phone: a simulated exchange fails, and you are notified."""

from __future__ import annotations

import argparse
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from exporter.cli import _receiver
from exporter.cli._receiver import Chosen, ReceiverError
from exporter.words import why

if TYPE_CHECKING:
    from exporter.relay.outbox import OutboxRow
    from exporter.simulator.rehearsal.forwarder import Forwarder

HELP = """\
Starts a simulated exchange, an exporter that watches it and a relay, makes the exchange fail, and
waits until your service has confirmed the message. Then it ends the fault, and you are notified of
that as well. It takes about ten seconds, on a slow machine half a minute, and leaves no files or
processes.

  page-me --discord=https://discord.com/api/webhooks/ID/TOKEN
  page-me --telegram=BOT_TOKEN --to=CHAT_ID
  page-me --line=env:LINE_TOKEN --to=U00000000000000000000000000000000

The messages say that they are a drill. In production, Alertmanager is between the exporter and the
relay; here the exporter pushes to the relay directly. `init` writes the configs for production.

exit status: 0 the service confirmed the page, 1 it did not, 2 wrong flags or a failed start,
130 Ctrl-C
"""
FAILED, UNUSABLE = 1, 2
# One alone: on a slow machine others would be late, too, and then nobody is told of the one.
STRUCK = "binance"
# A reset is seen at once; a timeout, and a second one to be sure, would take two seconds each.
_FAULTS = (
    {"fault": "reset", "venue": STRUCK},
    {"fault": "disconnect", "venue": STRUCK, "code": 1006},
)
_PACE = 20.0  # how much faster than shipped the exporter probes
_PAGED_WITHIN = 60.0  # seconds from the fault
_ENDED_WITHIN = 20.0  # seconds from the end of the fault


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    _receiver.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Page; return the exit status."""
    from exporter.simulator.rehearsal import RehearsalError

    signal.signal(signal.SIGTERM, _end)
    try:
        chosen = _receiver.chosen(args)
        if chosen is None:
            raise ReceiverError("a receiver is required, such as --discord=URL (try --help)")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-me-")))
            return _drill(stack, folder, chosen, args.language)
    except (ReceiverError, RehearsalError, OSError) as error:
        print(f"exchange-exporter page-me: {why(error)}", file=sys.stderr)
        return UNUSABLE


def _drill(stack: ExitStack, folder: Path, chosen: Chosen, language: str) -> int:
    from exporter.simulator.rehearsal import stage
    from exporter.simulator.rehearsal.forwarder import forwarding
    from exporter.simulator.rehearsal.programs import (
        free_ports,
        running,
        wait_answer,
        wait_ready,
        wait_well,
    )
    from exporter.simulator.rehearsal.talk import inject, withdraw

    def start(name: str, ready: str, *command: str) -> None:
        log = folder / f"{name}.log"
        wait_ready(stack.enter_context(running(name, command, log)), name, ready, log)

    relay, simulator, exporter = (f"127.0.0.1:{port}" for port in free_ports(3))
    _say("Starting a simulated exchange, the exporter and the relay ...")
    config = _relay_config(folder, chosen, language)
    ours = (sys.executable, "-u", "-m", "exporter")
    command = (*ours, "relay", f"--config.file={config}", f"--web.listen-address={relay}")
    # The relay starts while the others do.
    log = folder / "relay.log"
    relaying = stack.enter_context(running("relay", command, log))
    forwarder = stack.enter_context(forwarding(f"http://{relay}"))
    place = stage.Place(venues=(STRUCK,))
    stage.watch(start, folder, "", simulator, exporter, place, _PACE, forwarder.address)
    wait_ready(relaying, "relay", f"http://{relay}/-/ready", log)
    wait_well(f"http://{exporter}")
    _say(f"Everything works: http://{exporter}/\nNow {STRUCK} stops answering.")
    begun = time.monotonic()
    faults = inject(f"http://{simulator}", _FAULTS)
    page = _wait(folder, forwarder, lambda row: row.occasion != "resolved", _PAGED_WITHIN)
    after = time.monotonic() - begun
    withdraw(f"http://{simulator}", faults)
    if page is None:
        why = forwarder.failure or f"no alert after {_PAGED_WITHIN:.0f} s"
        return _fail(f"no page was sent: {why}")
    if page.state != "delivered":
        return _fail(f"{chosen.type} did not accept it: {page.detail or page.state}")
    known = f", message {page.provider_id}" if page.provider_id else ""
    _say(f"Paged {after:.0f} s after the fault: {chosen.type} confirmed it{known}.")
    wait_answer(f"http://{exporter}")
    forwarder.end()
    end = _wait(folder, forwarder, lambda row: row.occasion == "resolved", _ENDED_WITHIN)
    told = end is not None and end.state == "delivered"
    _say(f"{STRUCK} answers again{': you got a message about it, too' if told else ''}.\n{_NEXT}")
    return 0


_NEXT = """\
Next: exchange-exporter init    writes the configs to watch real exchanges and page there"""


def _relay_config(folder: Path, chosen: Chosen, language: str) -> Path:
    """Write the relay's config and its secret; return the config's path."""
    chosen.keep(folder)
    config = folder / "relay.yml"
    # No pause between the messages of one incident: the end comes seconds after the page.
    lines = [*chosen.section(language), "    cooldown: 0s", "heartbeat: {enabled: false}"]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def _wait(
    folder: Path, forwarder: Forwarder, wanted: Callable[[OutboxRow], bool], within: float
) -> OutboxRow | None:
    """Wait until a wanted message is delivered or given up; return it as it stands at the end."""
    from exporter.relay import outbox, store

    deadline = time.monotonic() + within
    database = store.connect(folder / "relay.db")
    try:
        while True:
            rows = outbox.listed(database, tuple(outbox.DeliveryState), 10)
            row = next((row for row in rows if wanted(row)), None)
            ended = row is not None and row.state not in ("waiting", "sending")
            if ended or time.monotonic() > deadline:
                return row
            time.sleep(0.2)
    except sqlite3.Error as error:
        forwarder.failure = str(error)
        return None
    finally:
        database.close()


def _say(text: str) -> None:
    print(text, flush=True)


def _fail(text: str) -> int:
    print(f"exchange-exporter page-me: {text}", file=sys.stderr)
    return FAILED


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
