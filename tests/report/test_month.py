"""A report is judged against a real Prometheus filled with a month whose figures are known.

Two exchanges are seen for the first three hours of October, sampled every 15 s; what happens at
alpha is written below, and every figure is worked out by hand from that.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.__main__ import main
from tests.live import browser, programs

pytestmark = pytest.mark.live

START = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
MONTH = 31 * 1440
UNSEEN = range(160, 170)  # minutes of the three hours without a sample
CONFIG = "global: {scrape_interval: 15s}\n"


def _series() -> Iterator[tuple[str, Callable[[int], float | None]]]:
    """Yield each series and its value by the minute, None: no sample."""

    def within(minutes: range, there: float, else_: float | None) -> Callable[[int], float | None]:
        return lambda minute: there if minute in minutes else else_

    down, half, books, maintenance = range(30, 40), range(60, 70), range(100, 105), range(120, 150)

    def ping(minute: int) -> float:
        return float(all(minute not in each for each in (down, half, books, maintenance)))

    def other(minute: int) -> float:
        return float(minute not in down and minute not in maintenance)

    yield 'exchange_probe_success{exchange="alpha",endpoint="ping"}', ping
    yield 'exchange_probe_success{exchange="alpha",endpoint="time"}', other
    yield 'exchange_probe_success{exchange="beta",endpoint="ping"}', lambda minute: 1.0
    feed = 'exchange_stream_subscriptions{exchange="alpha",stream="s",state="%s"}'
    yield feed % "live", within(range(80, 90), 3.0, 4.0)
    yield feed % "stale", within(range(80, 90), 1.0, 0.0)
    yield feed % "rejected", lambda minute: 2.0  # refused for good: nobody's outage
    for symbol, minutes in (("A-B", books), ("C-D", range(0))):
        yield (
            f'exchange_book_synced{{exchange="alpha",symbol="{symbol}"}}',
            within(minutes, 0.0, 1.0),
        )
    yield (
        'exchange_maintenance_active{exchange="alpha",source="venue"}',
        within(maintenance, 1.0, 0.0),
    )
    yield 'exchange_maintenance_active{exchange="alpha",source="config"}', lambda minute: 0.0
    for domain, minutes in (("exchange", down), ("path", half), ("self", range(80, 90))):
        yield (
            f'exchange_fault_domain{{exchange="alpha",domain="{domain}"}}',
            within(minutes, 1.0, 0.0),
        )
    declared = 'exchange_incident_declared{exchange="alpha",source="status_page"}'
    yield declared, within(range(33, 45), 1.0, 0.0)
    yield (
        'exchange_incident_lead_seconds{exchange="alpha"}',
        lambda minute: 130.0 if minute >= 33 else None,
    )
    yield 'exchange_gate_open{gate="mm"}', within(range(30, 45), 0.0, 1.0)
    yield 'exchange_gate_info{gate="mm",exchange="alpha"}', lambda minute: 1.0


def _openmetrics() -> str:
    lines = []
    for name, value in _series():
        lines.append(f"# TYPE {name.partition('{')[0]} gauge")
        for sample in range(720):
            minute = sample // 4
            found = value(minute)
            if found is not None and minute not in UNSEEN:
                lines.append(f"{name} {found} {START + 15 * (sample + 1):.0f}")
    kept = dict.fromkeys(line for line in lines if line.startswith("#"))
    by_family = {
        head: [each for each in lines if each.startswith(f"{head.split()[2]}{{")] for head in kept
    }
    return (
        "\n".join(line for head, rows in by_family.items() for line in (head, *rows)) + "\n# EOF\n"
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Prometheus that holds the month; yield its URL."""
    with _filled(tmp_path_factory.mktemp("month")) as url:
        yield url


@contextmanager
def _filled(folder: Path) -> Iterator[str]:
    (folder / "month.txt").write_text(_openmetrics())
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "month.txt", "tsdb"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    keep = "--storage.tsdb.retention.time=100y"
    with programs.prometheus(folder, CONFIG, keep) as (_, url):
        yield url


def _report(server: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["report", "--month=2026-10", f"--prometheus.url={server}", *more]) == 0
    return capsys.readouterr().out


def test_every_figure(generation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Down 10 minutes, half of it 10, the feed a quarter 10, a book and a probe half 5.

    Of 170 minutes that were seen 30 are maintenance: 140 count, and 10 + 5 + 2.5 + 2.5 were lost.
    """
    with _filled(tmp_path) as url:
        found = json.loads(_report(url, capsys, "--format=json"))
    alpha, beta = found["exchanges"]
    assert (alpha["name"], beta["name"]) == ("alpha", "beta")
    assert (alpha["minutes"], alpha["counted"]) == (MONTH, 140.0)
    assert (alpha["maintenance"], alpha["unseen"]) == (30.0, MONTH - 170.0)
    assert alpha["lost"] == pytest.approx(
        {"exchange": 10.0, "path": 5.0, "self": 2.5, "unknown": 2.5}
    )
    assert alpha["usable"] == pytest.approx(120 / 140)
    assert alpha["available"] == pytest.approx(
        {"probe": 122.5 / 140, "feed": 137.5 / 140, "book": 137.5 / 140, "gate": 125 / 140}
    )
    outages = [
        (each["start"] - START, each["minutes"], each["domain"], each["declared"])
        for each in alpha["outages"]
    ]
    assert outages == [
        (30 * 60, 10.0, "exchange", True),
        (60 * 60, 10.0, "path", False),
        (100 * 60, 5.0, "unknown", False),
    ]
    assert alpha["longest_outage"] == alpha["outages"][0]
    assert alpha["incidents"] == [{"start": START + 33 * 60, "minutes": 12.0, "lead": 130.0}]
    assert alpha["lead_seconds"] == 130.0
    first, second = alpha["days"][:2]
    assert first == {
        "start": START, "usable": pytest.approx(120 / 140), "lost": 20.0,
        "unseen": 1440 - 170, "maintenance": 30.0,
    }  # fmt: skip
    assert (second["usable"], second["unseen"]) == (None, 1440.0)
    assert beta["available"] == {"probe": 1.0}
    assert (beta["usable"], beta["counted"], beta["lost_minutes"]) == (1.0, 170.0, 0.0)
    assert found["gates"] == [
        {"name": "mm", "exchanges": ["alpha"], "open": pytest.approx(155 / 170),
         "closed_minutes": 15.0, "unseen": MONTH - 170.0}
    ]  # fmt: skip


def test_other_steps_say_the_same(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Quarters of a minute and five of them lose as much: nothing here begins in between."""
    figures = []
    for step in ("15", "300"):
        text = _report(server, capsys, "--format=csv", f"--step={step}", "--exchange=alpha")
        (row,) = csv.DictReader(io.StringIO(text))
        figures.append({name: row[name] for name in row if name.startswith("lost_")})
        assert float(row["usable_ratio"]) == pytest.approx(120 / 140)
    assert figures[0] == figures[1]
    assert figures[0]["lost_exchange_minutes"] == "10"


def test_a_zone_moves_the_month(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In Tokyo the three hours are the morning of 1 October; in New York they are September's."""
    tokyo = json.loads(_report(server, capsys, "--format=json", "--zone=Asia/Tokyo"))
    assert tokyo["period"]["days"][0] == [START - 9 * 3600, START + 15 * 3600]
    assert tokyo["exchanges"][0]["counted"] == 140.0
    flags = ["--month=2026-10", f"--prometheus.url={server}", "--zone=America/New_York"]
    assert main(["report", *flags]) == 1
    assert "no data in 2026-10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--month=2026-13"], 2, "expected a month such as 2026-10"),
        (["--month=2199-01"], 2, "has not begun"),
        (["--zone=Mars/Base"], 2, "expected a time zone"),
        (["--match=job=none"], 1, "parse error"),
        (['--match=job="none"'], 1, "no data in"),
        (["--exchange=gamma"], 1, "nothing of gamma in this time; there is alpha, beta"),
        (["--prometheus.url=http://127.0.0.1:9"], 1, "refused"),
        (["--out=/nowhere/at/all.html"], 2, "/nowhere/at/all.html: No such file or directory"),
    ],
)
def test_what_cannot_be_reported_is_said(
    server: str, capsys: pytest.CaptureFixture[str], flags: list[str], status: int, said: str
) -> None:
    """One line names what is wrong, and nothing is written."""
    known = ["--month=2026-10", f"--prometheus.url={server}"]
    assert main(["report", *known, *flags]) == status
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.skipif(not browser.installed(), reason="no chromium (apt-get install chromium)")
def test_it_fits_the_paper(server: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The page asks for nothing from elsewhere, and is not wider than A4 across."""
    page = tmp_path / "october.html"
    assert _report(server, capsys, f"--out={page}") == ""
    text = page.read_text()
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    with browser.Browser() as chromium:
        for width in (1032, 390):  # A4 across without its margins, and a phone
            chromium.show(page.as_uri(), width, 730)
            assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        seen: Any = chromium.evaluate("document.body.innerText")
    for figure in ("85.714 %", "87.500 %", "2.2 min", "Exchanges in October 2026"):
        assert figure in seen
