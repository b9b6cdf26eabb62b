"""Families of markets: those followed, what may be done in them, what perpetuals are valued by."""

from __future__ import annotations

from enum import StrEnum

from exporter.metrics.families.declare import counter, gauge


class MarketChoice(StrEnum):
    """What became of a market that a pattern of the config stands for."""

    FOLLOWED = "followed"
    LEFT_OUT = "left_out"  # symbols_limit had no room for it


class MarketRule(StrEnum):
    """What orders in a market must keep to; the label ``rule``."""

    TICK_SIZE = "tick_size"
    LOT_SIZE = "lot_size"


MARKETS = gauge(
    "exchange_markets",
    "Markets that match the patterns in symbols: followed, or left out because of symbols_limit; "
    "absent without patterns.",
    "exchange",
    "choice",
)
MARKETS_READ_TIME = gauge(
    "exchange_markets_read_timestamp_seconds",
    "Time at which the exchange's list of markets was last read, for patterns in symbols.",
    "exchange",
)
MARKET_MODE = gauge(
    "exchange_market_mode",
    "What may be done in the market, as the venue lists it: 1 for the current mode; other modes "
    "are absent, and all modes are absent if no list was read recently. unknown: the venue uses a "
    "word that is not known here. Only if instruments.watch is configured.",
    "exchange",
    "symbol",
    "mode",
    fold="max",
)
MARKET_TICK_SIZE = gauge(
    "exchange_market_tick_size",
    "Smallest step of a price in the market, in units of the quote currency; absent if the venue "
    "does not say. Only if instruments.watch is configured.",
    "exchange",
    "symbol",
)
MARKET_LOT_SIZE = gauge(
    "exchange_market_lot_size",
    "Smallest step of the size of an order, in what the venue counts orders in: units of the base "
    "currency, or contracts; absent if the venue does not say. Only if instruments.watch is "
    "configured.",
    "exchange",
    "symbol",
)
MARKET_RULE_CHANGES = counter(
    "exchange_market_rule_changes_total",
    "Times a rule of a watched market became another, by rule. Only if instruments.watch is "
    "configured.",
    "exchange",
    "rule",
)
MARKET_STREAM_CONNECTED = gauge(
    "exchange_market_stream_connected",
    "1 if the connection is open on which the venue pushes states of markets or maintenance, "
    "ahead of its lists; 0: the lists alone tell them. Only if instruments.watch is configured, "
    "and of venues that have such a stream.",
    "exchange",
)
MARKET_STREAM_UNREADABLE = counter(
    "exchange_market_stream_unreadable_total",
    "Frames of that connection that could not be parsed. Only if instruments.watch is configured.",
    "exchange",
)
MARKET_OPENING = gauge(
    "exchange_market_opening_timestamp_seconds",
    "Announced time at which trading in the market begins; absent once it has begun. Only if "
    "instruments.watch is configured.",
    "exchange",
    "symbol",
    fold="min",
)
MARKET_DELISTING = gauge(
    "exchange_market_delisting_timestamp_seconds",
    "Announced time at which the market ends; absent if none is announced. Not the end that a "
    "dated contract has by its name. Only if instruments.watch is configured.",
    "exchange",
    "symbol",
    fold="min",
)
MARK_PRICE = gauge(
    "exchange_mark_price",
    "Price at which the venue values positions in the perpetual, in units of the quote currency. "
    "This and all that follows of perpetuals: only if perpetuals.watch is configured; absent if "
    "the venue does not say, or nothing was read for three intervals.",
    "exchange",
    "symbol",
)
INDEX_PRICE = gauge(
    "exchange_index_price",
    "What the venue takes the underlying of the perpetual to be worth, in units of the quote "
    "currency.",
    "exchange",
    "symbol",
)
MARK_DEVIATION = gauge(
    "exchange_mark_deviation_ratio",
    "Mark price divided by the median spot price of the other exchanges at the time of reading, "
    "minus 1; absent unless prices.peers of them, and more than half, are within 0.5 % of it.",
    "exchange",
    "symbol",
    fold="farthest",
)
INDEX_DEVIATION = gauge(
    "exchange_index_deviation_ratio",
    "Index price divided by the median spot price of the other exchanges at the time of reading, "
    "minus 1; absent unless prices.peers of them, and more than half, are within 0.5 % of it.",
    "exchange",
    "symbol",
    fold="farthest",
)
FUNDING_RATE = gauge(
    "exchange_funding_rate_ratio",
    "What longs pay to shorts at the next funding, as a ratio of the position; negative: shorts "
    "pay. As the venue estimates it now, for one funding interval.",
    "exchange",
    "symbol",
)
FUNDING_INTERVAL = gauge(
    "exchange_funding_interval_seconds",
    "Time between two fundings of the perpetual.",
    "exchange",
    "symbol",
)
FUNDING_NEXT = gauge(
    "exchange_funding_next_timestamp_seconds",
    "Time of the next funding of the perpetual.",
    "exchange",
    "symbol",
)
FUNDING_CAP = gauge(
    "exchange_funding_cap_ratio",
    "The largest size that the funding rate may have, on the side on which it is.",
    "exchange",
    "symbol",
)
