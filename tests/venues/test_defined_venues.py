"""The venues that are defined in YAML: what was documented of them becomes the events it means."""

from __future__ import annotations

import pytest

from exporter.model import Ack, Control, Depth, Event, Message, Quote, Side, Trade
from exporter.venues import load

DOCUMENTED: dict[str, list[tuple[str, Event]]] = {
    "gate": [
        (
            '{"time":1619093543,"channel":"spot.trades","event":"update","result":{"id":816995772,'
            '"create_time":1619093543,"create_time_ms":"1619093543708.2642","side":"sell",'
            '"currency_pair":"DIS_USDT","amount":"0.2010000000","price":"121.5800000000"}}',
            Trade("spot.trades", "spot.trades:DIS_USDT", "DIS_USDT", 1619093543.7082642, 121.58,
                  0.201, Side.SELL, 816995772),
        ),
        (
            '{"time":1619093532,"channel":"spot.trades","event":"subscribe","error":{"code":2,'
            '"message":"unknown currency pair XXX"},"id":4,"result":null}',
            Ack("error", ok=False, request=4, reason="unknown currency pair XXX"),
        ),
    ],
    "deribit": [
        (
            '{"jsonrpc":"2.0","method":"subscription","params":{"channel":'
            '"trades.BTC-PERPETUAL.100ms","data":[{"timestamp":1765531356452,"price":92294.5,'
            '"amount":10.0,"direction":"sell","instrument_name":"BTC-PERPETUAL",'
            '"trade_seq":271252854,"trade_id":"403691824"}]}}',
            Trade("trades", "trades.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", 1765531356.452, 92294.5,
                  10.0, Side.SELL, 271252854),
        ),
        (
            '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}',
            Control("test_request",
                    reply='{"jsonrpc":"2.0","id":1000001,"method":"public/test","params":{}}'),
        ),
    ],
    "hyperliquid": [
        (
            '{"channel":"bbo","data":{"coin":"@162","time":1750948919838,"bbo":[{"px":"0.97925",'
            '"sz":"4144.6","n":1},{"px":"0.97934","sz":"50.0","n":1}]}}',
            Quote("bbo", "bbo:@162", "@162", 1750948919.838, 0.97925, 0.97934, 4144.6, 50.0),
        ),
        (
            '{"channel":"bbo","data":{"coin":"@162","time":1750948919838,"bbo":[null,'
            '{"px":"0.97934","sz":"50.0","n":1}]}}',
            Message("bbo", "bbo:@162", "@162", 1750948919.838),
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_frames_are_understood(name: str) -> None:
    """What the venues' documentation and clients show becomes the events that it means."""
    venue = load(name)
    for frame, event in DOCUMENTED[name]:
        assert venue.parse(frame.encode()) == (event,)


def test_a_row_may_say_whether_it_is_the_whole_book() -> None:
    """Deribit's first frame of a book begins it, and each later one names the one before."""
    venue = load("deribit")
    frame = (
        '{"method":"subscription","params":{"channel":"book.X.100ms","data":{"type":"%s",'
        '"instrument_name":"X","timestamp":1699999999000,"change_id":%d%s,"bids":[["new",42500.0,'
        '1000.0]],"asks":[["delete",42501.0,0.0]]}}}'
    )
    whole = venue.parse((frame % ("snapshot", 8, "")).encode())[0]
    change = venue.parse((frame % ("change", 9, ',"prev_change_id":8')).encode())[0]
    assert isinstance(whole, Depth)
    assert isinstance(change, Depth)
    assert (whole.snapshot, whole.last, whole.previous) == (True, 8, None)
    assert (change.snapshot, change.last, change.previous) == (False, 9, 8)
    assert venue.book is not None
    assert venue.book.levels(change) == ([(42500.0, 1000.0)], [(42501.0, 0.0)])
