"""Families of prices, by which exchanges are compared."""

from __future__ import annotations

from exporter.metrics.families.declare import gauge

MID_PRICE = gauge(
    "exchange_mid_price",
    "Mean of best bid and best ask, in units of the quote currency; absent if stale.",
    "exchange",
    "symbol",
)
SYMBOL_INFO = gauge(
    "exchange_symbol_info",
    "Market that a configured symbol stands for, if the market has another name (BTC-USDT-PERP "
    "for BTC-USDT at a futures exchange); always 1.",
    "exchange",
    "symbol",
    "market",
)
CONSENSUS_PRICE = gauge(
    "exchange_consensus_price",
    "Median of the mid prices of all exchanges with fresh data, in units of the quote currency.",
    "symbol",
)
CONSENSUS_VENUES = gauge(
    "exchange_consensus_venues",
    "Number of exchanges with fresh data that contribute to the consensus price.",
    "symbol",
)
PRICE_DEVIATION = gauge(
    "exchange_price_deviation_ratio",
    "Mid price divided by the median of the other exchanges with fresh data, minus 1.",
    "exchange",
    "symbol",
)
SPREAD = gauge(
    "exchange_spread_ratio",
    "Best ask minus best bid, divided by the mid price.",
    "exchange",
    "symbol",
)
PRICE_FROZEN = gauge(
    "exchange_price_frozen",
    "Whether the price has not changed although messages arrive and enough other "
    "exchanges have moved (1) or not (0); absent if stale.",
    "exchange",
    "symbol",
    fold="max",
)
PEG = gauge(
    "exchange_peg_ratio",
    "What one unit of the asset is worth in the other, by the median prices of all exchanges with "
    "fresh data; absent if nothing tells. Only of the configured pegs.",
    "asset",
    "against",
)
PEG_BOUND = gauge(
    "exchange_peg_bound_ratio",
    "The configured bounds of that worth, lower and upper.",
    "asset",
    "against",
    "bound",
)
QUOTE_BASIS = gauge(
    "exchange_quote_basis_ratio",
    "Price of one base quote currency in the other, minus 1.",
    "base_quote",
    "quote",
)
