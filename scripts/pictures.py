# ruff: noqa: T201, S603 - it prints to a person, and starts the programs it is for
"""Take the pictures of the docs: the status page and the relay's page, while something is wrong.

    .venv/bin/python scripts/pictures.py [DIRECTORY]

Needs chromium. Simulated exchanges, the exporter and the relay run for half a minute.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
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
        sink = {"name": "oncall", "type": "webhook", "url": f"http://{exporter}/nowhere"}
        (work / "relay.yml").write_text(json.dumps({"receivers": [sink]}))
        start(
            "relay",
            f"http://{relay}/-/ready",
            *(sys.executable, "-u", "-m", "exporter", "relay"),
            *(f"--config.file={work / 'relay.yml'}", f"--web.listen-address={relay}"),
        )
        forwarder = stack.enter_context(forwarding(f"http://{relay}"))
        stage.watch(start, work, "", simulator, exporter, VENUES, 20.0, forwarder.address)
        wait_well(f"http://{exporter}")
        time.sleep(QUIET)
        inject(f"http://{simulator}", FAULTS)
        time.sleep(WRONG)
        for name, url, width, height, dark in (
            ("status-page", f"http://{exporter}/", 1200, 900, False),
            ("status-page-dark", f"http://{exporter}/", 1200, 900, True),
            ("status-page-phone", f"http://{exporter}/", 500, 1200, False),
            ("incidents", f"http://{relay}/", 1200, 420, False),
        ):
            take(url, folder / f"{name}.png", width, height, dark=dark)
            print(folder / f"{name}.png")
    return 0


def take(url: str, to: Path, width: int, height: int, *, dark: bool) -> None:
    """Take a picture of a page."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        command = (
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={profile}", f"--window-size={width},{height}"),
            *(("--blink-settings=preferredColorScheme=0",) if dark else ()),
            *(f"--screenshot={to}", url),
        )
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
