"""What venues push of their markets counts at once, before any list or status is asked again."""

from __future__ import annotations

import asyncio

import pytest

from exporter import venues
from exporter.clock import SystemClock
from exporter.gates.facts import Moment, Wanted, of_exchange
from exporter.listing import ListedMarket
from exporter.maintenance import EVERYTHING, TradingMode, WatchedMarkets
from exporter.model import Control, Event, Need
from tests.runtime.running import Running, running, wait_metrics

KEYS = (
    "limits: {share: 100%}, instruments: {watch: true, interval: 1h}, "
    "streams: [{channels: [trades]}], status_page: false"
)
SYMBOLS = {"binance_coinm": "BTC-USD"}
# The lists fail from now on, so that nothing but a stream can tell.
LISTS = {
    "binance_futures": "/fapi/v1/exchangeInfo",
    "binance_coinm": "/dapi/v1/exchangeInfo",
    "okx": "/api/v5/public/instruments",
    "coinbase": "/products",
    "kraken": "/0/public/AssetPairs",
}


def closed(program: Running, name: str, symbol: str) -> list[str]:
    """Return what a gate has against a market's mode."""
    clock = SystemClock()
    wanted = Wanted(needs=frozenset({Need.MODE}), symbols=frozenset({symbol}), clock_offset=1.0)
    now = Moment(clock.wall(), clock.monotonic())
    return [each.why for each in of_exchange(program.exchange(name), wanted, now) if not each.good]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("binance_futures", "cancel_only"),
        ("binance_coinm", "cancel_only"),
        ("okx", "halted"),  # it calls that suspended
        ("coinbase", "cancel_only"),
        ("kraken", "cancel_only"),
    ],
)
def test_a_restriction_reaches_metric_and_gate_by_the_frame_alone(name: str, shown: str) -> None:
    """And so does its end; the list of markets is answered with errors all the while."""

    async def test() -> None:
        symbol = SYMBOLS.get(name, "BTC-USDT")
        keys = f"endpoints: [], {KEYS}"
        async with running((name,), exchange=keys, listed=(symbol,), symbols=symbol) as program:
            await program.exchange(name).states.refresh()
            mode = f'exchange_market_mode{{exchange="{name}",symbol="{symbol}",mode='
            up = f'exchange_market_stream_connected{{exchange="{name}"}}'
            page = await wait_metrics(program, lambda seen: seen[up] == 1)
            assert page[f'{mode}"trading"}}'] == 1
            assert closed(program, name, symbol) == []
            program.simulator.inject({"fault": "error", "venue": name, "endpoint": LISTS[name]})
            heard = program.simulator.desks[name].sessions
            await wait_metrics(program, lambda seen: any(each.heard_of for each in heard))
            number = program.simulator.inject({"fault": "cancel_only", "symbol": symbol})
            page = await wait_metrics(program, lambda seen: f'{mode}"{shown}"}}' in seen)
            assert f'{mode}"trading"}}' not in page
            (why,) = closed(program, name, symbol)
            assert "trading in it is restricted" in why
            program.simulator.clear(number)
            await wait_metrics(program, lambda seen: f'{mode}"trading"}}' in seen)
            assert closed(program, name, symbol) == []
            unreadable = f'exchange_market_stream_unreadable_total{{exchange="{name}"}}'
            assert (await program.metrics())[unreadable] == 0

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_a_maintenance_closes_gates_by_the_frame_alone() -> None:
    """Bybit says on a stream what its status endpoint says, which is not asked here."""

    async def test() -> None:
        keys = f"endpoints: [{{name: time}}], {KEYS}"
        async with running(("bybit",), exchange=keys) as program:
            await program.exchange("bybit").states.refresh()
            up = 'exchange_market_stream_connected{exchange="bybit"}'
            await wait_metrics(program, lambda seen: seen[up] == 1)
            heard = program.simulator.desks["bybit"].sessions
            await wait_metrics(program, lambda seen: any(each.heard_of for each in heard))
            assert closed(program, "bybit", "BTC-USDT") == []
            number = program.simulator.inject({"fault": "maintenance", "title": "Engine"})
            active = 'exchange_maintenance_active{exchange="bybit",source="venue"}'
            await wait_metrics(program, lambda seen: seen[active] == 1)
            assert closed(program, "bybit", "BTC-USDT") != []
            program.simulator.clear(number)
            await wait_metrics(program, lambda seen: seen[active] == 0)
            assert closed(program, "bybit", "BTC-USDT") == []

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_lists_and_streams_are_joined() -> None:
    """A stream restricts at once and lifts what it began; the rest waits for the list."""

    async def test() -> None:
        keys = f"endpoints: [], {KEYS}"
        listed = ("BTC-USDT", "ETH-USDT")
        async with running(("binance_futures",), exchange=keys, listed=listed) as program:
            states = program.exchange("binance_futures").states
            await states.refresh()

            def said(mode: TradingMode, tick: float | None = None) -> ListedMarket:
                states.announced([ListedMarket("BTCUSDT", mode, tick=tick)])
                return states.states["BTC-USDT"].listed

            first = states.states["BTC-USDT"].listed
            assert said(TradingMode.TRADING, 7.0) == first  # it may round otherwise
            assert said(TradingMode.HALTED).mode is TradingMode.HALTED
            assert said(TradingMode.HALTED).tick == first.tick
            await states.refresh()  # a copy from before: it is asked again some seconds later
            assert states.states["BTC-USDT"].listed.mode is TradingMode.HALTED
            assert said(TradingMode.TRADING).mode is TradingMode.TRADING
            assert said(TradingMode.TRADING, 8.0).tick == first.tick  # the first that it says
            assert said(TradingMode.TRADING, 9.0).tick == 9.0
            program.simulator.inject({"fault": "delisted", "symbol": "BTC-USDT"})
            await states.refresh()
            assert await states.refresh()  # a list that says less is believed at once
            assert said(TradingMode.TRADING).mode is TradingMode.ABSENT

    asyncio.run(asyncio.wait_for(test(), 110.0))


def test_who_does_not_watch_or_has_no_streams_has_no_such_connection() -> None:
    """Neither a task nor a series nor a connection."""

    async def test() -> None:
        for keys in (
            "endpoints: [], streams: [{channels: [trades]}]",
            "endpoints: [{name: time}], streams: [], instruments: {watch: true}",
        ):
            async with running(("okx",), exchange=keys) as program:
                kinds = [kind for kind, _, _ in program.exchange("okx").tasks()]
                assert kinds.count("stream") == keys.count("trades")
                assert not [each for each in await program.metrics() if "market_stream" in each]

    asyncio.run(asyncio.wait_for(test(), 60.0))


def read(venue: str, *frames: bytes, watched: WatchedMarkets = EVERYTHING) -> list[Event]:
    """Read the frames of one connection of a venue's stream of states."""
    pushed = venues.load(venue).state_stream
    assert pushed is not None
    reader = pushed.begin(watched)
    return [event for frame in frames for event in reader(frame)]


def test_the_documented_frames_are_read() -> None:
    """As the venues' pages show them: symbol, state, tick, lot, ends."""
    (event,) = read(
        "binance_futures",
        b'{"stream":"!contractInfo","data":{"e":"contractInfo","E":1669356423908,"s":"IOTAUSDT",'
        b'"ps":"IOTAUSDT","ct":"PERPETUAL","dt":4133404800000,"ot":1569398400000,"cs":"SETTLING",'
        b'"bks":[{"bs":1,"bnf":0,"bnc":5000,"mmr":0.01,"cf":0,"mi":21,"ma":50}]}}',
    )
    assert isinstance(event, Control)
    halted = TradingMode.HALTED
    assert event.markets == (ListedMarket("IOTAUSDT", halted, "SETTLING", opening=1569398400.0),)
    (event,) = read(
        "kraken",
        b'{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[{"symbol":"BTC/USD",'
        b'"status":"post_only","price_increment":0.1,"qty_increment":1e-08}]}}',
    )
    assert isinstance(event, Control)
    post = TradingMode.POST_ONLY
    assert event.markets == (ListedMarket("BTC/USD", post, "post_only", 0.1, 1e-8),)
    (event,) = read(
        "coinbase",
        b'{"type":"status","currencies":[],"products":[{"id":"BTC-USD","base_increment":"0.01",'
        b'"quote_increment":"0.05","status":"online","limit_only":true,"cancel_only":false}]}',
    )
    assert isinstance(event, Control)
    limit = TradingMode.LIMIT_ONLY
    assert event.markets == (ListedMarket("BTC-USD", limit, "limit_only", 0.05, 0.01),)


def test_what_is_said_beside_is_read_as_on_other_streams() -> None:
    """Answers, pongs and refusals; and Bybit's end of what the connection never told is no news."""
    assert [each.label for each in read("okx", b"pong")] == ["pong"]
    ack = b'{"event":"subscribe","arg":{"channel":"instruments","instType":"SPOT"},"connId":"a"}'
    assert not any(isinstance(each, Control) and each.markets for each in read("okx", ack))
    window = (
        b'{"topic":"system.status","ts":1751858399649,"data":[{"id":"4d95","title":"t06",'
        b'"state":"%b","begin":"1751596902000","end":"1751597011000","href":"","serviceTypes":'
        b'[2,3,4,5],"product":[1,2],"uidSuffix":[],"maintainType":1,"env":1}]}'
    )
    over, begun, again = read(
        "bybit", window % b"completed", window % b"ongoing", window % b"completed"
    )
    assert isinstance(over, Control)
    assert over.maintenance is None
    assert isinstance(begun, Control)
    assert begun.maintenance is not None
    assert begun.maintenance.active
    assert isinstance(again, Control)
    assert again.maintenance is not None
    assert not again.maintenance.active
