"""A ccxt exchange that sends no new order while a gate is closed.

exchange = gated(ccxt.binance(), Gate("http://127.0.0.1:9717", "mm"))
exchange.create_order("BTC/USDT", "limit", "buy", 0.1, 60000)   # raises GateClosed while closed
"""

from __future__ import annotations

from typing import Any

import ccxt
from gate import Gate


class GateClosed(ccxt.ExchangeNotAvailable):
    """The order was not sent: the gate is closed. ccxt's own retry logic knows this kind."""


def gated(exchange: Any, gate: Gate) -> Any:
    """Let the orders of an exchange through while the gate is open; cancelling is never held up."""
    send = exchange.create_order

    def create_order(*arguments: Any, **more: Any) -> Any:
        if not gate.quote:
            raise GateClosed(f"{exchange.id}: {gate.reasons}")
        return send(*arguments, **more)

    exchange.create_order = exchange.createOrder = create_order
    return exchange
