"""Waits for the programs of a rehearsal: what their metrics must say before it goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from exporter.simulator.rehearsal import programs
from exporter.simulator.rehearsal.talk import RehearsalError

UP = 'exchange_probe_success{exchange="okx",endpoint="time"} 1\n'
DOWN = 'exchange_probe_success{exchange="okx",endpoint="ping"} 0\n'
LINK = 'exchange_stream_connected{exchange="okx",stream="market"} 1\n'
OTHER = "exchange_probes_total 3\n"


@contextmanager
def exporter(page: str) -> Iterator[str]:
    """Serve a page of metrics."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after the first look."""
    monkeypatch.setattr(programs, "_STARTED_WITHIN", 0.0)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (UP + LINK + OTHER, None),
        (UP + DOWN + LINK, 'endpoint="ping"} 0'),
        (UP + OTHER, "fails: exchange_stream_connected{"),
        (OTHER, "fails: exchange_probe_success{; exchange_stream_connected{"),
    ],
)
def test_well_is_every_probe_and_every_stream(page: str, complaint: str | None) -> None:
    """One that fails is named, and so is a family of which there is nothing yet."""
    with exporter(page) as url:
        if complaint is None:
            programs.wait_well(url)
            return
        with pytest.raises(RehearsalError) as error:
            programs.wait_well(url)
        assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [(UP + DOWN, None), (DOWN + LINK, 'there fails: exchange_probe_success{exchange="okx"')],
)
def test_an_outage_is_over_with_the_first_answer(page: str, complaint: str | None) -> None:
    """One endpoint that answers is enough: others may be asked much later."""
    with exporter(page) as url:
        if complaint is None:
            programs.wait_answer(url)
            return
        with pytest.raises(RehearsalError) as error:
            programs.wait_answer(url)
        assert complaint in str(error.value)
