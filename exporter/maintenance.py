"""Maintenance, notices and restricted trading: what a venue says about its own state.

Times are epoch seconds, None where the venue does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.instrument import Product


class TradingMode(StrEnum):
    """What customers may do at a venue or in a market, from the least to the most restricted.

    A restriction is not maintenance. An unknown value counts as more restricted than reduce-only,
    so that nobody trades because of it.
    """

    TRADING = "trading"
    AUCTION = "auction"  # orders are taken, and matched at the end
    LIMIT_ONLY = "limit_only"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    UNKNOWN = "unknown"  # the venue sent a value that is not known here
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"
    ABSENT = "absent"  # of one market: it is not listed


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedMarkets:
    """The markets of a venue that are watched, to decide which notices concern them."""

    instruments: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()  # the same in the venue's spelling
    stream_url: str = ""  # at some venues it names the product
    products: frozenset[Product] = frozenset()


EVERYTHING = WatchedMarkets()


class NoticeKind(StrEnum):
    """The kinds of notices."""

    MAINTENANCE = "maintenance"  # planned
    INCIDENT = "incident"  # an outage or fault that the venue reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Maintenance or an incident that a venue announces. ``declared`` is when it was published."""

    kind: NoticeKind
    title: str
    start: float | None = None
    end: float | None = None
    declared: float | None = None
    id: str = ""  # the venue's, empty where it has none
    url: str = ""  # of the page about it

    @property
    def key(self) -> str:
        """Return what identifies it among the notices of the same source."""
        return self.id or f"{self.kind}/{self.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """The maintenance, incidents and restrictions that a venue announces."""

    active: bool
    end: float | None = None
    title: str = ""
    mode: TradingMode | None = None  # the most restricted of the watched markets
    start: float | None = None  # of the next maintenance that is announced
    incident: str = ""  # faults that the venue reports, even where it calls them maintenance
    notices: tuple[Notice, ...] = ()  # one by one, where the venue lists them
