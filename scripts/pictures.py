# ruff: noqa: T201 - it prints to a person
"""Take the pictures of the docs: the status page and the relay's page, while something is wrong.

    .venv/bin/python scripts/pictures.py [DIRECTORY]

Needs chromium. Simulated exchanges, the exporter and the relay run for half a minute.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exporter.simulator.rehearsal import stage  # noqa: E402 - found so
from exporter.simulator.rehearsal.forwarder import forwarding  # noqa: E402
from exporter.simulator.rehearsal.programs import (  # noqa: E402
    free_ports,
    running,
    wait_ready,
    wait_well,
)
from exporter.simulator.rehearsal.talk import inject  # noqa: E402
from tests.live.browser import Browser  # noqa: E402

VENUES: Final = ("binance", "bybit", "coinbase", "okx")
FAULTS: Final = (
    {"fault": "timeout", "venue": "bybit"},
    {"fault": "disconnect", "venue": "bybit", "code": 1006},
    {"fault": "mute", "venue": "okx", "channel": "trades"},
    {"fault": "latency", "venue": "coinbase", "seconds": 1.5},
)
QUIET: Final = 20.0  # seconds without a fault, in which the page fills
WRONG: Final = 25.0  # seconds with them


def main() -> int:
    """Take them; return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    if shutil.which("chromium") is None:
        print("missing: sudo apt-get install chromium", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-")))

        def start(name: str, ready: str, *command: str) -> None:
            log = work / f"{name}.log"
            wait_ready(stack.enter_context(running(name, command, log)), name, ready, log)

        relay, simulator, exporter = (f"127.0.0.1:{port}" for port in free_ports(3))
        sink = {"name": "oncall", "type": "webhook", "url": stack.enter_context(_sink())}
        (work / "relay.yml").write_text(json.dumps({"receivers": [sink]}))
        start(
            "relay",
            f"http://{relay}/-/ready",
            *(sys.executable, "-u", "-m", "exporter", "relay"),
            *(f"--config.file={work / 'relay.yml'}", f"--web.listen-address={relay}"),
        )
        forwarder = stack.enter_context(forwarding(f"http://{relay}"))
        (place,) = stage.at_sites(VENUES, 1, 20.0)
        stage.watch(start, work, "", simulator, exporter, place, 20.0, forwarder.address)
        wait_well(f"http://{exporter}")
        time.sleep(QUIET)
        inject(f"http://{simulator}", FAULTS)
        time.sleep(WRONG)
        for name, url, width, height, dark in (
            ("status-page", f"http://{exporter}/", 1200, 900, False),
            ("status-page-dark", f"http://{exporter}/", 1200, 900, True),
            ("status-page-phone", f"http://{exporter}/", 390, 844, False),
            ("incidents", f"http://{relay}/", 1200, 420, False),
        ):
            take(url, folder / f"{name}.png", width, height, dark=dark)
            print(folder / f"{name}.png")
    return 0


def take(url: str, to: Path, width: int, height: int, *, dark: bool) -> None:
    """Take a picture of a page, and say what is wider than the page is."""
    with Browser() as browser:
        browser.show(url, width, height, dark=dark)
        to.write_bytes(browser.picture())
        if (wide := browser.evaluate("document.documentElement.scrollWidth")) > width:
            print(f"{to}: {wide} px wide in a window of {width} px", file=sys.stderr)


@contextmanager
def _sink() -> Iterator[str]:
    """Take every message of the relay, for the length of a ``with``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
