"""Venues made for config tests, so that a real venue may change its endpoints freely."""

from __future__ import annotations

from dataclasses import replace

from exporter.config import Config, ConfigError, read
from exporter.contracts import Endpoint, RestLimit, Venue, VenueSite
from exporter.model import MARKET_DATA, Channel
from exporter.venues.families.services import SERVICES

_BINANCE = Venue(
    name="binance",
    title="Binance",
    rest_url="https://binance.example/",
    endpoints=(
        Endpoint(name="ping", path="/ping"),
        Endpoint(name="time", path="/time", weight=2),
        Endpoint(name="status", path="/status", interval=30.0),
        Endpoint(name="ticker", path="/ticker?s={symbol}", default=False),
    ),
    rest_limits=(
        RestLimit(name="weight_1m", weight=6000, window=60.0),
        RestLimit(name="requests_5m", weight=500, window=300.0),
    ),
    stream_urls=("wss://binance.example/stream",),
    routes={Channel.BOOK: "/public", Channel.TRADES: "/market"},
    topics={channel: f"{{lower}}@{channel}" for channel in MARKET_DATA},
    subscribe=lambda topics, request: "",
    unsubscribe=lambda topics, request: "",
    parse=lambda frame: (),
    topics_per_connection=2,
    symbol=lambda instrument: instrument.replace("-", ""),
    source="made for tests",
)
VENUES = {
    **SERVICES,
    "binance": _BINANCE,
    "bybit": replace(_BINANCE, name="bybit", rest_limits=()),
    "okx": replace(
        _BINANCE,
        name="okx",
        topics={Channel.TRADES: "trades:{symbol}"},
        regions={
            "eea": VenueSite(
                rest_urls=("https://eea.example",), stream_urls=("wss://eea.example/ws",)
            )
        },
    ),
}


def load_text(text: str, name: str = "test.yml") -> Config:
    """Read a config's text against the made venues, with one secret in the environment."""
    return read(text, name, VENUES, VENUES.__getitem__, {"KEY": "hunter2"})


def complaints(text: str, name: str = "test.yml") -> tuple[str, ...]:
    """Return what is wrong with a config's text; nothing when it is good."""
    try:
        load_text(text, name)
    except ConfigError as error:
        return error.complaints
    return ()
