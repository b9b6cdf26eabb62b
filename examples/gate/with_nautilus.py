"""A NautilusTrader strategy's part that submits no order while a gate is closed.

class Mine(Gated, Strategy):
    gate_url, gate_name = "http://127.0.0.1:9717", "mm"

Cancelling goes through: `cancel_order` and `cancel_all_orders` are not touched.
"""

from __future__ import annotations

from typing import Any

from gate import Gate


class Gated:
    """Mix into a `Strategy`: `submit_order` and `submit_order_list` ask the gate first."""

    gate_url = "http://127.0.0.1:9717"
    gate_name = "mm"
    _gate: Gate | None = None

    def submit_order(self, *arguments: Any, **more: Any) -> None:
        """Submit an order; one that the gate holds up is dropped, and logged."""
        if self._may_trade("order"):
            super().submit_order(*arguments, **more)  # type: ignore[misc]

    def submit_order_list(self, *arguments: Any, **more: Any) -> None:
        """Submit a list of orders; one that the gate holds up is dropped whole, and logged."""
        if self._may_trade("list of orders"):
            super().submit_order_list(*arguments, **more)  # type: ignore[misc]

    def _may_trade(self, what: str) -> bool:
        if self._gate is None:  # nothing was heard yet: the next order asks again
            self._gate = Gate(self.gate_url, self.gate_name)
        if self._gate.quote:
            return True
        self.log.warning(f"gate closed, {what} not submitted: {self._gate.reasons}")  # type: ignore[attr-defined]
        return False
