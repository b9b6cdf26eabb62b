"""Recordings put together of documented frames, for venues of which nobody here has real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.cli.replay import summarise

FOLDER = Path(__file__).parent / "documented"


def summary(name: str) -> dict[str, Any]:
    """Return what `replay --summary=json` says of a recording."""
    return summarise(FOLDER / f"{name}.txt")


def pairs(count: int, gaps: int = 0, **streams: int) -> dict[str, Any]:
    """Return what a summary says of one rule."""
    return {"pairs": count, "gaps": gaps, "backward": 0, "gap_streams": streams}


def test_gate() -> None:
    """Times are exact to a microsecond; each book counts by itself."""
    found = summary("gate")
    assert found["lines"] == {"lines": 11, "connect": 1, "sent": 1, "empty": 0, "undecodable": 0}
    assert found["data_messages"] == {
        "spot.candlesticks": 1, "spot.order_book_update": 4, "spot.tickers": 1, "spot.trades": 1,
    }  # fmt: skip
    assert found["meta_messages"] == {"subscribe": 2}
    assert found["event_time_ms"] == {"min": 1619093532978.0, "max": 1619093543708.264}
    assert found["latency_ms_by_type"]["spot.trades"]["max"] == 91.736
    assert found["latency_ms"]["n"] == 5
    assert (found["trades"], found["last_trade_price"]) == ({"DIS_USDT": 1}, {"DIS_USDT": "121.58"})
    book = "spot.order_book_update:HAI_ETH"
    assert found["sequence"]["spot.order_book_update"] == pairs(2, 1, **{book: 1})


def test_gate_futures() -> None:
    """Sizes are signed numbers of contracts; what has no time of its own has that of its frame."""
    found = summary("gate_futures")
    assert found["lines"]["undecodable"] == 0
    assert {name: row["max"] for name, row in found["latency_ms_by_type"].items()} == {
        "futures.book_ticker": 79.0, "futures.candlesticks": 50.0,
        "futures.order_book_update": 60.0, "futures.tickers": 50.0, "futures.trades": 60.0,
    }  # fmt: skip
    assert found["meta_messages"] == {"subscribe": 1}
    assert (found["trades"], found["last_trade_price"]) == ({"PHB_USDT": 2}, {"PHB_USDT": "0.2984"})


def test_deribit() -> None:
    """The number before each change tells a hole; an option without a bid is data and no quote."""
    found = summary("deribit")
    assert found["lines"]["undecodable"] == 0
    assert found["data_messages"] == {
        "book.change": 2, "book.snapshot": 1, "instrument.state": 1, "quote": 1, "ticker": 2,
        "trades": 1,
    }  # fmt: skip
    assert found["meta_messages"] == {"heartbeat": 1, "result": 1}
    assert found["event_time_ms"] == {"min": 1627500000350.0, "max": 1627500001000.0}
    assert found["latency_ms_by_type"]["ticker"]["n"] == 2
    assert found["last_trade_price"] == {"BTC-30JUL21": "39949.5"}
    book = "book.BTC-PERPETUAL.raw"
    assert found["sequence"]["book"] == pairs(2, 1, **{book: 1})


def test_bitfinex() -> None:
    """Numbers run over the connection, whosever frame it is; a trade said twice is one."""
    found = summary("bitfinex")
    assert found["lines"]["undecodable"] == 1  # of a channel to which nobody has subscribed
    assert found["data_messages"] == {
        "book.snapshot": 1, "book.update": 1, "ticker": 1, "trades.snapshot": 1, "trades.te": 1,
        "trades.tu": 1,
    }  # fmt: skip
    assert found["meta_messages"] == {"conf": 1, "hb": 3, "info": 1, "subscribed": 3}
    assert found["event_time_ms"] == {"min": 1618665870950.0, "max": 1618665870950.0}
    assert (found["trades"], found["snapshot_trades"]) == ({"tBFTUSD": 1}, {"tBFTUSD": 2})
    assert found["sequence"] == {"connection": pairs(9, 1, connection=1)}


def test_numbers_of_a_connection_begin_again_with_the_next_one(tmp_path: Path) -> None:
    """A recorder that had to connect again has no number that went backwards."""
    text = (FOLDER / "bitfinex.txt").read_text()
    file = tmp_path / "ws.txt"
    file.write_text(text + text)
    found = summarise(file)
    assert found["lines"]["connect"] == 2
    assert found["sequence"] == {"connection": pairs(18, 2, connection=2)}


@pytest.mark.parametrize("lost", range(3))
def test_frames_of_a_subscription_that_was_lost_are_numbered_all_the_same(
    lost: int, tmp_path: Path
) -> None:
    """Where the answer to a subscription is missing, the frames of its channel are no hole."""
    lines = (FOLDER / "bitfinex.txt").read_text().splitlines(keepends=True)
    asked = [line for line in lines if '"subscribed"' in line][lost:]
    file = tmp_path / "ws.txt"
    file.write_text("".join(line for line in lines if line not in asked))
    assert summarise(file)["sequence"] == {"connection": pairs(9, 1, connection=1)}
