"""The server of a spot exchange with Binance's protocol.

Source: github.com/binance/binance-spot-api-docs (rest-api.md, web-socket-streams.md, errors.md)
at a5e0bc3, read 2026-07-21; frames checked against traffic recorded in October 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def _depth(desk: VenueServer, query: Query, pair: Pair) -> bytes | SimulatedReply:
    limit = query.get("limit", "100")
    if not limit.isdecimal() or int(limit) < 1:
        return family.error(-1100, "Illegal characters found in parameter 'limit'.")
    count = min(int(limit), 5000)
    bids = family.levels(pair.listing, pair.bids.top(count))
    asks = family.levels(pair.listing, pair.asks.top(count))
    return f'{{"lastUpdateId":{pair.last},"bids":{bids},"asks":{asks}}}'.encode()


_STATUS = {"halted": "HALT", "cancel_only": "CANCEL_ONLY"}


def _info(desk: VenueServer, query: Query, limit: int, raw: int) -> bytes | SimulatedReply:
    wanted = query.get("symbol")
    if wanted is not None and desk.pair(wanted) is None:
        return family.error(-1121, "Invalid symbol.")
    symbols = [
        {
            "symbol": pair.listing.symbol,
            "status": _STATUS.get(state.mode, "TRADING"),
            "baseAsset": pair.listing.base,
            "baseAssetPrecision": PAD,
            "quoteAsset": pair.listing.quote,
            "quotePrecision": PAD,
            "quoteAssetPrecision": PAD,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "isSpotTradingAllowed": True,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": pair.listing.price(state.tick, PAD)},
                {"filterType": "LOT_SIZE", "stepSize": pair.listing.size(1, PAD)},
            ],
            "permissions": ["SPOT"],
        }
        for pair in desk.pairs()
        if wanted in (None, pair.listing.symbol)
        for state in (desk.listed_as(pair),)
    ]
    minute = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    requests = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5}
    return dump(
        {
            "timezone": "UTC",
            "serverTime": desk.millis(),
            "rateLimits": [{**minute, "limit": limit}, {**requests, "limit": raw}],
            "exchangeFilters": [],
            "symbols": symbols,
        }
    )


def _make(session: SimulatedSession, name: str) -> SimulatedFeed | None:
    return family.make(session.desk, name, session.path, futures=False)


def spec(
    name: str,
    *,
    limit: int,
    raw: int,
    depth_weight: Callable[[Query], int],
    more: Mapping[str, Route],
) -> VenueSpec:
    """Return the venue; ``limit`` is weight a minute, ``raw`` requests in five minutes."""
    return VenueSpec(
        name=name,
        symbol=lambda instrument: instrument.replace("-", ""),
        routes={
            "/api/v3/ping": Route(answer=lambda desk, query: b"{}"),
            "/api/v3/time": Route(answer=lambda desk, query: b'{"serverTime":%d}' % desk.millis()),
            "/api/v3/exchangeInfo": Route(
                answer=lambda desk, query: _info(desk, query, limit, raw), weight=lambda query: 20
            ),
            "/api/v3/depth": Route(answer=family.of(_depth), weight=depth_weight),
            "/api/v3/klines": Route(answer=family.of(family.klines), weight=lambda query: 2),
            "/api/v3/ticker/price": Route(
                answer=family.every(family.price),
                weight=lambda query: 2 if "symbol" in query else 4,
            ),
            "/api/v3/ticker/bookTicker": Route(
                answer=family.every(family.best),
                weight=lambda query: 2 if "symbol" in query else 4,
            ),
            **binance_rest.routes("/api/v3", futures=False),
            **more,
        },
        refusals=Refusals(
            unknown_path=lambda desk, path: SimulatedReply(
                status=404, body=b"<html><body><h2>404 Not found</h2></body></html>",
                content_type="text/html",
            ),
            limited=family.limited,
            banned=family.banned,
            unavailable=family.unavailable,
        ),
        quota=Quota(limit=limit, window=60.0),
        bans=True,
        headers=family.headers,
        sockets=lambda path: path in ("/ws", "/stream") or path.startswith("/ws/"),
        opened=lambda session: family.opened(session, _make),
        received=lambda session, text: family.received(session, text, _make),
        ping_every=20.0,
        pong_within=60.0,
        lifetime=24 * 3600.0,
        incoming=Quota(limit=5, window=1.0),
        connects=Quota(limit=300, window=300.0),
        notice=family.notice,
    )  # fmt: skip
