"""The keys of what an exchange's lists are watched for, beside its streams."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import boolean, duration
from exporter.config.section import key


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentsConfig:
    """Watching what may be done in each market, its tick and lot size, and its end."""

    watch: bool = key(
        boolean(),
        False,
        "Read the venue's lists of markets at regular intervals, for the state of the watched "
        "markets: one request per product class, within the probes' share of the rate limits. "
        "Venues that push states (Binance's futures, Bybit, Coinbase, Kraken, OKX) are followed on "
        "one more connection, if the exchange has streams.",
    )
    interval: float = key(duration("10s", "1h"), "60s", "Interval of these requests.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualsConfig:
    """Watching what perpetuals are valued by, and what is paid for holding them."""

    watch: bool = key(
        boolean(),
        False,
        "Read mark price, index price and funding of the watched perpetuals at regular intervals: "
        "one to three requests for all of them, within the probes' share of the rate limits.",
    )
    interval: float = key(duration("5s", "1h"), "30s", "Interval of these requests.")
