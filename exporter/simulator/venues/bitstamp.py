"""Bitstamp as its server.

Source: www.bitstamp.net/websocket/v2 and /api, read 2026-10; frames checked against traffic
recorded in January 2022.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial

from exporter.simulator import statuspage
from exporter.simulator.market import Levels, Listing, Pair, Print, Step
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Quota,
    Refusals,
    Route,
    SimulatedFeed,
    SimulatedReply,
    VenueSpec,
    dump,
    listed,
)
from exporter.simulator.venue_server import VenueServer

_SIZE = 8
_CHANNELS = ("live_trades", "diff_order_book", "order_book")


def _error(reason: str, code: str, status: int) -> SimulatedReply:
    return SimulatedReply(
        status=status, body=dump({"status": "error", "reason": reason, "code": code})
    )


def _of(
    answer: Callable[[VenueServer, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        pair = desk.pair(query["symbol"])
        return dump(answer(desk, pair)) if pair else _error("Invalid currency pair", "404", 404)

    return checked


def _ticker(desk: VenueServer, pair: Pair) -> dict[str, str]:
    one, last = pair.listing, pair.print[2]
    return {
        "ask": one.price(pair.asks.best), "bid": one.price(pair.bids.best),
        "high": one.price(pair.day_high), "last": one.price(last), "low": one.price(pair.day_low),
        "open": one.price(pair.day_open), "open_24": one.price(pair.day_open),
        "percent_change_24": f"{100 * (last - pair.day_open) / pair.day_open:.2f}",
        "side": "0" if pair.print[1] else "1", "timestamp": str(desk.millis() // 1000),
        "volume": one.size(pair.day_volume, _SIZE), "vwap": one.price(last),
    }  # fmt: skip


def _tickers(desk: VenueServer, query: Query) -> bytes:
    return dump([
        {**_ticker(desk, pair), "market": f"{pair.listing.base}/{pair.listing.quote}",
         "pair": f"{pair.listing.base}/{pair.listing.quote}"}
        for pair in desk.pairs()
    ])  # fmt: skip


def _rows(one: Listing, levels: Levels) -> list[list[str]]:
    return [[one.price(p), one.size(n, _SIZE)] for p, n in levels]


def _book(pair: Pair, micros: int, bids: Levels, asks: Levels) -> dict[str, object]:
    return {"timestamp": str(micros // 10**6), "microtimestamp": str(micros),
            "bids": _rows(pair.listing, bids), "asks": _rows(pair.listing, asks)}  # fmt: skip


def _rest_book(desk: VenueServer, pair: Pair) -> object:
    micros = desk.nanos() // 1000
    return _book(pair, micros, pair.bids.top(100), pair.asks.top(100))


def _pairs(desk: VenueServer, query: Query) -> bytes:
    return dump([
        {"trading": "Enabled", "base_decimals": _SIZE, "url_symbol": p.listing.symbol,
         "name": f"{p.listing.base}/{p.listing.quote}", "instant_and_market_orders": "Enabled",
         "minimum_order": f"10.0 {p.listing.quote}",
         "counter_decimals": p.listing.price_decimals,
         "description": f"{p.listing.base} / {p.listing.quote}"}
        for p in desk.pairs()
    ])  # fmt: skip


def _markets(desk: VenueServer, query: Query) -> bytes:
    return dump([
        {"name": f"{p.listing.base}/{p.listing.quote}", "market_symbol": p.listing.symbol,
         "base_currency": p.listing.base, "base_decimals": _SIZE,
         "counter_currency": p.listing.quote, "counter_decimals": p.listing.price_decimals,
         "minimum_order_value": "10",
         "trading": "Enabled" if desk.listed_as(p).mode == "trading" else "Disabled",
         "instant_order_counter_decimals": 2,
         "instant_and_market_orders": "Enabled",
         "description": f"{p.listing.base} / {p.listing.quote}", "market_type": "SPOT"}
        for p in desk.pairs()
    ])  # fmt: skip


def _currencies(desk: VenueServer, query: Query) -> bytes:
    known = {name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)}
    return dump([
        {"name": name, "currency": name, "type": "crypto", "symbol": None, "decimals": _SIZE,
         "logo": "", "available_supply": None, "deposit": "Enabled", "withdrawal": "Enabled",
         "networks": []}
        for name in sorted(known)
    ])  # fmt: skip


def _transactions(desk: VenueServer, pair: Pair) -> object:
    return [
        {"date": str(millis // 1000), "tid": str(n * 5), "amount": pair.listing.size(q, _SIZE),
         "type": "0" if buy else "1", "price": pair.listing.price(p)}
        for (n, buy, p, q), millis in reversed(pair.recent)
    ]  # fmt: skip


def _candles(desk: VenueServer, pair: Pair) -> object:
    one = pair.listing
    rows = [
        {"timestamp": str(c.start // 1000), "open": one.price(c.open), "high": one.price(c.high),
         "low": one.price(c.low), "close": one.price(c.close), "volume": one.size(c.volume, _SIZE)}
        for c in (*pair.closed, pair.kline(60_000, desk.millis()))
    ]  # fmt: skip
    return {"data": {"ohlc": rows, "pair": f"{one.base}/{one.quote}"}}


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, channel: str) -> SimulatedFeed | None:
    kind, _, symbol = channel.rpartition("_")
    pair = desk.pair(symbol)
    if pair is None or kind not in _CHANNELS:
        return None
    if kind == "live_trades":
        return SimulatedFeed(key=channel, topic=channel, channel="trades", pair=pair,
                    prints=partial(_trades, pair, channel))  # fmt: skip
    make = _updates if kind == "diff_order_book" else _tops
    return SimulatedFeed(key=channel, topic=channel, channel="book", pair=pair,
                steps=partial(make, desk, pair, channel))  # fmt: skip


def _trades(pair: Pair, channel: str, prints: Sequence[Print], millis: int) -> list[bytes]:
    one = pair.listing
    # Ids are shared by all pairs: they rise, and are not contiguous for one.
    return [
        (f'{{"data":{{"id":{n * 5},"timestamp":"{millis // 1000}","amount":{one.size(q)},'
         f'"amount_str":"{one.size(q, _SIZE)}","price":{one.price(p)},'
         f'"price_str":"{one.price(p)}","type":{0 if buy else 1},'
         f'"microtimestamp":"{millis}000","buy_order_id":{n * 7},"sell_order_id":{n * 7 + 1}}},'
         f'"channel":"{channel}","event":"trade"}}').encode()
        for n, buy, p, q in prints
    ]  # fmt: skip


def _frame(channel: str, row: object) -> list[bytes]:
    return [dump({"data": row, "channel": channel, "event": "data"})]


def _updates(desk: VenueServer, pair: Pair, channel: str, step: Step) -> list[bytes]:
    return _frame(channel, _book(pair, desk.nanos() // 1000, step.bids, step.asks))


def _tops(desk: VenueServer, pair: Pair, channel: str, step: Step) -> list[bytes]:
    return _frame(channel, _rest_book(desk, pair))


# Source: answers captured on 2026-09-15 (nemanull/arbitrage-observatory, profile of Bitstamp).
_CHANNEL = re.compile(r"(order_book|diff_order_book|live_trades)_[a-z0-9]+(-perp)?")


def _received(session: SimulatedSession, text: str) -> None:
    try:
        asked = json.loads(text)
        event = asked["event"]
        channel = str(asked.get("data", {}).get("channel", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        _reply(session, "bts:error", "", {"code": 4000, "message": "Bad request string."})
        return
    match event:
        case "bts:heartbeat":
            _reply(session, event, "", {"status": "success"}, keepalive=True)
        case "bts:unsubscribe":
            session.unsubscribe(channel)
            _reply(session, "bts:unsubscription_succeeded", channel, {})
        case "bts:subscribe":
            feed = session.desk.feeds.get(channel) or _make(session.desk, channel)
            # A market that is not listed is agreed to like any other, and silent for ever.
            unheard = feed is None and _CHANNEL.fullmatch(channel)
            if not unheard and (feed is None or not session.subscribe(feed)):
                wrong = {"code": None, "message": "Invalid channel provided."}
                _reply(session, "bts:error", channel[:60], wrong)
                return
            _reply(session, "bts:subscription_succeeded", channel, {})
        case _:
            _reply(session, "bts:error", "", {"code": 4000, "message": "Incorrect event."})


def _reply(
    session: SimulatedSession, event: str, channel: str, row: object, *, keepalive: bool = False
) -> None:
    frame = dump({"event": event, "channel": channel, "data": row}).decode()
    session.reply(frame, keepalive=keepalive)


WIRE = VenueSpec(
    name="bitstamp",
    symbol=lambda instrument: instrument.replace("-", "").lower(),
    lists=lambda instruments: listed(instruments, "USD"),
    routes={
        "/api/v2/ticker/": Route(answer=_tickers),
        "/api/v2/ticker/{symbol}/": Route(answer=_of(_ticker)),
        "/api/v2/order_book/{symbol}/": Route(answer=_of(_rest_book)),
        "/api/v2/order_book/{symbol}": Route(answer=_of(_rest_book)),
        "/api/v2/trading-pairs-info/": Route(answer=_pairs),
        "/api/v2/markets/": Route(answer=_markets),
        "/api/v2/currencies/": Route(answer=_currencies),
        "/api/v2/transactions/{symbol}/": Route(answer=_of(_transactions)),
        "/api/v2/ohlc/{symbol}/": Route(answer=_of(_candles)),
        **statuspage.ROUTES,
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: _error("Not found", "404", 404),
        limited=lambda desk, wait: _error("Request rate limit exceeded.", "400.002", 429),
        banned=lambda desk, wait: _error("Forbidden", "403", 403),
        unavailable=lambda desk: _error("Service unavailable", "503", 503),
    ),
    quota=Quota(limit=10_000, window=600.0),
    sockets=lambda path: path in ("", "/"),
    received=_received,
    lifetime=90 * 86_400.0,
    notice=lambda session: '{"event":"bts:request_reconnect","channel":"","data":""}',
)
