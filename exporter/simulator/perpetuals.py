"""What a simulated venue says of a perpetual: the true price as its index, and steady funding."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Pair
from exporter.simulator.venue_server import VenueServer

_HOUR = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualState:
    """Prices as the venues write them; ``interval`` in hours, times in epoch milliseconds."""

    index: str
    mark: str
    rate: float
    interval: int
    due: int  # the next funding
    adjusted: bool  # whether the interval is another than usual


def state_of(desk: VenueServer, pair: Pair, usual: int = 8) -> PerpetualState:
    """Return what is said of a perpetual now, whose funding is usually due every so many hours."""
    off = desk.strikes(FaultKind.INDEX_OFF, "book", pair)
    changed = desk.strikes(FaultKind.FUNDING_CHANGED, "book", pair)
    one, scale = pair.listing, 10**pair.listing.price_decimals
    index = desk.common(pair) * (1.0 + (off.number("ratio") if off else 0.0))
    hours = int(changed.number("hours")) if changed else usual
    return PerpetualState(
        index=f"{index:.{one.price_decimals + 2}f}",
        mark=f"{(pair.bids.best + pair.asks.best) / 2 / scale:.{one.price_decimals + 2}f}",
        rate=changed.number("rate") if changed else 0.0001,
        interval=hours,
        due=(desk.millis() // (hours * _HOUR) + 1) * hours * _HOUR,
        adjusted=hours != usual,
    )
