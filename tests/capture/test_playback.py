"""Rows of the past through the pipeline: gaps, silences, anomalies; always the same."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.capture import playback, replay
from exporter.capture.codec import Mark, Row
from exporter.capture.text_recording import read
from exporter.cli import replay as replay_command
from exporter.cli.replay import paced, play
from exporter.contracts import Venue
from exporter.model import Ack, Channel, Control, Subscription, Trade
from tests.conftest import shared

NOW = 1_700_000_000.0


def trade(number: int, topic: str = "t") -> Trade:
    """Return a numbered trade."""
    return Trade("trade", topic, "BTCUSDT", None, 100.0, 1.0, None, number)


def trades(numbers: range, venue: str = "binance") -> list[Row]:
    """Return a subscription and its numbered trades, a tenth of a second apart."""
    what = Subscription(
        exchange="x", channel=Channel.TRADES, instrument="BTC-USDT", symbol="BTCUSDT", topic="t"
    )
    rows = [playback.subscribed(what, venue, NOW)]
    return rows + [Row(NOW + n / 10, "x", trade(n)) for n in numbers]


def seen(rows: list[Row]) -> dict[str, Any]:
    """Put rows through a playback."""
    found = playback.Playback()
    for row in rows:
        found.take(row)
    found.finish()
    return found.figures()


def test_a_hole_is_a_gap_unless_the_subscription_began_anew() -> None:
    """What a lost connection missed is no gap of the venue's."""
    rows = trades(range(10)) + trades(range(15, 20))[1:]
    (one,) = seen(rows)["subscriptions"]
    assert (one["events"], one["gaps"], one["missed"]) == (15, 1, 5)
    armed = Row(NOW + 1.45, "x", Mark(playback.ARMED, "t"))
    (one,) = seen([*rows[:11], armed, *rows[11:]])["subscriptions"]
    assert (one["events"], one["gaps"]) == (15, 0)


def test_silence_is_seen_by_ticks_of_the_recorded_time() -> None:
    """A tick a second while nothing comes; a pause of a day is not ticked through."""
    rows = trades(range(100))
    rows.append(Row(NOW + 410.0, "x", trade(100)))
    found = seen(rows)
    (one,) = found["subscriptions"]
    assert found["ticks"] == 411
    assert one["stale_ticks"] > 300
    rows[-1] = Row(NOW + 86400.0, "x", trade(100))
    assert seen(rows)["ticks"] < 700


def test_a_venue_that_nobody_knows_has_no_rules() -> None:
    """A capture of a newer program replays as far as this one understands it."""
    found = seen(trades(range(0, 20, 2), venue="atlantis"))
    assert found["subscriptions"][0]["gaps"] == 0
    odd = Row(NOW, "x", Mark(playback.SUBSCRIBED, "t", {"channel": "options"}))
    assert seen([odd, Row(NOW, "x", trade(1))])["events"] == 1


def test_detectors_score_what_is_replayed() -> None:
    """Ten minutes of a steady stream that then all but stops: the message rate is an anomaly."""
    rows = trades(range(6000))
    rows += [Row(NOW + 600 + n, "x", trade(6000 + n)) for n in range(60)]
    signals = {one["signal"]: one for one in seen(rows)["signals"]}
    rate = signals["message_rate"]
    assert rate["highest_score"] > 1.0
    assert 600 < rate["at"] - NOW < 660


def test_rows_are_paced() -> None:
    """Ten times as fast, late ones at once, and what is from before never waits."""
    clock = [0.0]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(round(seconds, 6))
        clock[0] += seconds

    rows = [Row(NOW + at, "x", Control("c")) for at in (0.0, 1.0, 0.5, 3.0)]
    found = list(paced(rows, 10.0, lambda: clock[0], wait))
    assert found == rows
    assert waits == [0.1, 0.2]


def venue_of(name: str) -> Venue:
    """Return the venue of a recording."""
    with shared(f"recordings/{name}").open("rb") as lines:
        venue = replay_command.recognise(read(lines))
    assert venue is not None
    return venue


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["binance/ws.txt", "coinbase/ws.txt", "kraken/ws_book.txt", "kraken_v2/vector_book.jsonl"],
)
def test_raw_recordings_go_through_the_same_pipeline(name: str) -> None:
    """As many events as the venue's parser gives, and no gap, as TRUTH.json says there is none."""
    path = shared(f"recordings/{name}")
    found = play(path).figures()
    with path.open("rb") as lines:
        rows = list(replay.recorded(read(lines), venue_of(name)))
    assert found["events"] == sum(not isinstance(r.event, Ack | Control | Mark) for r in rows)
    assert found["events"] == sum(one["events"] for one in found["subscriptions"])
    assert all(one["gaps"] == 0 for one in found["subscriptions"])
    thinned = play(path, drop_every=3).figures()
    assert thinned["events"] == found["events"] - found["events"] // 3
