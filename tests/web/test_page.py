"""The status page: says what is so, runs nothing, and takes no text for markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter.model import Circuit, SubscriptionState
from exporter.web import api
from exporter.web.page import (
    age,
    duration,
    number,
    of_one,
    percent,
    rate,
    render,
    signed,
    span,
    sparkline,
    static_files,
)
from exporter.web.state import ExchangeView, Health, Snapshot, StreamView
from tests.web.examples import DOWN, HEALTHY, NOW, PING, SHAKY, SNAPSHOT, STREAM, TRADES


class Outline(HTMLParser):
    """What a page is made of; fails on tags that do not match."""

    VOID = frozenset({"meta", "link", "line", "polyline"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Match a tag's end."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note visible text."""
        if data.strip():
            self.words.append(data.strip())


def test_page_says_what_the_snapshot_says() -> None:
    """Figures, states, reasons and ages stand on the page, spelled for people."""
    words = Outline(render(SNAPSHOT)).words
    text = " ".join(" ".join(words).split())
    assert words[0] == "Some things do not work · exchange-exporter"
    for expected in (
        "41 ms 39 ms 82 ms 130 ms 0%",
        "connect timeout",
        "lost 3×, last ping timeout",
        "−3.2 ms ± 19 ms",
        "86% used",
        "Maintenance until 2025-11-21 09:30:00 UTC",
        "Ban ends in 95 s",
        "47 s ago",
        "64,123.4",
        "critical okx-tokyo: median probe latency is still 412 ms, usually 38.1 ms",
        "over binance: stream latency is back at 9.1 ms after 4 min",
        "synced 1,964 levels",
        "market moves",
        "building rebuilt 2×: an update was missing",
        "crossed 812 levels, rebuilt 1×: the exchange's checksum differs",
        "market is quiet",
        "1 learning",
        "1,284 / 15,000",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("exchange", "verdict"),
    [
        (HEALTHY, "Binance works"),
        (SHAKY, "OKX works in part"),
        (DOWN, "Bybit does not work"),
        (ExchangeView(name="new", title="New"), "Waiting for the first results of New"),
    ],
    ids=lambda value: value.name if isinstance(value, ExchangeView) else "",
)
def test_the_page_of_one_exchange_speaks_of_it_alone(exchange: ExchangeView, verdict: str) -> None:
    """Title, heading and tiles are about that exchange, not about all or the whole program."""
    others = [each for each in (HEALTHY, DOWN) if each is not exchange]
    everything = replace(SNAPSHOT, exchanges=(*others, exchange))
    words = Outline(render(of_one(everything, exchange.name))).words
    assert words[0] == f"{verdict} · exchange-exporter"
    assert words.count(verdict) == 1
    assert not {"Exchanges up", "Series", "All exchanges work", "Nothing works"} & set(words)


def test_who_has_not_answered_yet_is_not_said_to_work() -> None:
    """One that works beside one without results: the heading counts, and claims nothing of all."""
    snapshot = replace(SNAPSHOT, exchanges=(HEALTHY, ExchangeView(name="new", title="New")))
    words = Outline(render(snapshot)).words
    assert "1 of 2 exchanges work, no results of the others yet" in words
    assert "All exchanges work" not in words


def test_page_has_one_script_of_ours_and_no_inline_style() -> None:
    """The content policy allows files of ours and nothing else; without the script it reloads."""
    tags = Outline(render(SNAPSHOT)).tags
    assert not {"style", "iframe", "img", "form"} & {tag for tag, _ in tags}
    [script] = [attributes for tag, attributes in tags if tag == "script"]
    assert script["src"] in static_files()
    names = [tag for tag, _ in tags]
    assert tags[names.index("noscript") + 1][1]["http-equiv"] == "refresh"
    for _, attributes in tags:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    sheets = [a["href"] for tag, a in tags if tag == "link" and a["rel"] == "stylesheet"]
    assert {*sheets, script["src"]} == set(static_files())
    (kind, content) = static_files()["/static/style.css"]
    assert kind == "text/css; charset=utf-8"
    assert b"prefers-color-scheme: dark" in content
    assert b"url(" not in content


def test_page_can_be_read_without_eyes() -> None:
    """Language, one main heading, captions, scoped headers; states in words, not colours alone."""
    outline = Outline(render(SNAPSHOT))
    tags = [tag for tag, _ in outline.tags]
    assert ("html", {"lang": "en"}) in outline.tags
    assert (tags.count("h1"), tags.count("main")) == (1, 1)
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        if (target := attributes.get("aria-labelledby")) is not None:
            assert target in ids
    assert {"up", "degraded", "down", "stale", "disconnected"} <= set(outline.words)


def test_a_stream_names_the_address_that_serves_it() -> None:
    """After a failover nobody need guess which of several it is; the API says it as well."""
    assert "wss://stream.binance.com:9443/stream" in render(SNAPSHOT)
    streams = api.exchange(HEALTHY)["streams"]
    assert isinstance(streams, tuple)
    assert streams[0]["address"] == "wss://stream.binance.com:9443/stream"


def test_text_is_never_markup() -> None:
    """A name full of markup arrives as text."""
    evil = '"><script>alert(1)</script>{{ 7 * 7 }}'
    exchange = replace(
        SHAKY,
        name=evil,
        title=evil,
        endpoints=(replace(PING, name=evil, ok=False, reason=evil),),
        streams=(replace(STREAM, name=evil, lost=evil, disconnects=1, unknown={evil: 3}),),
        limits=((evil, 0.5),),
    )
    outline = Outline(render(replace(SNAPSHOT, exchanges=(exchange,), version=evil)))
    assert [tag for tag, _ in outline.tags].count("script") == 1  # ours
    assert any(evil in word for word in outline.words)


def test_messages_of_unknown_kinds_are_shown() -> None:
    """What the venue calls them, and how many there were: so that unknown is not unseen."""
    stream = replace(STREAM, unknown={"auction2027": 12, "notice": 1})
    outline = Outline(render(replace(SNAPSHOT, exchanges=(replace(HEALTHY, streams=(stream,)),))))
    assert any("unknown kinds: auction2027 12×, notice 1×" in word for word in outline.words)


def test_first_moments() -> None:
    """Before anything is known the page says so, and renders with nothing at all."""
    waiting = ExchangeView(
        name="acme",
        title="Acme",
        endpoints=(replace(PING, ok=None, probes=0, error_ratio=None, recent=()),),
        streams=(StreamView(name="acme/1"),),
    )
    snapshot = Snapshot(now=NOW, started=NOW - 0.3, version="0", exchanges=(waiting,))
    words = Outline(render(snapshot)).words
    assert "Waiting for the first results" in words
    assert "connecting" in words
    assert "No exchange is configured." in Outline(render(replace(snapshot, exchanges=()))).words


@pytest.mark.parametrize(
    ("exchange", "health"),
    [(HEALTHY, Health.UP), (SHAKY, Health.DEGRADED), (DOWN, Health.DOWN),
     (ExchangeView(name="a", title="A"), Health.PENDING),
     (replace(HEALTHY, maintenance=True), Health.DEGRADED),
     (replace(HEALTHY, banned_until=NOW), Health.DEGRADED),
     (replace(HEALTHY, streams=DOWN.streams), Health.DEGRADED),
     (replace(HEALTHY, endpoints=(), streams=DOWN.streams), Health.DOWN)],
)  # fmt: skip
def test_an_exchange_in_one_word(exchange: ExchangeView, health: Health) -> None:
    """Up when all works, down when nothing does, degraded in between."""
    assert exchange.health is health


def test_parts_in_one_word() -> None:
    """Endpoints follow their last probe and breaker; streams their connection and silences."""
    assert replace(PING, circuit=Circuit.HALF_OPEN).health is Health.DEGRADED
    assert replace(PING, circuit=Circuit.OPEN).health is Health.DOWN
    assert replace(PING, error_ratio=0.06).health is Health.DEGRADED
    stale = replace(TRADES, state=SubscriptionState.STALE)
    assert replace(STREAM, subscriptions=(stale,)).health is Health.DOWN
    assert replace(STREAM, subscriptions=(stale, TRADES)).health is Health.DEGRADED
    acked = replace(TRADES, state=SubscriptionState.ACKED)
    assert replace(STREAM, subscriptions=(acked, TRADES)).health is Health.UP
    assert replace(STREAM, connected=False).health is Health.DOWN
    assert replace(SNAPSHOT, exchanges=(DOWN,)).health is Health.DOWN
    assert replace(SNAPSHOT, exchanges=(HEALTHY,)).health is Health.UP


def test_spelling() -> None:
    """Units that suit the size; what is not known is a dash."""
    nan = float("nan")
    assert [duration(x) for x in (None, nan, 0.0, 2.5e-4, 0.0091, 0.0342, 0.9999, 1.24, 12.4)] == [
        "–", "–", "0 µs", "250 µs", "9.1 ms", "34 ms", "1.00 s", "1.24 s", "12 s",
    ]  # fmt: skip
    assert [signed(x) for x in (-0.0032, 0.5, None)] == ["−3.2 ms", "+500 ms", "–"]
    assert [span(x) for x in (None, -1, 0.25, 42, 125, 7500, 356400)] == [
        "–", "0.0 s", "0.2 s", "42 s", "2 min", "2 h 05 min", "4 d 3 h",
    ]  # fmt: skip
    assert [percent(x) for x in (None, 0.0, 0.004, 0.083, 0.86, 1.0)] == [
        "–", "0%", "0.4%", "8.3%", "86%", "100%",
    ]  # fmt: skip
    assert [number(x) for x in (None, 3, 15_000, 64_123.44, 250_000.4, 1.2345, 0.012345, 0.0)] == [
        "–", "3", "15,000", "64,123.4", "250,000", "1.23", "0.0123", "0.00",
    ]  # fmt: skip
    assert [rate(x) for x in (None, 0.04, 12_345.6)] == ["–", "0.0", "12,345.6"]
    assert [age(x, 100.0) for x in (None, 99.5, 40.0)] == ["–", "0.5 s ago", "60 s ago"]


def test_sparkline() -> None:
    """Failures are marks of their own, the highest duration touches the top."""
    line = sparkline((0.1, None, 0.2), width=10, height=20)
    assert line["points"] == "0.0,10.0 10.0,2.0"
    assert line["failed"] == [5.0]
    assert sparkline(())["points"] == ""
    assert sparkline((0.0,))["points"] == "0.0,18.0"


def test_a_lost_connection_brings_no_messages() -> None:
    """What came before a connection was lost is no rate of now."""
    assert STREAM.rate > 0.0
    lost = replace(HEALTHY, streams=(replace(STREAM, connected=False, attempted=True),))
    words = Outline(render(replace(SNAPSHOT, exchanges=(lost,)))).words
    assert words[words.index("Messages per second") + 1] == "0.0"
