"""Faults of our own under the shipped rules, in a real Prometheus: nobody is paged for an exchange.

`make own-faults` runs them; each takes a minute and a half, as the rules look back so far.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.alert_rules.rules import FOLDER
from tests.live import programs
from tests.live.conftest import config, places

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif("OWN_FAULTS" not in os.environ, reason="make own-faults runs it"),
]

LASTS: Final = 90.0  # seconds: more than any critical rule of exchanges waits for
VENUES: Final = ("binance", "okx", "kraken")
PAGES: Final = 'ALERTS{alertstate="firing",severity="critical",exchange!=""}'
OWN: Final = 'ALERTS{alertstate="firing",category="exporter",alertname!="Watchdog"}'


def _no_descriptors(exporter: programs.Process, folder: Path) -> None:
    """Let it open nothing more; what it has open stays."""
    resource.prlimit(exporter.pid, resource.RLIMIT_NOFILE, (3, 3))
    time.sleep(LASTS)


def _stand_still(exporter: programs.Process, folder: Path) -> None:
    """Stop the whole process again and again, for longer than its probes may take."""
    until = time.monotonic() + LASTS
    while time.monotonic() < until:
        os.kill(exporter.pid, signal.SIGSTOP)
        time.sleep(4.0)
        os.kill(exporter.pid, signal.SIGCONT)
        time.sleep(3.0)


def _full_disk(exporter: programs.Process, folder: Path) -> None:
    """Leave no byte of its storage free."""
    with (folder / "state" / "rest").open("wb", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(4096))
        except OSError:
            pass
        time.sleep(LASTS)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (_no_descriptors, "probe_without_resources"),
        (_stand_still, "event_loop_stalled"),
        (_full_disk, "state_not_saved"),
    ],
)
def test_no_exchange_is_paged_for_what_we_lack(
    fault: Callable[[programs.Process, Path], None], said: str, tmp_path: Path
) -> None:
    """Its domain is our own, the log says so in few lines, and the rules page for no exchange."""
    with ExitStack() as stack:
        simulator, _ = stack.enter_context(
            programs.simulator(f"--venues={','.join(VENUES)}", "--symbols=BTC-USDT")
        )
        file, state = tmp_path / "exchanges.yml", tmp_path / "state"
        state.mkdir()
        _small_disk(state, stack)
        extra = "metrics: {phases: new}"
        text = config(places(simulator.lines), extra)
        # No connection outlives a probe, so that each needs a descriptor.
        impatient = "probes: {interval: 2s, timeout: 2s, connection_age: 1s}"
        file.write_text(text.replace("probes: {interval: 500ms, timeout: 400ms}", impatient))
        port = programs.free_port()
        exporter = stack.enter_context(
            programs.command(
                "run",
                f"--config.file={file}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.path={state}",
            )
        )
        url = f"http://127.0.0.1:{port}"
        programs.eventually(lambda: programs.get(f"{url}/-/ready"), "the exporter is ready")
        _, prometheus = stack.enter_context(
            programs.prometheus(
                tmp_path,
                "global: {scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 5s}\n"
                f"rule_files: [{', '.join(map(str, _rules()))}]\n"
                "scrape_configs:\n- job_name: exchange-exporter\n"
                f"  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n",
            )
        )
        time.sleep(20.0)  # what is well has been seen
        fault(exporter, tmp_path)
        for name, labels in (("pages", PAGES), ("own", OWN)):
            found = programs.query(prometheus, f"max_over_time({labels}[2m])")
            print(name, sorted({each["metric"]["alertname"] for each in found}))  # noqa: T201
        # Over its own connection, which is open: nobody else may get one.
        domains = programs.query(
            prometheus, f"max_over_time(exchange_fault_domain[{LASTS - 15:.0f}s]) == 1"
        )
        reasons = programs.query(prometheus, "increase(exchange_probe_failures_total[2m]) > 0.1")
        for name, rows in (("domain", domains), ("reason", reasons)):
            seen = sorted({(each["metric"]["exchange"], each["metric"][name]) for each in rows})
            print(name, seen)  # noqa: T201 - shown by pytest -s
        lines = [line for line in exporter.output.splitlines() if f"event={said}" in line]
        print("lines", len(lines), lines[-1:])  # noqa: T201
        assert programs.query(prometheus, f"max_over_time({PAGES}[2m])") == []
        assert {each["metric"]["domain"] for each in domains} <= {"self"}
        assert 1 <= len(lines) <= 5 + LASTS / 60.0 + 2


def _rules() -> list[Path]:
    return [each for each in FOLDER.glob("*.yml") if each.name != "alertmanager.yml"]


def _small_disk(folder: Path, stack: ExitStack) -> None:
    """Give a folder a file system of its own, of 256 KiB; skips where that is not allowed."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs: {made.stderr.decode()}")
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
