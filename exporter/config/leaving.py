"""The config keys of the circuit breaker and the rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.config.endpoint import HEADER_NAME
from exporter.config.kinds import Mistake, Reading, choice, duration, integer, ratio
from exporter.config.section import key
from exporter.config.units import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """When an endpoint is left alone for a while after failures."""

    mode: str = key(
        choice("consecutive", "ratio", "slow"),
        "consecutive",
        "What opens the breaker: consecutive failures, the share of failures, or the share of "
        "slow probes.",
    )
    failures: int = key(
        integer(1, 1000), 5, "Consecutive failures that open the breaker (consecutive)."
    )
    ratio: float = key(
        ratio("1%", "100%"),
        "50%",
        "Share of failures or slow probes that opens the breaker (ratio, slow).",
    )
    slow_after: float = key(
        duration("1ms", "5m"), "2s", "A probe that takes longer is slow (slow)."
    )
    window: float = key(duration("1s", "1d"), "2m", "Time window of the shares (ratio, slow).")
    minimum: int = key(
        integer(1, 1000),
        10,
        "Minimum number of probes in the window before a share counts (ratio, slow).",
    )
    recovery: float = key(
        duration("100ms", "1h"),
        "10s",
        "Time an open breaker waits before a trial; doubles after each failed trial.",
    )
    recovery_cap: float = key(duration("100ms", "1d"), "25s", "Maximum of that time.")
    trials: int = key(
        integer(1, 100),
        1,
        "Trials admitted while half open, and successes needed to close the breaker.",
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of a first recovery beyond the last."""
        if self.recovery > self.recovery_cap:
            found, most = format_duration(self.recovery), format_duration(self.recovery_cap)
            yield Mistake(("recovery",), f"found {found}, expected at most recovery_cap, {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What probes may use of the exchange's rate limits."""

    share: float | None = key(
        ratio("0.1%", "100%"),
        None,
        "Share of the rate limits for probes. Default: probes.budget_share.",
    )
    weight: int | None = key(
        integer(1, 10_000_000),
        None,
        "Weight allowed per minute, in place of the venue's first documented limit.",
    )
    window: float | None = key(
        duration("1s", "1d"),
        None,
        "Allow that weight in so long, instead of all that the venue documents.",
    )
    used_header: str | None = key(
        HEADER_NAME, None, "Header in which answers name the weight used in the window."
    )
    remaining_header: str | None = key(
        HEADER_NAME, None, "Header in which answers name the weight left in the window."
    )

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what only a limit of one's own can have."""
        for name in ("window", "used_header", "remaining_header"):
            if getattr(self, name) is not None and self.weight is None:
                yield Mistake((name,), "found without weight, expected both")
        for name in ("used_header", "remaining_header"):
            if getattr(self, name) is not None and self.window is None:
                yield Mistake((name,), "found without window, expected both")
