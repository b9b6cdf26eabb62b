"""A hummingbot script's part that sends no order while a gate is closed.

class Mine(Gated, ScriptStrategyBase):
    gate_url, gate_name = "http://127.0.0.1:9717", "mm"

Cancelling goes through: `cancel` is not touched.
"""

from __future__ import annotations

from typing import Any

from gate import Gate


class Gated:
    """Mix into a `ScriptStrategyBase`: its `buy` and `sell` ask the gate first."""

    gate_url = "http://127.0.0.1:9717"
    gate_name = "mm"
    _gate: Gate | None = None

    def buy(self, *arguments: Any, **more: Any) -> str:
        """Buy; an empty order id where the gate is closed."""
        return super().buy(*arguments, **more) if self._may_trade() else ""  # type: ignore[misc]

    def sell(self, *arguments: Any, **more: Any) -> str:
        """Sell; an empty order id where the gate is closed."""
        return super().sell(*arguments, **more) if self._may_trade() else ""  # type: ignore[misc]

    def _may_trade(self) -> bool:
        if self._gate is None:  # nothing was heard yet: the next tick asks again
            self._gate = Gate(self.gate_url, self.gate_name)
        return self._gate.quote
