"""What is wrong stands first: what, since when, whose fault, with the evidence and what to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model import Lost, Reason, Resync, Skip
from exporter.web.page import render
from exporter.web.problems import by_gravity, problems
from exporter.web.reasons import LOSSES, MEANINGS, RESYNCS, SKIPS, in_words
from exporter.web.state import BookView, DeclaredView, Health, LatencyQuantiles, Snapshot, Trouble
from tests.web.examples import DOWN, HEALTHY, NOW, PING, SHAKY, SNAPSHOT, STREAM, TRADES

DEAD = replace(
    HEALTHY,
    name="bybit",
    title="Bybit",
    domain="exchange",
    endpoints=tuple(
        replace(
            each, ok=False, reason="http_5xx", failing_since=NOW - 90, evidence="status 503; oops"
        )
        for each in HEALTHY.endpoints
    ),
    streams=(replace(STREAM, connected=False, lost="abnormal_close", down_since=NOW - 95),),
)


def test_an_exchange_that_is_down_comes_first_and_says_all() -> None:
    """Since the first sign, whose fault, each reason once, the last answer, and three links."""
    first, *rest = problems(replace(SNAPSHOT, exchanges=(HEALTHY, SHAKY, DEAD)))
    assert (first.title, first.health, first.since) == ("Bybit", Health.DOWN, NOW - 95)
    assert first.fault == "the exchange itself"
    assert first.lines == (
        "No endpoint answers, and no stream delivers data.",
        "Endpoints ping, time, exchange_info: it answers with a server error.",
        "Stream binance/1 is not connected: abnormal close.",
    )
    assert first.evidence == "ping: status 503; oops"
    assert first.links[0] == ("last failures", "/api/v1/exchanges/bybit/failures")
    assert [words for words, _ in first.links[1:]] == [
        f"runbook of {alert}"
        for alert in ("ExchangeDown", "ExchangeEndpointDown", "ExchangeStreamDown")
    ]
    assert [each.name for each in rest] == ["okx-tokyo"]
    ordered = by_gravity(replace(SNAPSHOT, exchanges=(HEALTHY, SHAKY, DEAD)))
    assert [each.name for each in ordered] == ["bybit", "okx-tokyo", "binance"]
    page = render(replace(SNAPSHOT, exchanges=(HEALTHY, DEAD)))
    assert page.index("Bybit") < page.index("cause:") < page.index("Binance")


def test_where_all_is_well_nothing_is_listed() -> None:
    """No list, no empty heading."""
    calm = Snapshot(now=NOW, started=NOW - 60, version="0", exchanges=(HEALTHY,))
    assert problems(calm) == ()
    assert 'class="problems"' not in render(calm)


def test_slow_is_not_green() -> None:
    """1.5 s instead of 3 ms is degraded, a doubled 10 ms is not; so is data that comes late."""
    quick = (0.003,) * 20
    slow = replace(PING, recent=(*quick, 1.5, 1.5, 1.5))
    assert (slow.slow, slow.health) == (True, Health.DEGRADED)
    usual = replace(PING, recent=(0.5,) * 20, before=LatencyQuantiles(median=0.1))
    assert usual.slow
    assert not replace(PING, recent=(*(0.01,) * 20, 0.02, 0.02, 0.02)).slow
    assert not replace(PING, recent=(*quick, 1.5, 0.003, 0.003)).slow  # one outlier
    assert replace(PING, recent=(1.2,) * 20).slow  # whatever is usual
    late = replace(TRADES, latency=1.5)
    shown = replace(HEALTHY, endpoints=(slow,), streams=(replace(STREAM, subscriptions=(late,)),))
    [problem] = problems(replace(SNAPSHOT, exchanges=(shown,)))
    assert problem.health is Health.DEGRADED
    assert problem.lines == (
        "Endpoint ping is slow: 1.5 s now, usually 3 ms.",
        "Market data arrives up to 1.5 s late: trades BTC-USDT.",
    )


def test_each_symptom_says_since_when() -> None:
    """What is slow, fails at times, comes late or is crossed began at a time, as an outage did."""
    slow = replace(PING, recent=(1.5,) * 3, slow_since=NOW - 50)
    shaky = replace(PING, error_ratio=0.2, unsteady_since=NOW - 40)
    late = replace(TRADES, latency=1.5, late_since=NOW - 30)
    crossed = replace(TRADES, book=BookView(synced=True, crossed=True, crossed_since=NOW - 20))
    reported = DeclaredView(title="Trades late", declared=NOW - 10)
    for changed, since in (
        ({"endpoints": (slow,)}, 50),
        ({"endpoints": (shaky,)}, 40),
        ({"streams": (replace(STREAM, subscriptions=(late, TRADES)),)}, 30),
        ({"streams": (replace(STREAM, subscriptions=(crossed, TRADES)),)}, 20),
        ({"incident": "Trades late", "declared": (reported,)}, 10),
    ):
        exchange = replace(HEALTHY, **changed)
        [problem] = problems(replace(SNAPSHOT, exchanges=(exchange,)))
        assert problem.since == NOW - since


def test_old_figures_are_not_shown_as_current() -> None:
    """Of a stream without a connection no price, rate or latency stands there; rows are grey."""
    page = render(Snapshot(now=NOW, started=NOW, version="0", exchanges=(DEAD,)))
    assert "64,123.4" not in page
    assert page.count('<tr class="old">') == len(STREAM.subscriptions)
    assert "64,123.4" in render(Snapshot(now=NOW, started=NOW, version="0", exchanges=(HEALTHY,)))


def test_the_exporters_own_troubles_stand_above_all() -> None:
    """A refused config is told with its mistake and since when."""
    trouble = Trouble(text="refused: a.yml:3", alert="ExchangeExporterReloadFailed", since=NOW - 5)
    first, *_ = problems(replace(SNAPSHOT, troubles=(trouble,)))
    assert (first.title, first.lines) == ("This exporter", ("refused: a.yml:3",))
    assert first.fault == "this machine or its network"
    assert "refused: a.yml:3" in render(replace(SNAPSHOT, troubles=(trouble,)))


def test_alerts_are_a_link_where_they_are_pushed() -> None:
    """To Alertmanager's own page, of that exchange alone; none where nothing is pushed."""
    snapshot = replace(SNAPSHOT, exchanges=(DEAD,))
    there = replace(snapshot, alertmanager="https://alerts.example/am")
    wanted = "https://alerts.example/am/#/alerts?filter=%7Bexchange%3D%22bybit%22%7D"
    assert dict(problems(there)[0].links)["its alerts"] == wanted
    assert wanted in render(there)
    assert "its alerts" not in dict(problems(snapshot)[0].links)


@pytest.mark.parametrize("exchange", [DOWN, SHAKY], ids=lambda each: each.name)
def test_every_ill_exchange_says_why(exchange: object) -> None:
    """There is a line for whatever makes an exchange less than up."""
    assert all(each.lines for each in problems(SNAPSHOT))


def test_every_reason_has_words() -> None:
    """Those of failures and of skips, and what is no reason keeps its own."""
    assert set(MEANINGS) == set(Reason)
    assert set(LOSSES) == set(Lost)
    assert set(RESYNCS) == set(Resync)
    assert set(SKIPS) == set(Skip)
    assert in_words("ping_timeout") == "no answer to a ping"
    assert in_words("half_open") == "half open"
