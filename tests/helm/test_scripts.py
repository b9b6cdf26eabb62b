"""The two small programs inside the chart, run as its pods run them."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.helm.engine import CHART
from tests.live import programs

FILES = CHART / "files"
CONFIGS = {
    "run": "exchanges: [{venue: binance, streams: [], endpoints: []}]\nanomaly: {enabled: false}\n",
    "relay": "receivers: [{name: a, type: webhook, url: 'http://127.0.0.1:9/'}]\n",
}


def _wait(file: Path, words: str) -> None:
    """Wait until a file contains the words."""
    programs.eventually(lambda: words in file.read_text(encoding="utf-8"), f"{words!r} in {file}")


@pytest.mark.live
@pytest.mark.parametrize("command", CONFIGS)
def test_the_reloader_makes_the_program_read_its_config(command: str, tmp_path: Path) -> None:
    """A config swapped the way a kubelet does it is taken over; nothing is opened for it."""
    for name, level in (("one", "info"), ("two", "debug")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yml").write_text(
            f"{CONFIGS[command]}log: {{level: {level}}}\n", encoding="utf-8"
        )
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "config.yml").symlink_to("..data/config.yml")
    log, told = tmp_path / "log", tmp_path / "told"
    program = Path(sys.executable).parent / "exchange-exporter"
    with (
        log.open("w") as log_file,
        told.open("w") as told_file,
        subprocess.Popen(
            [program, command, f"--config.file={tmp_path}/config.yml",
             "--web.listen-address=127.0.0.1:0"],
            stdout=log_file, stderr=subprocess.STDOUT,
        ) as served,
    ):  # fmt: skip
        try:
            _wait(log, "event=config_loaded added=1" if command == "run" else "event=relay_started")
            code = (FILES / "reloader.py").read_text(encoding="utf-8")
            # Of all such programs on this machine it is to see this one.
            code = code.replace('glob("[0-9]*/comm")', f'glob("{served.pid}/comm")')
            with subprocess.Popen(
                [sys.executable, "-c", code, tmp_path / "config.yml", "0.1"], stdout=told_file
            ) as reloader:
                try:
                    time.sleep(0.5)
                    (tmp_path / "..tmp").symlink_to("two")
                    (tmp_path / "..tmp").rename(tmp_path / "..data")
                    _wait(told, "config_reload_sent")
                    _wait(log, "event=config_loaded added=0 removed=0 restarted=0 kept=1")
                    assert served.poll() is None
                finally:
                    reloader.kill()
        finally:
            served.terminate()
            served.wait(timeout=60)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401 if self.path == "/closed" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_probe_tells_who_answers() -> None:
    """`helm test` passes for a server that answers, or wants a login, and fails for none."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        code = (FILES / "probe.py").read_text(encoding="utf-8")
        good = [sys.executable, "-c", code, f"{base}/-/healthy", f"{base}/closed"]
        done = subprocess.run(good, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.splitlines() == [f"{base}/-/healthy: 200", f"{base}/closed: 401"]
        server.shutdown()
    short = code.replace("+ 30", "+ 1")
    done = subprocess.run(
        [sys.executable, "-c", short, f"{base}/-/healthy"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no answer" in done.stderr


@pytest.mark.live
def test_the_reloader_says_why_it_reaches_nobody(tmp_path: Path) -> None:
    """A signal that the kernel refuses, or that has no process to go to, is said once in words."""
    code = (FILES / "reloader.py").read_text(encoding="utf-8")
    refusing = code.replace("os.kill(", "_refuse(").replace(
        "def tell()", "def _refuse(*_: int) -> None:\n    raise PermissionError\n\n\ndef tell()"
    )
    mine = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    for text, name, words in (
        (refusing, mine, "runs as another user"),
        (code, "nobody-has-this", "no process is called nobody-has-this"),
    ):
        config = tmp_path / "config.yml"
        config.write_text("one", encoding="utf-8")
        told = tmp_path / "told"
        named = text.replace('NAME = "exchange-export"', f"NAME = {name!r}")
        with (
            told.open("w") as out,
            subprocess.Popen(
                [sys.executable, "-u", "-c", named, config, "0.05"], stdout=out
            ) as reloader,
        ):
            try:
                # Before its first look the changed file would be the one it knows.
                time.sleep(0.5)
                config.write_text("two", encoding="utf-8")
                _wait(told, words)
                time.sleep(0.3)
                assert told.read_text(encoding="utf-8").count("config_reload_failed") == 1
            finally:
                reloader.kill()
