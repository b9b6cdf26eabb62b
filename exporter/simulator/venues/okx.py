"""OKX v5, spot, perpetuals (SWAP), dated futures and options, as its server.

An option costs what its underlying does: nothing here judges prices.

Source: OKX v5 API documentation and its announcement of 2026-05-21 (checksums are always 0 since
2026-06-23); frames checked against traffic recorded in May 2022 and acks captured in August 2026.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Candle, Levels, Listing, Pair, PriceWindow, Print, Step
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
from exporter.simulator.state_streams import changes
from exporter.simulator.venue_server import VenueServer

_BOOKS = {"books": 400, "books-l2-tbt": 400, "books50-l2-tbt": 50}
_INTERVALS = {"1m": 60, "3m": 180, "5m": 300, "15m": 900, "1H": 3600, "1D": 86_400}
_MOST_OPERATIONS = 480  # a connection and hour


# --- REST -------------------------------------------------------------------------------------


def _envelope(data: object) -> bytes:
    return dump({"code": "0", "msg": "", "data": data})


def _fault(code: str, message: str, status: int = 200) -> SimulatedReply:
    return SimulatedReply(status=status, body=dump({"code": code, "msg": message, "data": []}))


def _of(
    answer: Callable[[VenueServer, Query, Pair], object],
) -> Callable[[VenueServer, Query], bytes | SimulatedReply]:
    """Return an answer that needs the parameter ``instId``."""

    def checked(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
        name = query.get("instId", "")
        if not name:
            return _fault("50014", "Parameter instId can not be empty", 400)
        pair = desk.pair(name)
        if pair is None:
            return _fault("51001", "Instrument ID does not exist")
        return _envelope(answer(desk, query, pair))

    return checked


def _status(desk: VenueServer, query: Query) -> bytes:
    rows = [
        {"title": fault.text("title"),
         "state": "scheduled" if fault.kind is FaultKind.ANNOUNCED else "ongoing",
         "begin": str(begin), "end": str(end), "preOpenBegin": "", "href": "", "serviceType": "5",
         "system": "unified", "scheDesc": "",
         "maintType": "3" if fault.kind is FaultKind.INCIDENT else "1", "env": "1"}
        for fault, begin, end in desk.notices()
    ]  # fmt: skip
    wanted = query.get("state")
    return _envelope([row for row in rows if wanted in (None, row["state"])])


def _kind(pair: Pair) -> str:
    match pair.listing.symbol.split("-")[2:]:
        case []:
            return "SPOT"
        case ["SWAP"]:
            return "SWAP"
        case [_]:
            return "FUTURES"
    return "OPTION"


def _ticker(pair: Pair, millis: int) -> Mapping[str, str]:
    one, (bid, bid_size), (ask, ask_size) = pair.listing, pair.bids.top(1)[0], pair.asks.top(1)[0]
    volume, last = one.size(pair.day_volume), one.price(pair.print[2])
    return {
        "instType": _kind(pair), "instId": one.symbol, "last": last,
        "lastSz": one.size(pair.print[3]),
        "askPx": one.price(ask), "askSz": one.size(ask_size),
        "bidPx": one.price(bid), "bidSz": one.size(bid_size),
        "open24h": one.price(pair.day_open), "high24h": one.price(pair.day_high),
        "low24h": one.price(pair.day_low), "sodUtc0": one.price(pair.day_open),
        "sodUtc8": one.price(pair.day_open),
        "volCcy24h": f"{float(volume) * float(last):.8f}" if _kind(pair) == "SPOT" else volume,
        "vol24h": volume, "ts": str(millis),
    }  # fmt: skip


def _instruments(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    kind = query.get("instType", "")
    if kind not in ("SPOT", "SWAP", "FUTURES", "OPTION", "MARGIN"):
        return _fault("50014", "Parameter instType can not be empty", 400)
    family = query.get("uly") or query.get("instFamily")
    if kind == "OPTION" and not family:
        return _fault("50015", "Either parameter uly or instFamily is required", 400)
    rows = [
        row
        for name, row in _listed(desk, kind).items()
        if query.get("instId", name) == name and (not family or name.startswith(f"{family}-"))
    ]
    return _envelope(rows)


def _listed(desk: VenueServer, kind: str) -> dict[str, Mapping[str, str]]:
    """Return the rows of all markets of one class, by symbol."""
    return {
        p.listing.symbol: {"instId": p.listing.symbol, "instType": kind,
         "tickSz": p.listing.price(state.tick), "lotSz": p.listing.size(1),
         "minSz": p.listing.size(1), "state": _STATES.get(state.mode, "live"),
         "listTime": "1548133413000", "alias": "", "expTime": str(state.delisting or ""),
         "lever": "10", "optType": "", "stk": "",
         **(_spot(p.listing) if kind == "SPOT" else _contract(p.listing))}
        for p in desk.pairs() if kind == _kind(p)
        for state in (desk.listed_as(p),)
    }  # fmt: skip


_STATES = {"halted": "suspend", "cancel_only": "suspend", "post_only": "post_only"}


def _spot(one: Listing) -> Mapping[str, str]:
    return {"baseCcy": one.base, "quoteCcy": one.quote, "ctMult": "", "ctType": "", "ctVal": "",
            "ctValCcy": "", "settleCcy": "", "uly": "", "instFamily": ""}  # fmt: skip


def _contract(one: Listing) -> Mapping[str, str]:
    """Return what a contract has: no base and quote, but what it is on and settles in."""
    family, inverse = f"{one.base}-{one.quote}", one.quote == "USD"
    day, strike, right = (*one.symbol.split("-")[2:], "", "")[:3]
    end = ""
    if day.isdecimal():
        moment = datetime.strptime(day, "%y%m%d").replace(hour=8, tzinfo=UTC)
        end = str(int(moment.timestamp() * 1000))
    return {"baseCcy": "", "quoteCcy": "", "ctMult": "1", "ctVal": one.size(1),
            "ctType": "" if right else "inverse" if inverse else "linear",
            "ctValCcy": one.quote if inverse else one.base,
            "settleCcy": one.base if inverse else one.quote, "uly": family,
            "expTime": end, "stk": strike, "optType": right,
            "instFamily": family}  # fmt: skip


def _rows(one: Listing, levels: Levels) -> list[list[str]]:
    return [[one.price(p), one.size(n) if n else "0", "0", "1" if n else "0"] for p, n in levels]


def _book(desk: VenueServer, query: Query, pair: Pair) -> object:
    size = query.get("sz", "1")
    count = min(int(size), 400) if size.isdecimal() else 1
    return [{"asks": _rows(pair.listing, pair.asks.top(count)),
             "bids": _rows(pair.listing, pair.bids.top(count)),
             "ts": str(desk.millis()), "seqId": pair.last}]  # fmt: skip


def _candle_row(one: Listing, c: Candle) -> list[str]:
    volume = one.size(c.volume)
    turnover = f"{float(volume) * float(one.price(c.close)):.8f}"
    prices = [one.price(p) for p in (c.open, c.high, c.low, c.close)]
    return [str(c.start), *prices, volume, turnover, turnover, "1" if c.closed else "0"]


def _candles(desk: VenueServer, query: Query, pair: Pair) -> object:
    candles = [*pair.closed, pair.kline(60_000, desk.millis())]
    return [_candle_row(pair.listing, c) for c in reversed(candles)][:100]


def _recent(desk: VenueServer, query: Query, pair: Pair) -> object:
    one = pair.listing
    return [
        {"instId": one.symbol, "side": "buy" if buy else "sell", "sz": one.size(q),
         "px": one.price(p), "tradeId": str(n), "ts": str(millis), "source": "0"}
        for (n, buy, p, q), millis in reversed(pair.recent)
    ]  # fmt: skip


def _all_tickers(desk: VenueServer, query: Query) -> bytes:
    kind, now = query.get("instType"), desk.millis()
    return _envelope([_ticker(pair, now) for pair in desk.pairs() if kind == _kind(pair)])


def _swaps(desk: VenueServer) -> list[Pair]:
    return [pair for pair in desk.pairs() if _kind(pair) == "SWAP"]


def _funding(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    name = query.get("instId", "")
    pairs = [p for p in _swaps(desk) if name in ("ANY", p.listing.symbol)]
    if not pairs and name != "ANY":
        return _fault("51001", "Instrument ID does not exist")
    return _envelope([
        {"instType": "SWAP", "instId": pair.listing.symbol, "method": "current_period",
         "formulaType": "withRate", "fundingRate": f"{state.rate:.16f}", "nextFundingRate": "",
         "fundingTime": str(state.due),
         "nextFundingTime": str(state.due + state.interval * 3_600_000),
         "minFundingRate": "-0.00375", "maxFundingRate": "0.00375", "settState": "settled",
         "settFundingRate": "0.0001000000000000", "premium": "0.0001233824646391",
         "ts": str(desk.millis())}
        for pair in pairs
        for state in (state_of(desk, pair),)
    ])  # fmt: skip


def _marks(desk: VenueServer, query: Query) -> bytes:
    return _envelope([
        {"instType": "SWAP", "instId": pair.listing.symbol, "markPx": state_of(desk, pair).mark,
         "ts": str(desk.millis())}
        for pair in (_swaps(desk) if query.get("instType") == "SWAP" else ())
    ])  # fmt: skip


def _indices(desk: VenueServer, query: Query) -> bytes:
    found = {
        f"{one.base}-{one.quote}": state_of(desk, pair).index
        for pair in _swaps(desk)
        for one in (pair.listing,)
        if one.quote == query.get("quoteCcy")
    }
    return _envelope([
        {"instId": name, "idxPx": price, "high24h": price, "low24h": price, "open24h": price,
         "sodUtc0": price, "sodUtc8": price, "ts": str(desk.millis())}
        for name, price in found.items()
    ])  # fmt: skip


# --- WebSocket --------------------------------------------------------------------------------


def _make(desk: VenueServer, channel: str, name: str, business: bool) -> SimulatedFeed | None:
    """Make the feed of a channel and instrument; None where there is none on this path."""
    pair = desk.pair(name)
    if pair is None or business != (channel == "trades-all" or channel.startswith("candle")):
        return None
    key = f"{channel}:{name}"
    arg = f'{{"arg":{{"channel":"{channel}","instId":"{name}"}},'
    if channel in ("trades", "trades-all"):
        return _trades(pair, key, arg)
    if channel in _BOOKS:
        return _books(desk, pair, key, arg, _BOOKS[channel])
    if channel == "books5":
        return _tops(pair, key, arg, 5, "book")
    if channel == "bbo-tbt":
        return _tops(pair, key, arg, 1, "quotes")
    if channel == "tickers":
        return _tickers(pair, key, arg)
    interval = channel.removeprefix("candle")
    return _klines(pair, key, arg, interval) if interval in _INTERVALS else None


def _trades(pair: Pair, key: str, arg: str) -> SimulatedFeed:
    one = pair.listing
    shape = (
        f'{arg}"data":[{{"instId":"{one.symbol}","tradeId":"%d","px":"%s","sz":"%s",'
        '"side":"%s","ts":"%d","count":"1"}]}'
    )

    def encode(prints: Sequence[Print], millis: int) -> list[bytes]:
        prices = {row[2]: one.price(row[2]) for row in prints}
        sizes = {row[3]: one.size(row[3]) for row in prints}
        return [
            (shape % (n, prices[p], sizes[q], "buy" if buy else "sell", millis)).encode()
            for n, buy, p, q in prints
        ]

    # The first frame repeats the last trade, which may be old.
    return SimulatedFeed(key=key, topic=key, channel="trades", pair=pair, prints=encode,
                opening=lambda millis: encode([pair.print], pair.printed))  # fmt: skip


def _levels(one: Listing, levels: Levels) -> str:
    rows = [f'["{one.price(p)}","{one.size(n) if n else 0}","0","{1 if n else 0}"]'
            for p, n in levels]  # fmt: skip
    return f"[{','.join(rows)}]"


def _signed_crc(one: Listing, bids: Levels, asks: Levels) -> int:
    """Return the checksum of the best 25 levels as it was until June 2026."""
    parts: list[str] = []
    for pair in zip_longest(bids[:25], asks[:25]):
        parts += [f"{one.price(level[0])}:{one.size(level[1])}" for level in pair if level]
    value = crc32(":".join(parts).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _books(desk: VenueServer, pair: Pair, key: str, arg: str, depth: int) -> SimulatedFeed:
    """Return a snapshot and then updates of the best ``depth`` levels a side."""
    one, window = pair.listing, PriceWindow(pair, depth)
    last = pair.last

    def frame(action: str, millis: int, bids: Levels, asks: Levels, previous: int) -> bytes:
        # Since 2026-06-23 the venue sends 0, "no checksum"; a wrong one is the fault's.
        checksum = 0
        if desk.faults and desk.checksum(pair, 0):
            checksum = _signed_crc(one, *window.levels()) ^ 1
        return (
            f'{arg}"action":"{action}","data":[{{"asks":{_levels(one, asks)},'
            f'"bids":{_levels(one, bids)},"ts":"{millis}","checksum":{checksum},'
            f'"prevSeqId":{previous},"seqId":{last}}}]}}'
        ).encode()

    def steps(step: Step) -> list[bytes]:
        nonlocal last
        bids, asks = window.changes()
        previous, last = last, step.last
        return [frame("update", step.millis, bids, asks, previous)]

    def opening(millis: int) -> list[bytes]:
        return [frame("snapshot", millis, *window.levels(), -1)]

    return SimulatedFeed(
        key=key, topic=key, channel="book", pair=pair, steps=steps, opening=opening
    )


def _tops(pair: Pair, key: str, arg: str, count: int, channel: str) -> SimulatedFeed:
    """Return the best levels as a snapshot whenever they have changed."""
    one = pair.listing
    before: list[Levels] = []

    def opening(millis: int) -> list[bytes]:
        bids, asks = _levels(one, pair.bids.top(count)), _levels(one, pair.asks.top(count))
        text = (
            f'{arg}"data":[{{"asks":{asks},"bids":{bids},"ts":"{millis}","seqId":{pair.last}}}]}}'
        )
        return [text.encode()]

    def steps(step: Step) -> list[bytes]:
        now = [pair.bids.top(count), pair.asks.top(count)]
        if now == before:
            return []
        before[:] = now
        return opening(step.millis)

    return SimulatedFeed(
        key=key, topic=key, channel=channel, pair=pair, steps=steps, opening=opening
    )


def _tickers(pair: Pair, key: str, arg: str) -> SimulatedFeed:
    def opening(millis: int) -> list[bytes]:
        return [f'{arg}"data":[{dump(_ticker(pair, millis)).decode()}]}}'.encode()]

    return SimulatedFeed(key=key, topic=key, channel="ticker", pair=pair, opening=opening,
                steps=lambda step: opening(step.millis))  # fmt: skip


def _klines(pair: Pair, key: str, arg: str, interval: str) -> SimulatedFeed:
    length = _INTERVALS[interval] * 1000

    def steps(step: Step) -> list[bytes]:
        closed = step.closed.get(length)
        if closed is None and not step.second:
            return []
        row = _candle_row(pair.listing, closed or pair.kline(length, step.millis))
        return [f'{arg}"data":[{dump(row).decode()}]}}'.encode()]

    return SimulatedFeed(key=key, topic=key, channel="klines", pair=pair, steps=steps)


def _received(session: SimulatedSession, text: str) -> None:
    if text == "ping":
        session.reply("pong", keepalive=True)
        return
    try:
        asked = json.loads(text)
        operation, args = asked["op"], [dict(arg) for arg in asked["args"]]
        number = {"id": str(asked["id"])} if "id" in asked else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        _fail(session, "60012", f"Invalid request: {text[:200]}", {})
        return
    session.operations += 1
    if session.desk.limited and session.operations > _MOST_OPERATIONS:
        _fail(session, "60014", "Requests too frequent", number)
        return
    if operation not in ("subscribe", "unsubscribe") or not args:
        _fail(session, "60012", f"Invalid request: {text[:200]}", number)
        return
    for arg in args:
        _operate(session, str(operation), arg, number)


def _operate(
    session: SimulatedSession, operation: str, arg: Mapping[str, object], number: Mapping[str, str]
) -> None:
    """Do one argument of a request; each gets a reply of its own."""
    channel, name = str(arg.get("channel", "")), str(arg.get("instId", ""))
    if channel == "instruments" and operation == "subscribe":
        _open_instruments(session, str(arg.get("instType", "")), number)
        return
    key = f"{channel}:{name}"
    ack = {"event": operation, "arg": {"channel": channel, "instId": name}, **number,
           "connId": session.id}  # fmt: skip
    if operation == "unsubscribe":
        session.unsubscribe(key)
        session.reply(dump(ack).decode())
        return
    business = session.path.endswith("/business")
    made = _make(session.desk, channel, name, business)
    feed = made and (session.desk.feeds.get(key) or made)
    if feed is None or not session.subscribe(feed):
        wrong = (
            f"Wrong URL or channel:{channel[:40]},instId:{name[:40]} doesn't exist. Please use "
            "the correct URL, channel and parameters referring to API document."
        )
        _fail(session, "60018", wrong, number)
        return
    session.reply(dump(ack).decode())
    session.open(feed)


def _open_instruments(session: SimulatedSession, kind: str, number: Mapping[str, str]) -> None:
    """Begin to push the markets of one class: all, then those that change."""
    if kind not in ("SPOT", "SWAP", "FUTURES", "OPTION") or session.path.endswith("/business"):
        _fail(session, "60018", f"Wrong URL or channel:instruments,instType:{kind[:20]}", number)
        return
    session.heard_of.setdefault(kind, {})
    arg = {"channel": "instruments", "instType": kind}
    session.reply(dump({"event": "subscribe", "arg": arg, **number, "connId": session.id}).decode())
    _tended(session, 0.0)


def _tended(session: SimulatedSession, now: float) -> None:
    for kind in session.heard_of:
        if rows := changes(session, kind, _listed(session.desk, kind)):
            frame = {"arg": {"channel": "instruments", "instType": kind},
                     "data": list(rows.values())}  # fmt: skip
            session.reply(dump(frame).decode())


def _fail(session: SimulatedSession, code: str, message: str, number: Mapping[str, str]) -> None:
    frame = {"event": "error", "code": code, "msg": message, **number, "connId": session.id}
    session.reply(dump(frame).decode())


def _notice(session: SimulatedSession) -> str:
    message = "The connection will soon be closed for a service upgrade. Please reconnect."
    frame = {"event": "notice", "code": "64008", "msg": message, "connId": session.id}
    return dump(frame).decode()


_EACH = Quota(limit=20, window=2.0)

WIRE = VenueSpec(
    name="okx",
    symbol=lambda instrument: instrument.replace("-PERP", "-SWAP"),
    contracts=lambda asked: asked,
    routes={
        "/api/v5/public/time": Route(
            answer=lambda desk, query: _envelope([{"ts": str(desk.millis())}]), quota=_EACH
        ),
        "/api/v5/system/status": Route(
            answer=_status, quota=Quota(limit=1, window=5.0), always=True
        ),
        "/api/v5/market/ticker": Route(
            answer=_of(lambda desk, query, pair: [_ticker(pair, desk.millis())]), quota=_EACH
        ),
        "/api/v5/market/tickers": Route(answer=_all_tickers, quota=_EACH),
        "/api/v5/market/trades": Route(answer=_of(_recent), quota=Quota(limit=100, window=2.0)),
        "/api/v5/market/books": Route(answer=_of(_book), quota=Quota(limit=40, window=2.0)),
        "/api/v5/market/candles": Route(answer=_of(_candles), quota=Quota(limit=40, window=2.0)),
        "/api/v5/public/funding-rate": Route(answer=_funding, quota=_EACH),
        "/api/v5/public/mark-price": Route(answer=_marks, quota=_EACH),
        "/api/v5/market/index-tickers": Route(answer=_indices, quota=_EACH),
        "/api/v5/public/instruments": Route(answer=_instruments, quota=_EACH),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: SimulatedReply(
            status=404, body=b'{"msg":"Not Found","code":"404"}'
        ),
        limited=lambda desk, wait: _fault("50011", "Too Many Requests", 429),
        banned=lambda desk, wait: _fault("50011", "Too Many Requests", 429),
        unavailable=lambda desk: _fault("50001", "Service temporarily unavailable.", 503),
    ),
    sockets=lambda path: path in ("/ws/v5/public", "/ws/v5/business"),
    received=_received,
    tended=_tended,
    idle_limit=30.0,
    connects=Quota(limit=3, window=1.0),
    notice=_notice,
    checksums=True,
)  # fmt: skip
