"""What answers and streams tell of a venue: which headers count, and how it is summed up."""

from __future__ import annotations

import asyncio

import pytest

from exporter import config as settings
from exporter import venues
from exporter.clock import SystemClock
from exporter.flow.concurrency import FairSemaphore
from exporter.instrument import Product
from exporter.maintenance import Maintenance, TradingMode, WatchedMarkets
from exporter.metrics.families import MaintenanceSource
from exporter.metrics.registry import Registry
from exporter.model import Answer
from exporter.probes.bans import Bans
from exporter.probes.context import ExchangeContext
from exporter.probes.exchange_probes import ExchangeProbes
from tests.metrics.test_registry import samples


def probes(venue: str, registry: Registry, more: str = "") -> ExchangeProbes:
    """Return the probes of one exchange, none of which is ever sent."""
    text = f"exchanges: [{{venue: {venue}, symbols: [BTC-USDT]{more}}}]"
    config = settings.read(text, "said.yml", venues.names(), venues.load, {})
    around = ExchangeContext(
        config=config,
        registry=registry,
        fetch=None,  # type: ignore[arg-type]
        dial=lambda bounds, meter, on_ping_rtt: None,  # type: ignore[arg-type, return-value]
        clock=SystemClock(),
        slots=FairSemaphore(10).share(1),
        probed=lambda done: None,
        online=lambda: True,
        bans=Bans(),
    )
    return ExchangeProbes(config.exchanges[0], venues.load(venue), around, registry)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://fapi.binance.com/fapi/v1/ticker/bookTicker?symbol=BTCUSDT", False),
        ("https://fapi.binance.com/fapi/v1/time", True),
        ("", True),
    ],
)
def test_a_header_that_is_documented_as_wrong_does_not_count(url: str, used: bool) -> None:
    """USD-M's used weight in answers of `bookTicker` leaves the budget as it was."""
    headers = {"x-mbx-used-weight-1m": "1200"}
    answer = Answer(status=200, headers=headers, body=b"{}", new_connection=False, phases={})

    async def moved() -> bool:
        exchange = probes("binance_futures", Registry())
        (budget,) = exchange.budgets.values()
        before = budget.used_ratio()
        exchange.answered(answer, url)
        return budget.used_ratio() != before

    assert asyncio.run(moved()) is used


def shown(registry: Registry) -> set[str]:
    """Return the modes that are shown as those in force."""
    lines = samples(registry, "exchange_trading_mode")
    return {line.split('mode="')[1].split('"')[0] for line in lines if line.endswith(" 1.0")}


def test_a_mode_is_the_venues_to_say_and_to_take_back() -> None:
    """Status page and calendar say nothing of it; the stream says it before the endpoint does."""
    registry = Registry()
    exchange = probes("kraken", registry)
    exchange.stream_said(Maintenance(active=False, mode=TradingMode.CANCEL_ONLY, start=1.8e9))
    exchange.page_said(Maintenance(active=False))
    exchange.announced(MaintenanceSource.CONFIG, Maintenance(active=False))
    assert shown(registry) == {"cancel_only"}
    exchange.stream_said(Maintenance(active=True, title="maintenance"))
    assert shown(registry) == set()
    assert exchange.maintenance.active
    assert exchange.said.start == 1.8e9  # what the stream leaves out is as it was


def test_a_mode_is_shown_where_no_status_endpoint_is_probed() -> None:
    """The stream alone is enough."""
    registry = Registry()
    exchange = probes("kraken", registry, ", endpoints: [{name: time}]")
    exchange.stream_said(Maintenance(active=False, mode=TradingMode.POST_ONLY))
    assert shown(registry) == {"post_only"}


def test_of_several_endpoints_the_most_restricted_mode_counts() -> None:
    """One that says nothing of modes takes none away."""
    registry = Registry()
    exchange = probes("kraken", registry)
    first, second = list(exchange.endpoints.values())[:2]
    first.told = Maintenance(active=False, mode=TradingMode.LIMIT_ONLY, incident="x")
    second.told = Maintenance(active=False, title="a page of our own")
    exchange.stream_said(Maintenance(active=False, mode=TradingMode.CANCEL_ONLY))
    assert shown(registry) == {"cancel_only"}
    assert exchange.said.incident == "x"


def test_what_is_watched_is_spelled_as_the_venue_does() -> None:
    """Notices name symbols, products by address, or neither."""
    config = settings.read(
        "exchanges: [{venue: bybit, symbols: [BTC-USDT], stream_url:"
        " wss://stream.bybit.com/v5/public/linear}]",
        "watched.yml", venues.names(), venues.load, {},
    )  # fmt: skip
    assert settings.watched(config.exchanges[0], venues.load("bybit")) == WatchedMarkets(
        instruments=("BTC-USDT",),
        symbols=("BTCUSDT",),
        stream_url="wss://stream.bybit.com/v5/public/linear",
        products=frozenset({Product.LINEAR}),
    )
