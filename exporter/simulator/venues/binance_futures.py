"""Binance, USD-M futures, as its server.

Source: developers.binance.com (USD-M futures: market streams, change notice of 2026-04-23), read
2026-10; frames checked against traffic recorded in July 2021.
"""

from __future__ import annotations

from exporter.simulator.families import binance as family
from exporter.simulator.families import binance_rest
from exporter.simulator.families.binance import PAD
from exporter.simulator.market import Pair
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

_LIMIT = 2400


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


def _info(desk: VenueServer, query: Query) -> bytes:
    symbols = [
        {"symbol": p.listing.symbol, "pair": p.listing.symbol, "contractType": "PERPETUAL",
         "deliveryDate": 4133404800000, "onboardDate": 1569398400000, "status": "TRADING",
         "baseAsset": p.listing.base, "quoteAsset": p.listing.quote,
         "marginAsset": p.listing.quote, "pricePrecision": p.listing.price_decimals,
         "quantityPrecision": p.listing.size_decimals,
         "filters": [{"filterType": "PRICE_FILTER", "tickSize": p.listing.price(1, PAD)}]}
        for p in desk.pairs()
    ]  # fmt: skip
    minute = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return dump({"timezone": "UTC", "serverTime": desk.millis(), "futuresType": "U_MARGINED",
                 "rateLimits": [{**minute, "limit": _LIMIT}], "exchangeFilters": [],
                 "symbols": symbols})  # fmt: skip


def _best(desk: VenueServer, query: Query) -> bytes | SimulatedReply:
    now = {"time": desk.millis()}
    if "symbol" not in query:
        return dump([{**family.best(pair), **now} for pair in desk.pairs()])
    pair = desk.pair(query["symbol"])
    return dump({**family.best(pair), **now}) if pair else family.error(-1121, "Invalid symbol.")


def _make(session: SimulatedSession, name: str) -> SimulatedFeed | None:
    # Since 2026-04-23 a stream asked on the wrong one of the two paths stays silent.
    # Single trades are on the public one: so ccxt 4.5.90 asks for them (`get_future_ws_category`).
    public = "@bookTicker" in name or "@depth" in name or name.endswith("@trade")
    if public != session.path.startswith("/public/"):
        return None
    return family.make(session.desk, name, session.path, futures=True)


def _sockets(path: str) -> bool:
    _, _, rest = path.removeprefix("/").partition("/")
    route = path.split("/")[1] if path.count("/") > 1 else ""
    return route in ("public", "market") and (rest in ("ws", "stream") or rest.startswith("ws/"))


WIRE = VenueSpec(
    name="binance_futures",
    symbol=lambda instrument: instrument.replace("-", ""),
    routes={
        "/fapi/v1/ping": Route(answer=lambda desk, query: b"{}"),
        "/fapi/v1/time": Route(answer=lambda desk, query: b'{"serverTime":%d}' % desk.millis()),
        "/fapi/v1/exchangeInfo": Route(answer=_info),
        "/fapi/v1/depth": Route(answer=family.of(_depth), weight=family.depth_weight),
        "/fapi/v1/klines": Route(answer=family.of(family.klines)),
        "/fapi/v1/ticker/price": Route(answer=family.every(family.price)),
        "/fapi/v1/ticker/bookTicker": Route(answer=_best, weight=lambda query: 2),
        **binance_rest.routes("/fapi/v1", futures=True),
    },
    refusals=Refusals(
        unknown_path=lambda desk, path: family.error(-5000, f"Path {path[:80]} is invalid", 404),
        limited=family.limited,
        banned=family.banned,
        unavailable=family.unavailable,
    ),
    quota=Quota(limit=_LIMIT, window=60.0),
    bans=True,
    headers=family.headers,
    sockets=_sockets,
    opened=lambda session: family.opened(session, _make),
    received=lambda session, text: family.received(session, text, _make),
    ping_every=180.0,
    pong_within=600.0,
    lifetime=24 * 3600.0,
    incoming=Quota(limit=10, window=1.0),
    connects=Quota(limit=300, window=300.0),
    notice=family.notice,
)
