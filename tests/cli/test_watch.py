"""`exchange-exporter watch`: what the API says, in the terminal, with keys, TLS and a login."""

from __future__ import annotations

import asyncio
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
from textual.widgets import DataTable, Static, TabbedContent, TabPane

from exporter.__main__ import main
from exporter.cli._api import ApiError
from exporter.cli._watch_app import StateReader, WatchApp
from exporter.cli._watch_state import snapshot_of
from exporter.cli._watch_tables import View, arranged, as_text, summary, tables, wrong
from exporter.relay import page
from exporter.web import api
from exporter.web.state import Health, QueueView, Snapshot
from tests.live import pages, tls
from tests.web.examples import HEALTHY, NOW, PING, SNAPSHOT, STREAM

STATE = msgspec.to_builtins(api.overview(SNAPSHOT))
RELAY = msgspec.to_builtins(page.plain(pages.overview()))


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


def test_the_api_gives_all_back() -> None:
    """What is read over the API is the snapshot that the page is made of, to the last figure."""
    found = snapshot_of(json.loads(json.dumps(STATE)))
    assert found.exchanges == SNAPSHOT.exchanges
    assert found.health == SNAPSHOT.health
    assert {one.signal: one.score for one in found.anomalies} == {
        one.signal: one.score for one in SNAPSHOT.anomalies
    }
    assert set(found.incidents) == set(SNAPSHOT.incidents)


def shown(name: str, view: View, snapshot: Snapshot = SNAPSHOT) -> list[str]:
    """Return the first cells of a table's rows, and the rest behind them."""
    rows = arranged(tables(snapshot, RELAY)[name], view)
    return [" ".join(cell.text for cell in row.cells) for row in rows]


def test_the_worst_is_first_and_any_column_sorts() -> None:
    """Without a column by health; numbers by size, not by their text, and unknown ones last."""
    healths = [line.split()[1] for line in shown("exchanges", View())]
    assert healths == sorted(healths, key=["down", "degraded", "pending", "up"].index)
    names = shown("exchanges", View(column=0))
    assert names == sorted(names)
    assert names == shown("exchanges", View(column=0, reverse=True))[::-1]
    quick, slow = (replace(PING, name=name, median=at) for name, at in (("q", 0.009), ("s", 1.5)))
    never = replace(PING, name="n", median=None)
    snapshot = replace(SNAPSHOT, exchanges=(replace(HEALTHY, endpoints=(slow, never, quick)),))
    for reverse, order in ((False, "qsn"), (True, "sqn")):
        lines = shown("endpoints", View(column=3, reverse=reverse), snapshot)
        assert [line.split()[1] for line in lines] == list(order)


def test_a_word_or_an_exchange_narrows_every_table() -> None:
    """A filter goes by health too, whatever its case; one exchange's rows are its alone."""
    assert [line.split()[0] for line in shown("exchanges", View(word="OKX"))] == ["okx-tokyo"]
    assert [line.split()[0] for line in shown("exchanges", View(word="down"))] == ["bybit"]
    for name in ("endpoints", "streams", "queues", "anomalies"):
        lines = shown(name, View(exchange="okx-tokyo"))
        assert lines, name
        assert all(line.startswith("okx-tokyo ") for line in lines)
    assert [line.split()[1] for line in shown("books", View(word="crossed"))] == ["ETH-USDT"]


def test_queues_and_the_relay_are_shown() -> None:
    """How full the queues are and what they gave up; incidents and what became of messages."""
    stream = replace(STREAM, queue=QueueView(waiting=60, capacity=80, dropped=7))
    full = replace(HEALTHY, streams=(stream,))
    (line,) = shown("queues", View(), replace(SNAPSHOT, exchanges=(full,)))
    assert " 60 80 75% 7 " in line
    assert [row.health for row in tables(SNAPSHOT, RELAY)["incidents"].rows] == ["down", "up"]
    states = {line.split()[4] for line in shown("messages", View(column=2))}
    assert {"delivered", "dead", "dropped", "sending", "waiting"} == states
    assert "relay: 1 open, 3 waiting, 1 dead, heartbeat 90 s ago" in summary(SNAPSHOT, RELAY)
    assert "incidents" not in tables(SNAPSHOT, None)


def test_text_of_others_moves_no_cursor() -> None:
    """Whatever a venue says: no cell and no line has a control character."""
    evil = replace(PING, name="a\x1b[2Jb", ok=False, reason="dns", evidence="a\x1b[2Jb")
    exchange = replace(HEALTHY, name="a\x1b]0;x\x07", title="\x9b2J", endpoints=(evil,))
    snapshot = Snapshot(now=NOW, started=NOW - 5, version="1\r", exchanges=(exchange,))
    lines = [summary(snapshot, RELAY), *(text for _, text in wrong(snapshot, [exchange.name]))]
    for table in tables(snapshot, RELAY).values():
        lines += as_text(table, arranged(table, View()))
    assert len(lines) > 12
    assert [line for line in lines if not line.isprintable()] == []


def rows_of(app: WatchApp, name: str) -> list[str]:
    """Return the first cells of a table on the screen."""
    widget = app.query_one(f"#table-{name}", DataTable)
    return [str(widget.get_row_at(at)[0]) for at in range(widget.row_count)]


def test_keys_sort_filter_and_drill_down() -> None:
    """On the screen, by keys alone: sort, filter, one exchange, tabs, all again, and the end."""

    async def main() -> None:
        app = WatchApp(StateReader(lambda: STATE, lambda: RELAY, 60.0))
        async with app.run_test(size=(150, 50)) as pilot:
            while not rows_of(app, "exchanges"):
                await pilot.pause(0.02)
            worst = rows_of(app, "exchanges")
            assert worst[0] == "bybit"
            await pilot.press("s")
            assert rows_of(app, "exchanges") == sorted(worst)
            await pilot.press("r")
            assert rows_of(app, "exchanges") == sorted(worst)[::-1]
            await pilot.press("slash", *"okx")
            assert rows_of(app, "exchanges") == ["okx-tokyo"]
            assert "crossed" in str(app.query_one("#wrong", Static).render())
            await pilot.press("enter", "enter")  # the first leaves the field
            await pilot.pause()
            assert app.query_one(TabbedContent).active == "endpoints"
            assert rows_of(app, "endpoints") == ["okx-tokyo"]
            await pilot.press("3")
            await pilot.pause()
            assert set(rows_of(app, "streams")) == {"okx-tokyo"}
            await pilot.press("8", "escape")  # the filter
            await pilot.pause()
            assert len(rows_of(app, "messages")) == 7
            await pilot.press("escape")  # the exchange
            await pilot.pause()
            assert app.query_one(TabbedContent).active == "exchanges"
            assert len(rows_of(app, "exchanges")) == len(worst)
            await pilot.press("q")
        assert app.return_code == 0

    asyncio.run(asyncio.wait_for(main(), 60.0))


def test_an_exporter_that_went_away_is_told_beside_the_last_state() -> None:
    """What stands there stays, and why it is old is said; the next answer takes that away."""
    away: list[str] = []

    def read() -> object:
        if away:
            raise ApiError(away[0])
        return STATE

    async def main() -> None:
        app = WatchApp(StateReader(read, None, 0.02))
        async with app.run_test(size=(150, 50)) as pilot:

            async def wait_trouble(text: str) -> None:
                while text != str(app.query_one("#trouble", Static).render()):
                    await pilot.pause(0.02)

            while not rows_of(app, "exchanges"):
                await pilot.pause(0.02)
            away.append("http://x: Connection refused")
            await wait_trouble("no newer state: http://x: Connection refused")
            assert len(rows_of(app, "exchanges")) == len(SNAPSHOT.exchanges)
            away.clear()
            await wait_trouble("")
            assert "incidents" not in {pane.id for pane in app.query(TabPane)}

    asyncio.run(asyncio.wait_for(main(), 60.0))


def test_without_textual_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest of the program does without it, and so does --once."""
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "exporter.cli._watch_app")
    for file in (sys.stdin, sys.stdout):
        monkeypatch.setattr(file, "isatty", lambda: True)
    with served() as place:
        assert main(["watch", f"http://{place}"]) == 2
    assert "pip install 'exchange-exporter[watch]'" in capsys.readouterr().err


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
