"""What the recordings beside this hold, by rules of their own: no reader of the exporter is asked.

``python -m tests.recordings.truth`` writes TRUTH.json; `record` does so too. A rule is written from
the venue's documentation of the field that it names, on bare JSON.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DROP_EVERY = 10  # the drop test leaves out the received frames 9, 19, 29 ..., counted from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One frame: its type (None: no market data), live trades, and the number it carries.

    ``rule`` names the continuity that ``first`` obeys: it is ``last`` of the frame before.
    """

    label: str | None
    trades: tuple[tuple[str, str], ...] = ()  # symbol, price
    rule: str = ""
    first: int = 0
    last: int = 0


def _numbered(label: str, rule: str, number: int, trade: tuple[str, str] | None = None) -> Facts:
    trades = (trade,) if trade else ()
    return Facts(label=label, trades=trades, rule=rule, first=number - 1, last=number)


def _binance(frame: Any) -> Facts:
    match frame.get("data"):
        case {"e": "trade", "s": symbol, "p": price, "t": number}:
            return _numbered("trade", "trade", number, (symbol, price))
        case {"e": "aggTrade", "s": symbol, "p": price, "a": number}:
            return _numbered("aggTrade", "aggTrade", number, (symbol, price))
        case {"e": "depthUpdate", "U": first, "u": last}:
            return Facts(label="depthUpdate", rule="depth", first=first - 1, last=last)
        case {"b": _, "a": _}:
            return Facts(label="bookTicker")
    return Facts(label=None)


def _bitstamp(frame: Any) -> Facts:
    channel, data = frame["channel"].rpartition("_")[0], frame["data"]
    if frame["event"] == "trade":
        symbol = frame["channel"].rpartition("_")[2]
        return Facts(label=channel, trades=((symbol, data["price_str"]),))
    return Facts(label=channel if frame["event"] == "data" else None)


def _bybit(frame: Any) -> Facts:
    kind, _, rest = frame.get("topic", "").partition(".")
    if kind == "publicTrade":
        return Facts(label=kind, trades=tuple((row["s"], row["p"]) for row in frame["data"]))
    if kind == "orderbook" and rest.startswith("1."):
        return Facts(label="orderbook.1")
    if kind == "orderbook":
        number = frame["data"]["u"]
        return _numbered(f"orderbook.{frame['type']}", "orderbook", number)
    return Facts(label=None)


def _coinbase(frame: Any) -> Facts:
    match frame:
        case {"type": "match", "product_id": symbol, "price": price, "trade_id": number}:
            return _numbered("match", "trade_id", number, (symbol, price))
        case {"type": "last_match", "trade_id": number}:
            return _numbered("last_match", "trade_id", number)
        case {"type": "l2update" | "snapshot" | "ticker" as kind}:
            return Facts(label=kind)
    return Facts(label=None)


def _kraken(frame: Any) -> Facts:
    label = f"{frame.get('channel')}.{frame.get('type')}"
    if label == "trade.update":
        rows = frame["data"]
        trades = tuple((row["symbol"], str(row["price"])) for row in rows)
        return Facts(label=label, trades=trades)  # nobody promises that trade_id leaves none out
    return Facts(label=label if frame.get("channel") in ("book", "ticker", "trade") else None)


def _kraken_v1(frame: Any) -> Facts:
    if isinstance(frame, dict):
        return Facts(label=None)
    name, symbol = frame[-2].partition("-")[0], frame[-1]
    if name == "trade":
        trades = tuple((symbol, row[0]) for row in frame[1])
        return Facts(label=name, trades=trades)
    if name == "book":
        return Facts(label="book.snapshot" if "as" in frame[1] else "book.update")
    return Facts(label=name)


def _kucoin(frame: Any) -> Facts:
    data, subject = frame.get("data"), frame.get("subject")
    match subject:
        case "trade.l3match":
            return Facts(label=subject, trades=((data["symbol"], data["price"]),))
        case "trade.l2update":
            first, last = data["sequenceStart"] - 1, data["sequenceEnd"]
            return Facts(label=subject, rule="l2update", first=first, last=last)
        case "trade.ticker":
            return Facts(label=subject)
    return Facts(label=None)


def _okx(frame: Any) -> Facts:
    if "data" not in frame:
        return Facts(label=None)
    channel, rows = frame["arg"]["channel"], frame["data"]
    if channel == "trades":
        return Facts(label=channel, trades=tuple((row["instId"], row["px"]) for row in rows))
    if channel == "books":
        label, (row,) = f"books.{frame['action']}", rows
        return Facts(label=label, rule="books", first=row["prevSeqId"], last=row["seqId"])
    return Facts(label=channel)


RULES: dict[str, Callable[[Any], Facts]] = {
    "binance": _binance, "binance_coinm": _binance, "binance_futures": _binance,
    "binance_us": _binance, "bitstamp": _bitstamp, "bybit": _bybit, "coinbase": _coinbase,
    "kraken": _kraken, "kraken_v1": _kraken_v1, "kucoin": _kucoin, "okx": _okx,
}  # fmt: skip


def frames(path: Path) -> list[tuple[float, str]]:
    """Return receive times and received frames of a recording."""
    rows = (line.partition(": ") for line in path.read_text().splitlines() if line[0].isdigit())
    return [(float(received), frame) for received, _, frame in rows]


def gaps(facts: Iterable[Facts]) -> dict[str, int]:
    """Return how many numbers do not follow the one before, by rule."""
    last, found = dict[str, int](), Counter[str]()
    for one in facts:
        if one.rule:
            found[one.rule] += one.rule in last and one.first > last[one.rule]
            last[one.rule] = one.last
    return dict(found)


def truth(path: Path) -> dict[str, Any]:
    """Return what a recording holds."""
    received = frames(path)
    facts = [RULES[path.stem](json.loads(frame, parse_float=Decimal)) for _, frame in received]
    trades: dict[str, list[str]] = defaultdict(list)
    for one in facts:
        for symbol, price in one.trades:
            trades[symbol].append(price)
    kept = [one for number, one in enumerate(facts) if (number + 1) % DROP_EVERY]
    times = [time for time, _ in received]
    return {
        "lines": len(path.read_text().splitlines()),
        "recv_time_s": {"min": min(times), "max": max(times)},
        "data_messages": dict(sorted(Counter(one.label for one in facts if one.label).items())),
        "data_total": sum(one.label is not None for one in facts),
        "trades": {symbol: len(prices) for symbol, prices in trades.items()},
        "last_trade_price": {symbol: prices[-1] for symbol, prices in trades.items()},
        "gaps": gaps(facts),
        "gaps_of_the_drop_test": gaps(kept),
    }


def main() -> None:
    """Write what all recordings hold."""
    found = {path.stem: truth(path) for path in sorted(HERE.glob("*.txt"))}
    (HERE / "TRUTH.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
