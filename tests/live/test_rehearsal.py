"""The rehearsal command with the real Prometheus and Alertmanager: what it finds, how it ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.alert_rules.rules import FOLDER
from tests.live.programs import command, eventually, program

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("alertmanager")]


@pytest.mark.timeout(400)  # an exporter that pushes asserts an outage for a minute after it
@pytest.mark.usefixtures("generation")
def test_an_outage_is_told_once_and_resolved() -> None:
    """An outage fires, is told once and alone, and ends when it ends."""
    program("prometheus"), program("prometheus-alertmanager", "alertmanager")
    flags = (f"--rules={FOLDER}", "--compress=30")
    with command("rehearse", *flags, "ExchangeDown") as running:
        status = running.popen.wait(300)
        running.end()
    results = [line for line in running.lines if line.startswith(("pass ", "FAIL "))]
    assert status == 0, running.output
    assert [line.split(": fired after ")[0] for line in results] == ["pass ExchangeDown"]
    assert "(1 in all)" in results[0]
    assert "heard -" in results[0]
    assert running.lines[-1] == "1 of 1 passed, windows 1/30"


def test_healthy_traffic_tells_what_fired(tmp_path: Path) -> None:
    """What fires in healthy traffic is named with its severity, and something critical fails it."""
    program("prometheus"), program("prometheus-alertmanager", "alertmanager")
    for path in FOLDER.glob("*.yml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "always.yml").write_text(_ALWAYS)
    (tmp_path / "rehearsals").symlink_to(FOLDER / "rehearsals")
    with command("rehearse", f"--rules={tmp_path}", "--healthy=6s") as running:
        status = running.popen.wait(110)
        running.end()
    assert status == 1, running.output
    assert any(
        line.endswith("to the end: critical Always {exchange=okx}") for line in running.lines
    )
    verdict = running.lines[-1]
    assert verdict.startswith("FAIL: 0:00:06 of healthy traffic: 1 critical, 0 warning, 0 info")


_ALWAYS = """
groups:
  - name: always
    interval: 1s
    rules:
      - alert: Always
        expr: vector(1) == 1
        labels: {severity: critical, exchange: okx}
"""


def test_ctrl_c_leaves_nothing_behind() -> None:
    """All programs it started end with it."""
    program("prometheus"), program("prometheus-alertmanager", "alertmanager")
    with command("rehearse", f"--rules={FOLDER}", "ExchangeDown") as running:
        running.wait_line("running without faults")
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        assert len(children) == 4
        assert running.end(signal.SIGINT) == 130
    eventually(
        lambda: not any(Path(f"/proc/{child}").exists() for child in children), "all have ended"
    )


def test_what_cannot_be_rehearsed_says_why() -> None:
    """An alert without a rehearsal ends the command at once, with the reason."""
    with command("rehearse", f"--rules={FOLDER}", "ExchangeCertificateExpiring") as running:
        try:
            assert running.popen.wait(60) == 2
        except subprocess.TimeoutExpired:
            pytest.fail("still running")
        running.end()
    assert "TLS" in running.output
