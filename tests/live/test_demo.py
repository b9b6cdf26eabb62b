"""`exchange-exporter demo`: up at once, small, and gone at Ctrl-C."""

from __future__ import annotations

import signal
import time

import pytest

from tests.live import programs
from tests.live.conftest import Samples

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.xdist_group("demo")]

EXCHANGES = ("binance", "bybit", "okx")


def watched(url: str) -> bool:
    """Every exchange has answered a probe and sent market data."""
    page = Samples(programs.get(f"{url}/metrics"))
    return all(
        page.total("exchange_probes_total", exchange=name, outcome="success")
        and page.total("exchange_stream_messages_total", exchange=name, kind="data")
        for name in EXCHANGES
    )


@pytest.mark.timed
def test_demo_is_up_at_once_and_gone_at_once() -> None:
    """All exchanges are watched soon after the start; Ctrl-C ends all of it within 2 s."""
    port = programs.free_port()
    with programs.command("demo", f"--web.listen-address=127.0.0.1:{port}") as demo:
        url = f"http://127.0.0.1:{port}"
        programs.eventually(lambda: watched(url), "all exchanges are watched")
        took = time.monotonic() - demo.started
        print(f"first full scrape after {took:.2f} s")  # noqa: T201 - shown by pytest -rP
        page = programs.get(url)
        assert all(name.lower() in page.lower() for name in EXCHANGES)
        assert demo.memory() < 90e6  # 75 MB on Python 3.11, 80 MB on 3.13 with its numpy
        begun = time.monotonic()
        assert demo.end(signal.SIGINT) == 0
        assert time.monotonic() - begun < 2.0
        assert f"{url.replace('127.0.0.1', 'localhost')}/metrics" in demo.output
        assert "Traceback" not in demo.output


def test_demo_says_in_one_line_that_its_port_is_taken() -> None:
    """A port in use: one line, exit status 2, no traceback, no simulator left behind."""
    port = programs.free_port()
    arguments = ("demo", f"--web.listen-address=127.0.0.1:{port}")
    with programs.command(*arguments) as first:
        first.wait_line("  Ctrl-C stops it.")
        with programs.command(*arguments) as second:
            assert second.popen.wait(60) == 2
            second.end()
            assert "Traceback" not in second.output
            assert str(port) in second.output.splitlines()[-1]
        assert first.end(signal.SIGINT) == 0
