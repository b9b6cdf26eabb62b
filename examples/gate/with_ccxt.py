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


# Whatever makes or changes an order, as far as an exchange has it; by sockets, too (ccxt.pro).
_SENDING = [
    name + ending
    for name in ("create_order", "create_orders", "edit_order", "edit_orders")
    for ending in ("", "_ws")
]


def gated(exchange: Any, gate: Gate) -> Any:
    """Let the orders of an exchange through while the gate is open; cancelling is never held up."""

    def held_up(send: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            if not gate.quote:
                raise GateClosed(f"{exchange.id}: {gate.reasons}")
            return send(*arguments, **more)

        return call

    for name in _SENDING:
        if send := getattr(exchange, name, None):
            first, *others = name.split("_")
            camel = first + "".join(each.title() for each in others)
            call = held_up(send)
            setattr(exchange, name, call)
            setattr(exchange, camel, call)
    return exchange
