"""The keys of a peg: what one asset should be worth in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.config.kinds import Mistake, Reading, number, quoted, text
from exporter.config.section import REQUIRED, key

_ASSET = text("an asset such as USDE", r"[^\s\x00-\x1f\x7f\-_/:,;'\"(){}\[\]<>\\|#%?*]{1,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PegConfig:
    """Two bounds of what an asset is worth in another: a stablecoin, a wrapped or staked coin."""

    asset: str = key(_ASSET, REQUIRED, "The asset that is pegged, such as USDE or WBETH.")
    against: str = key(_ASSET, REQUIRED, "The asset that its worth is told in: USDT, ETH.")
    low: float = key(number(1e-6, 1e6), REQUIRED, "Below this the peg is broken, such as 0.98.")
    high: float = key(number(1e-6, 1e6), REQUIRED, "Above this the peg is broken, such as 1.02.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of bounds that nothing lies between, and of an asset that is its own."""
        if self.high <= self.low:
            yield Mistake(("high",), f"found {self.high:g}, expected more than low, {self.low:g}")
        if self.asset == self.against:
            wrong = f"found {quoted(self.against)}, expected another asset than the pegged one"
            yield Mistake(("against",), wrong)
