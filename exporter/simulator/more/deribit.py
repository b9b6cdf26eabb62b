"""Deribit, spot and perpetuals, as its server: JSON-RPC over HTTP and WebSocket.

Source: docs.deribit.com as cryptofeed, nautilus_trader and ccxt show it, read 2026-11-30.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exporter.simulator.market import Levels, Pair, Print, Step
from exporter.simulator.perpetuals import state_of
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
)
from exporter.simulator.venue_server import VenueServer

_BASE = "/api/v2"
_DEPTHS = (1, 5, 10, 20, 50, 100, 1000, 10_000)
_INTERVALS = ("100ms", "agg2")
_RESOLUTIONS = {"1": 60, "5": 300, "15": 900, "60": 3600, "1D": 86_400}


# --- REST -------------------------------------------------------------------------------------


def _envelope(desk: VenueServer, body: Mapping[str, object], number: object = None) -> bytes:
    now = desk.nanos() // 1000
    head = {"jsonrpc": "2.0"} | ({} if number is None else {"id": number})
    return dump({**head, **body, "usIn": now, "usOut": now + 200, "usDiff": 200, "testnet": False})


def _wrong(code: int, message: str, data: object = None) -> Mapping[str, object]:
    return {"error": {"code": code, "message": message, "data": data}}


def _param(name: str, why: str) -> Mapping[str, object]:
    return _wrong(-32602, "Invalid params", {"param": name, "reason": why})


def _refused(code: int, message: str, status: int) -> Callable[..., SimulatedReply]:
    return lambda desk, *more: SimulatedReply(
        status=status, body=_envelope(desk, _wrong(code, message))
    )


Call = Callable[[VenueServer, Query], object]


def _route(call: Call) -> Route:
    def answer(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        found = call(desk, query)
        if isinstance(found, dict) and "error" in found:
            return SimulatedReply(status=400, body=_envelope(desk, found))
        return _envelope(desk, {"result": found})

    return Route(answer=answer)


def _of(answer: Callable[[VenueServer, Query, Pair], object]) -> Call:
    """Return an answer that needs the parameter ``instrument_name``."""

    def checked(desk: VenueServer, query: Query) -> object:
        name = query.get("instrument_name", "")
        pair = desk.pair(name)
        if not name:
            return _param("instrument_name", "value required")
        return (
            _param("instrument_name", "wrong format") if pair is None else answer(desk, query, pair)
        )

    return checked


def _instrument(pair: Pair) -> Mapping[str, object]:
    one = pair.listing
    perpetual = one.symbol.endswith("-PERPETUAL")
    found: dict[str, object] = {
        "instrument_name": one.symbol, "kind": "future" if perpetual else "spot",
        "base_currency": one.base, "quote_currency": one.quote, "counter_currency": one.quote,
        "settlement_currency": one.base if perpetual else one.quote, "is_active": True,
        "tick_size": float(one.price(1)), "tick_size_steps": [],
        "min_trade_amount": float(one.size(1)), "contract_size": float(one.size(1)),
        "creation_timestamp": 1534167754000, "expiration_timestamp": 32503708800000,
        "taker_commission": 0.0005, "maker_commission": 0.0, "price_index": "btc_usd",
        "instrument_id": 1, "instrument_type": "reversed" if perpetual else "linear",
        "rfq": False,
    }  # fmt: skip
    perpetuals = {"settlement_period": "perpetual", "future_type": "reversed", "max_leverage": 50}
    return {**found, **perpetuals} if perpetual else found


def _instruments(desk: VenueServer, query: Query) -> object:
    wanted, kind = query.get("currency", "any"), query.get("kind")
    rows = [_instrument(pair) for pair in desk.pairs()]
    return [
        row for row in rows
        if wanted in ("any", row["base_currency"], row["settlement_currency"])
        and kind in (None, row["kind"])
    ]  # fmt: skip


def _summaries(desk: VenueServer, query: Query) -> object:
    """Sum up the perpetuals of one settlement currency; ``kind`` is always future here."""
    rows = ((pair, _instrument(pair)) for pair in desk.pairs())
    return [
        {"instrument_name": one.symbol, "base_currency": one.base, "quote_currency": one.quote,
         "mark_price": float(state.mark), "estimated_delivery_price": float(state.index),
         "funding_8h": state.rate, "current_funding": state.rate,
         "creation_timestamp": desk.millis(),
         "last": float(one.price(pair.print[2])), "bid_price": float(one.price(pair.bids.best)),
         "ask_price": float(one.price(pair.asks.best)), "mid_price": float(state.mark),
         "volume": float(one.size(pair.day_volume)), "open_interest": 1000.0}
        for pair, row in rows
        if row["kind"] == "future" == query.get("kind")
        and row["settlement_currency"] == query.get("currency")
        for one, state in ((pair.listing, state_of(desk, pair)),)
    ]  # fmt: skip


def _currencies(desk: VenueServer, query: Query) -> object:
    known = sorted({name for p in desk.pairs() for name in (p.listing.base, p.listing.quote)})
    return [
        {"currency": name, "currency_long": name, "coin_type": name, "decimals": 8,
         "fee_precision": 4, "min_confirmations": 1, "min_withdrawal_fee": 0.0001,
         "withdrawal_fee": 0.0001, "withdrawal_priorities": [], "network_fee": 0.0001,
         "network_currency": name, "in_cross_collateral_pool": True}
        for name in known
    ]  # fmt: skip


def _best(pair: Pair) -> Mapping[str, object]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    return {
        "best_bid_price": float(one.price(bid)), "best_bid_amount": float(one.size(bid_size)),
        "best_ask_price": float(one.price(ask)), "best_ask_amount": float(one.size(ask_size)),
    }  # fmt: skip


def _ticker(pair: Pair, millis: int) -> Mapping[str, object]:
    one, last = pair.listing, float(pair.listing.price(pair.print[2]))
    stats = {
        "volume": float(one.size(pair.day_volume)),
        "low": float(one.price(pair.day_low)),
        "high": float(one.price(pair.day_high)),
        "price_change": 0.1,
        "volume_usd": 1.0,
    }
    return {"timestamp": millis, "state": "open", "stats": stats, "last_price": last,
            "mark_price": last, "index_price": last, "instrument_name": one.symbol,
            "estimated_delivery_price": last, "open_interest": 1.0, **_best(pair)}  # fmt: skip


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    asked = query.get("depth", "5")
    if not asked.isdecimal() or int(asked) not in _DEPTHS:
        return _param("depth", "value not in the allowed list")
    one = pair.listing
    sides = {
        name: [[float(one.price(p)), float(one.size(n))] for p, n in side.top(int(asked))]
        for name, side in (("bids", pair.bids), ("asks", pair.asks))
    }
    return {**_ticker(pair, desk.millis()), "change_id": pair.last, **sides}


def _trade(pair: Pair, row: Print, millis: int) -> Mapping[str, object]:
    number, buy, price, size = row
    one, paid = pair.listing, float(pair.listing.price(price))
    return {
        "timestamp": millis, "price": paid, "amount": float(one.size(size)),
        "direction": "buy" if buy else "sell", "index_price": paid, "mark_price": paid,
        "instrument_name": one.symbol, "trade_seq": number, "tick_direction": 2,
        "contracts": 1.0, "trade_id": str(number * 3),
    }  # fmt: skip


def _trades(desk: VenueServer, query: Query, pair: Pair) -> object:
    return {"trades": [_trade(pair, r, at) for r, at in reversed(pair.recent)], "has_more": True}


def _chart(desk: VenueServer, query: Query, pair: Pair) -> object:
    if query.get("resolution") not in _RESOLUTIONS:
        return _param("resolution", "must be one of the supported ones")
    one, rows = pair.listing, (*pair.closed, pair.kline(60_000, desk.millis()))
    prices = {
        name: [float(one.price(getattr(c, name))) for c in rows]
        for name in ("open", "high", "low", "close")
    }
    volumes = [float(one.size(c.volume)) for c in rows]
    return {"ticks": [c.start for c in rows], "volume": volumes, "cost": volumes, "status": "ok",
            **prices}  # fmt: skip


CALLS: Mapping[str, Call] = {
    "public/test": lambda desk, query: {"version": "1.2.26"},
    "public/get_time": lambda desk, query: desk.millis(),
    "public/status": lambda desk, query: {"locked": "false", "locked_indices": []},
    "public/get_currencies": _currencies,
    "public/get_instruments": _instruments,
    "public/get_book_summary_by_currency": _summaries,
    "public/ticker": _of(lambda desk, query, pair: _ticker(pair, desk.millis())),
    "public/get_order_book": _of(_book),
    "public/get_last_trades_by_instrument": _of(_trades),
    "public/get_tradingview_chart_data": _of(_chart),
}


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, channel: str) -> SimulatedFeed | None:
    """Make the feed of a channel; None where there is none, or an account is asked for."""
    kind, name, interval = (*channel.split("."), "", "", "")[:3]
    if kind == "chart":
        name, interval = channel.split(".")[2:4] if channel.count(".") == 3 else ("", "")
    pair = desk.pair(name)
    if pair is None:
        return None
    made = SimulatedFeed(key=channel, topic=channel, channel="", pair=pair)

    def tell(row: object) -> list[bytes]:
        params = {"channel": channel, "data": row}
        return [dump({"jsonrpc": "2.0", "method": "subscription", "params": params})]

    def ticker(millis: int) -> list[bytes]:
        return tell(_ticker(pair, millis))

    def quote(millis: int) -> list[bytes]:
        row = {"timestamp": millis, "instrument_name": name, **_best(pair)}
        return tell(row)

    def candle(step: Step) -> list[bytes]:
        one, c = pair.listing, pair.kline(_RESOLUTIONS[interval] * 1000, step.millis)
        prices = {k: float(one.price(getattr(c, k))) for k in ("open", "high", "low", "close")}
        row = {"tick": c.start, "volume": float(one.size(c.volume)), "cost": 1.0, **prices}
        return tell(row) if step.second else []

    match kind:
        case "trades" if interval in _INTERVALS:
            made.channel = "trades"
            made.prints = lambda prints, millis: tell([_trade(pair, r, millis) for r in prints])
        case "quote" if not interval:
            made.channel, made.opening = "quotes", quote
            made.steps = lambda step: quote(step.millis)
        case "ticker" if interval in _INTERVALS:
            made.channel, made.opening = "ticker", ticker
            made.steps = lambda step: ticker(step.millis)
        case "book" if interval in _INTERVALS:
            _follow(made, tell)
        case "chart" if interval in _RESOLUTIONS:
            made.channel, made.steps = "klines", candle
        case _:
            return None
    return made


def _follow(made: SimulatedFeed, tell: Callable[[object], list[bytes]]) -> None:
    """Let a feed send the whole book, then changes that name the one before."""
    pair, one, last = made.pair, made.pair.listing, made.pair.last

    def rows(levels: Levels, word: str) -> list[list[object]]:
        return [
            [word if n else "delete", float(one.price(p)), float(one.size(n)) if n else 0.0]
            for p, n in levels
        ]

    def row(kind: str, millis: int, bids: Levels, asks: Levels) -> dict[str, object]:
        word = "new" if kind == "snapshot" else "change"
        return {"type": kind, "timestamp": millis, "instrument_name": one.symbol,
                "change_id": last, "bids": rows(bids, word), "asks": rows(asks, word)}  # fmt: skip

    def steps(step: Step) -> list[bytes]:
        nonlocal last
        previous, last = last, step.last
        change = row("change", step.millis, step.bids, step.asks)
        return tell({**change, "prev_change_id": previous})

    def opening(millis: int) -> list[bytes]:
        nonlocal last
        last = pair.last
        return tell(row("snapshot", millis, pair.bids.top(), pair.asks.top()))

    made.channel, made.steps, made.opening = "book", steps, opening


def _received(session: SimulatedSession, text: str) -> None:
    desk = session.desk

    def reply(body: Mapping[str, object], number: object) -> None:
        session.reply(_envelope(desk, body, number).decode(), keepalive=True)

    try:
        asked = json.loads(text)
        method, params, number = str(asked["method"]), asked.get("params") or {}, asked.get("id")
        if asked.get("jsonrpc") != "2.0" or not isinstance(params, dict):
            raise ValueError("jsonrpc")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        reply(_wrong(-32600, "request_malformed"), None)
        return
    match method:
        case "public/subscribe" | "public/unsubscribe":
            _operate(session, method, params.get("channels"), number)
        case "public/unsubscribe_all":
            for key in list(session.feeds):
                session.unsubscribe(key)
            reply({"result": "ok"}, number)
        case "public/set_heartbeat":
            interval = params.get("interval")
            if not isinstance(interval, int) or interval < 10:
                reply(_param("interval", "must be at least 10"), number)
                return
            session.told = f"{interval} {time.monotonic()}"
            reply({"result": "ok"}, number)
        case _ if method in CALLS:
            found = CALLS[method](desk, {name: str(value) for name, value in params.items()})
            bad = isinstance(found, dict) and "error" in found
            reply(found if bad else {"result": found}, number)  # type: ignore[arg-type]  # a dict
        case _:
            reply(_wrong(-32601, "Method not found"), number)


def _operate(session: SimulatedSession, method: str, channels: Any, number: object) -> None:
    """Join or leave channels; those that are missing from the result were refused."""
    good = isinstance(channels, list) and all(isinstance(each, str) for each in channels)
    if not good or not channels:
        wrong = _param("channels", "wrong format")
        session.reply(_envelope(session.desk, wrong, number).decode())
        return
    done: list[SimulatedFeed | str] = []
    for channel in channels:
        if method.endswith("unsubscribe"):
            session.unsubscribe(channel)
            done.append(channel)
            continue
        if channel.endswith(".raw"):
            wrong = _wrong(13778, "raw_subscriptions_not_available_for_unauthorized")
            session.reply(_envelope(session.desk, wrong, number).decode())
            return
        feed = session.desk.feeds.get(channel) or _make(session.desk, channel)
        if feed is not None and session.subscribe(feed):
            done.append(feed)
    names = [each if isinstance(each, str) else each.topic for each in done]
    session.reply(_envelope(session.desk, {"result": names}, number).decode())
    for each in done:
        if isinstance(each, SimulatedFeed):
            session.open(each)


def _tended(session: SimulatedSession, now: float) -> None:
    """Beat as often as the client asked; half of the beats want an answer."""
    if not session.told:
        return
    interval, _, since = session.told.partition(" ")
    if now - float(since) >= float(interval):
        session.told = f"{interval} {now}"
        params = {"type": "test_request"}
        frame = {"jsonrpc": "2.0", "method": "heartbeat", "params": params}
        session.reply(dump(frame).decode())


def _symbol(instrument: str) -> str:
    base, _, quote = instrument.partition("-")
    if quote.endswith("-PERP"):
        quote = quote.removesuffix("-PERP")
        return f"{base}-PERPETUAL" if quote == "USD" else f"{base}_{quote}-PERPETUAL"
    return f"{base}_{quote}"


def _listed(instruments: Sequence[str]) -> Sequence[str]:
    """Add to what is asked for the same in USDC, which most markets here are in."""
    more = (f"{one.partition('-')[0]}-USDC" for one in instruments)
    return tuple(dict.fromkeys([*instruments, *more]))


_ROUTES = {f"/{name}": _route(call) for name, call in CALLS.items()}

WIRE = VenueSpec(
    name="deribit",
    symbol=_symbol,
    lists=_listed,
    contracts=lambda asked: [each for each in asked if each.endswith("-USD-PERP")],
    routes={**_ROUTES, **{f"{_BASE}{path}": route for path, route in _ROUTES.items()}},
    quota=Quota(limit=20, window=1.0),
    refusals=Refusals(
        unknown_path=_refused(-32601, "Method not found", 404),
        limited=_refused(10028, "too_many_requests", 429),
        banned=_refused(10028, "too_many_requests", 429),
        unavailable=_refused(11051, "system_maintenance", 503),
    ),
    sockets=lambda path: path == "/ws/api/v2",
    received=_received,
    tended=_tended,
    connects=Quota(limit=32, window=1.0),
)
