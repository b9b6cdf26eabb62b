"""`exchange-exporter watch`: what the API says, in the terminal, with keys, TLS and a login."""

from __future__ import annotations

import base64
import json
import os
import pty
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from exporter.__main__ import main
from exporter.cli._watch_state import snapshot_of
from exporter.cli._watch_view import Order, Style, View, frame, listed, press
from exporter.web import api
from exporter.web.state import Health, Snapshot
from tests.live import tls
from tests.web.examples import HEALTHY, NOW, PING, SNAPSHOT

STATE = msgspec.to_builtins(api.overview(SNAPSHOT))


@contextmanager
def served(context: ssl.SSLContext | None = None, login: str = "") -> Iterator[str]:
    """Serve the example's state; return host and port."""
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = wanted is None or self.headers.get("Authorization") == wanted
            self.send_response(200 if good and self.path == "/api/v1/state" else 401)
            self.end_headers()
            self.wfile.write(json.dumps(STATE).encode() if good else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def text(view: View, snapshot: Snapshot = SNAPSHOT, width: int = 200, height: int = 100) -> str:
    """Return a picture as text."""
    return "\n".join(line.text for line in frame(snapshot, view, "", width, height))


def test_the_api_gives_all_back() -> None:
    """What is read over the API is the snapshot that the page is made of, to the last figure."""
    found = snapshot_of(json.loads(json.dumps(STATE)))
    assert found.exchanges == SNAPSHOT.exchanges
    assert found.health == SNAPSHOT.health
    assert {one.signal: one.score for one in found.anomalies} == {
        one.signal: one.score for one in SNAPSHOT.anomalies
    }
    assert set(found.incidents) == set(SNAPSHOT.incidents)


def test_keys_choose_sort_filter_and_open() -> None:
    """The gravest first; s sorts, / filters, Enter opens, Escape goes back, q ends."""
    view = View()
    names = [each.health for each in listed(SNAPSHOT, view)]
    assert names == sorted(names, key=["down", "degraded", "pending", "up"].index)
    assert "is crossed: its best bid is not below its best ask" in text(view)
    view = press(view, "s", SNAPSHOT)
    assert view.order is Order.NAME
    ordered = [each.name for each in listed(SNAPSHOT, view)]
    assert ordered == sorted(ordered)
    view = press(press(view, "DOWN", SNAPSHOT), "ENTER", SNAPSHOT)
    assert view.opened == ordered[1]
    assert "endpoint" in text(view)
    assert "stream" in text(view)
    view = press(view, "ESCAPE", SNAPSHOT)
    for key in ("/", *"okx", "ENTER"):
        view = press(view, key, SNAPSHOT)
    assert [each.name for each in listed(SNAPSHOT, view)] == ["okx-tokyo"]
    assert "filter okx" in text(view)
    assert "times its threshold" in text(press(view, "a", SNAPSHOT))
    assert press(view, "q", SNAPSHOT).ended
    assert not press(press(view, "/", SNAPSHOT), "q", SNAPSHOT).ended  # a letter of the filter


def test_nothing_is_wider_or_longer_than_the_screen_or_moves_its_cursor() -> None:
    """Whatever a venue says: text of others is shown without control characters."""
    evil = replace(
        HEALTHY, endpoints=(replace(PING, ok=False, reason="dns", evidence="a\x1b[2Jb"),)
    )
    shown = Snapshot(now=NOW, started=NOW - 5, version="1", exchanges=(evil, *SNAPSHOT.exchanges))
    for width, height in ((200, 100), (80, 24), (20, 5)):
        for view in (View(), View(opened="binance"), View(opened="*anomalies")):
            lines = frame(shown, view, "", width, height)
            assert len(lines) <= height
            assert all(len(line.text) <= width and line.text.isprintable() for line in lines)
    styles = {line.style for line in frame(shown, View(), "", 200, 100)}
    assert {Style.DEGRADED, Style.UP, Style.CHOSEN} <= styles


def test_one_picture_over_tls_with_a_login(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--once prints it; the status says that not all is up; a wrong login is said in one line."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls.CERTIFICATES / "valid.pem")
    (tmp_path / "word").write_text("s3cret\n")
    with served(server, login="scraper:s3cret") as place:
        url = f"https://scraper@{place}"
        trust = f"--ca.file={tls.AUTHORITY}"
        word = f"--password.file={tmp_path / 'word'}"
        assert main(["watch", url, trust, word, "--once"]) == 1
        shown = capsys.readouterr().out
        assert all(each.name in shown for each in SNAPSHOT.exchanges)
        assert "s3cret" not in shown
        assert main(["watch", f"https://{place}", trust, "--once"]) == 2
        assert "401: name a user" in capsys.readouterr().err
        assert main(["watch", f"https://{place}", "--once"]) == 2
        assert "certificate" in capsys.readouterr().err
    assert main(["watch", "http://127.0.0.1:9", "--once"]) == 2
    assert "Connection refused" in capsys.readouterr().err
    assert main(["watch", "localhost:9717", "--once"]) == 2
    assert "expected a URL" in capsys.readouterr().err


def test_in_a_terminal_it_draws_and_ends_at_q() -> None:
    """A real terminal: the screen shows the exchanges, and q leaves it with status 0."""
    with served() as place:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "watch", f"http://{place}"],
            stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(slave)
        seen = b""
        while b"okx-tokyo" not in seen:
            seen += os.read(master, 65_536)
        os.write(master, b"q")
        drain = threading.Thread(target=_drain, args=(master,), daemon=True)
        drain.start()
        assert process.wait(60) == 0
        drain.join(10)
        assert b"Traceback" not in seen
    assert SNAPSHOT.health is Health.DEGRADED


def _drain(master: int) -> None:
    try:
        while os.read(master, 65_536):
            pass
    except OSError:  # the other side has closed
        os.close(master)
