"""The ends of bans by exchanges."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bans:
    """Until when each exchange told us to stay away; epoch seconds."""

    until: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, exchange: str) -> float:
        """Return the end of a ban; zero where there was none."""
        return self.until.get(exchange, 0.0)

    def record(self, exchange: str, until: float) -> None:
        """Remember a ban."""
        self.until[exchange] = until
        self.changed.set()
