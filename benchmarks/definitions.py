"""CPU time of reading one trade by a definition in YAML, beside the hand-written reader.

``python -m benchmarks.definitions``: frames as the venues document them, best of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.model import Event
from exporter.venues import definition, load

_HEAD = """
name: {name}
source: made for the benchmark
rest: {{url: "https://api.example"}}
stream: {{urls: "wss://stream.example", subscribe: $topics}}
channels:
  trades:
    topic: "{topic}"
    frames:
      - {frame}
"""
_SIDES = "side: {path: side, buy: buy, sell: sell}"
CASES: dict[str, tuple[str, str, bytes]] = {
    "okx": (
        "trades:{symbol}",
        "{when: {arg.channel: trades}, rows: data, symbol: $.arg.instId, time: ts, price: px, "
        f"size: sz, {_SIDES}, id: tradeId}}",
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":'
        b'"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897"}]}',
    ),
    "kucoin": (
        "/market/match:{symbol}",
        "{when: {type: message, subject: trade.l3match}, row: data, symbol: symbol, "
        f"time: {{path: time, unit: ns}}, price: price, size: size, {_SIDES}, sequence: sequence}}",
        b'{"type":"message","topic":"/market/match:BTC-USDT","subject":"trade.l3match","data":'
        b'{"sequence":"1545896669145","type":"match","symbol":"BTC-USDT","side":"buy","price":'
        b'"0.082","size":"0.0102","tradeId":"5c24","time":"1619378326123456789"}}',
    ),
    "bitstamp": (
        "live_trades_{symbol}",
        "{when: {event: trade, channel: live_trades_*}, row: data, symbol: {path: $.channel, "
        'within: "live_trades_{symbol}"}, time: {path: microtimestamp, unit: us}, '
        "price: price_str, size: amount_str, side: {path: type, buy: 0, sell: 1}, id: id}",
        b'{"data":{"id":228236962,"timestamp":"1641343703","amount":0.1,"amount_str":"0.10",'
        b'"price":3800.12,"price_str":"3800.12","type":0,"microtimestamp":"1641343703123000"},'
        b'"channel":"live_trades_ethusd","event":"trade"}',
    ),
    "coinbase": (
        "matches:{symbol}",
        "{when: {type: [match, last_match]}, symbol: product_id, time: {path: time, unit: iso}, "
        "price: price, size: size, side: {path: side, buy: sell, sell: buy}, sequence: trade_id}",
        b'{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66","taker_order_id":'
        b'"132fb6ae","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512",'
        b'"price":"400.23","side":"sell"}',
    ),
}


def cost(parse: Callable[[bytes], tuple[Event, ...]], frame: bytes) -> float:
    """Return the CPU time of one call, in microseconds."""
    best, calls = float("inf"), 40_000
    for _ in range(7):
        begun = time.process_time()
        for _ in range(calls):
            parse(frame)
        best = min(best, (time.process_time() - begun) / calls)
    return best * 1e6


def main() -> None:
    """Print a line for each venue."""
    for name, (topic, frame, sent) in CASES.items():
        text = _HEAD.format(name=name, topic=topic, frame=frame)
        defined, ours = definition.compiled(text, f"{name}.yml"), load(name)
        assert len(defined.parse(sent)) == len(ours.parse(sent)) == 1
        by_hand, by_definition = cost(ours.parse, sent), cost(defined.parse, sent)
        print(
            f"{name:10} by hand {by_hand:5.2f} µs, by definition {by_definition:5.2f} µs: "
            f"{by_definition / by_hand:.2f} times"
        )


if __name__ == "__main__":
    main()
