"""A freqtrade strategy's part that enters no trade while a gate is closed.

class Mine(Gated, IStrategy):
    gate_url, gate_name = "http://127.0.0.1:9717", "mm"
"""

from __future__ import annotations

from typing import Any

from gate import Gate


class Gated:
    """Mix into an `IStrategy`: entries are confirmed by the gate, exits never held up."""

    gate_url = "http://127.0.0.1:9717"
    gate_name = "mm"
    _gate: Gate | None = None

    def confirm_trade_entry(self, *arguments: Any, **more: Any) -> bool:
        """Return whether the entry may be made; called by freqtrade right before the order."""
        if self._gate is None:
            self._gate = Gate(self.gate_url, self.gate_name)
            return False  # nothing was heard yet: the next candle asks again
        return self._gate.quote
