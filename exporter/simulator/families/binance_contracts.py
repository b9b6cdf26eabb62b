"""The server of futures with Binance's protocol.

Source: developers.binance.com (USD-M futures: market streams, change notice of 2026-04-23), read
2026-10; frames checked against traffic recorded in July 2021 (USD-M and COIN-M).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from exporter.simulator.families import binance as family
from exporter.simulator.families import binance_rest
from exporter.simulator.families.binance import PAD, Maker
from exporter.simulator.market import Pair
from exporter.simulator.perpetuals import state_of
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import (
    Query,
    Quota,
    Refusals,
    Route,
    SimulatedReply,
    VenueSpec,
    dump,
)
from exporter.simulator.state_streams import changes
from exporter.simulator.venue_server import VenueServer

_LIMIT = 2400
_NEWS = "!contractInfo"  # it is acknowledged as any name is, and pushed on what is not public


def _depth(desk: VenueServer, query: Query, pair: Pair) -> bytes | SimulatedReply:
    limit = query.get("limit", "500")
    if limit not in ("5", "10", "20", "50", "100", "500", "1000"):
        return family.error(-4021, f"{limit[:20]} is not valid depth limit")
    bids = family.levels(pair.listing, pair.bids.top(int(limit)))
    asks = family.levels(pair.listing, pair.asks.top(int(limit)))
    now = desk.millis()
    return (
        f'{{"lastUpdateId":{pair.last},"E":{now},"T":{now},"bids":{bids},"asks":{asks}}}'.encode()
    )


def dated(instruments: Sequence[str]) -> Sequence[str]:
    """Return those that end on a day: BTC-USD-261225."""
    return [each for each in instruments if each.split("-")[2:][-1].isdecimal()]


def contract(desk: VenueServer, pair: Pair, status: str) -> Mapping[str, object]:
    """Return what the rows of both kinds of futures have; ``status`` is what they call that."""
    one, state = pair.listing, desk.listed_as(pair)
    day = one.symbol.rpartition("_")[2]
    kind, end = "PERPETUAL", 4133404800000
    if day.isdecimal():
        moment = datetime.strptime(day, "%y%m%d").replace(hour=8, tzinfo=UTC)
        kind, end = "NEXT_QUARTER", int(moment.timestamp() * 1000)
    return {
        "symbol": one.symbol, "contractType": kind, "deliveryDate": state.delisting or end,
        status: _STATUS.get(state.mode, "TRADING"),
        "onboardDate": 1569398400000, "baseAsset": one.base, "quoteAsset": one.quote,
        "pricePrecision": one.price_decimals, "quantityPrecision": one.size_decimals,
        "underlyingType": "COIN", "underlyingSubType": [], "orderTypes": ["LIMIT", "MARKET"],
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": one.price(state.tick, PAD)},
                    {"filterType": "LOT_SIZE", "stepSize": one.size(1, PAD)}],
    }  # fmt: skip


_STATUS = {"halted": "TRADING_HALT", "cancel_only": "TRADING_CANCEL_ONLY"}


def _tended(session: SimulatedSession, now: float) -> None:
    """Push the contracts that are not as they were when the client subscribed."""
    if _NEWS not in session.names or session.path.startswith("/public/"):
        return
    rows: dict[str, Mapping[str, object]] = {}
    for pair in session.desk.pairs():
        row = contract(session.desk, pair, "cs")
        rows[pair.listing.symbol] = {
            "s": row["symbol"], "ps": pair.listing.base + pair.listing.quote,
            "ct": row["contractType"], "dt": row["deliveryDate"], "ot": row["onboardDate"],
            "cs": row["cs"],
        }  # fmt: skip
    first = _NEWS not in session.heard_of
    news = changes(session, _NEWS, rows)
    for new in () if first else news.values():
        event = {"e": "contractInfo", "E": session.desk.millis(), **new}
        combined = session.path.endswith("/stream")
        session.reply(dump({"stream": _NEWS, "data": event} if combined else event).decode())


def _info(desk: VenueServer, row: Callable[[VenueServer, Pair], Mapping[str, object]]) -> bytes:
    minute = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return dump({"timezone": "UTC", "serverTime": desk.millis(),
                 "rateLimits": [{**minute, "limit": _LIMIT}], "exchangeFilters": [],
                 "symbols": [row(desk, pair) for pair in desk.pairs()]})  # fmt: skip


def _best(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    now = {"time": desk.millis()}
    if "symbol" not in query:
        return dump([{**family.best(pair), **now} for pair in desk.pairs()])
    pair = desk.pair(query["symbol"])
    return dump({**family.best(pair), **now}) if pair else family.error(-1121, "Invalid symbol.")


def _perpetual(pair: Pair) -> bool:
    return not pair.listing.symbol.rpartition("_")[2].isdecimal()


def _premium(desk: VenueServer, pair: Pair) -> Mapping[str, object]:
    state, perpetual = state_of(desk, pair), _perpetual(pair)
    return {
        "symbol": pair.listing.symbol, "markPrice": state.mark, "indexPrice": state.index,
        "estimatedSettlePrice": state.index,
        "lastFundingRate": f"{state.rate:.8f}" if perpetual else "",
        "interestRate": "0.00010000" if perpetual else "",
        "nextFundingTime": state.due if perpetual else 0, "time": desk.millis(),
    }  # fmt: skip


def _premiums(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    if "symbol" not in query:
        return dump([_premium(desk, pair) for pair in desk.pairs()])
    pair = desk.pair(query["symbol"])
    return dump(_premium(desk, pair)) if pair else family.error(-1121, "Invalid symbol.")


def _adjusted(desk: VenueServer, query: Query) -> bytes:
    """Name what is funded at another interval than the usual one."""
    states = ((pair, state_of(desk, pair)) for pair in desk.pairs() if _perpetual(pair))
    return dump([
        {"symbol": pair.listing.symbol, "adjustedFundingRateCap": "0.02000000",
         "adjustedFundingRateFloor": "-0.02000000", "fundingIntervalHours": state.interval,
         "disclaimer": False}
        for pair, state in states if state.adjusted
    ])  # fmt: skip


def spec(
    name: str,
    prefix: str,
    *,
    symbol: Callable[[str], str],
    lists: Callable[[Sequence[str]], Sequence[str]],
    row: Callable[[VenueServer, Pair], Mapping[str, object]],
    make: Maker,
    sockets: Callable[[str], bool],
) -> VenueSpec:
    """Return the venue; ``prefix`` is such as ``/fapi/v1``, ``row`` a market in exchangeInfo."""
    return VenueSpec(
        name=name,
        symbol=symbol,
        lists=lists,
        contracts=dated,
        routes={
            f"{prefix}/ping": Route(answer=lambda desk, query: b"{}"),
            f"{prefix}/time": Route(
                answer=lambda desk, query: b'{"serverTime":%d}' % desk.millis()
            ),
            f"{prefix}/exchangeInfo": Route(answer=lambda desk, query: _info(desk, row)),
            f"{prefix}/premiumIndex": Route(
                answer=_premiums, weight=lambda query: 1 if "symbol" in query else 10
            ),
            f"{prefix}/fundingInfo": Route(answer=_adjusted, quota=Quota(limit=500, window=300.0)),
            f"{prefix}/depth": Route(answer=family.of(_depth), weight=family.depth_weight),
            f"{prefix}/klines": Route(answer=family.of(family.klines)),
            f"{prefix}/ticker/price": Route(answer=family.every(family.price)),
            f"{prefix.replace('v1', 'v2')}/ticker/price": Route(answer=family.every(family.price)),
            f"{prefix}/ticker/bookTicker": Route(answer=_best, weight=lambda query: 2),
            **binance_rest.routes(prefix, futures=True),
        },
        refusals=Refusals(
            unknown_path=lambda desk, path: family.error(
                -5000, f"Path {path[:80]} is invalid", 404
            ),
            limited=family.limited,
            banned=family.banned,
            unavailable=family.unavailable,
        ),
        quota=Quota(limit=_LIMIT, window=60.0),
        bans=True,
        headers=family.headers,
        sockets=sockets,
        opened=lambda session: family.opened(session, make),
        received=lambda session, text: family.received(session, text, make),
        tended=_tended,
        ping_every=180.0,
        pong_within=600.0,
        lifetime=24 * 3600.0,
        incoming=Quota(limit=10, window=1.0),
        connects=Quota(limit=300, window=300.0),
        notice=family.notice,
    )
