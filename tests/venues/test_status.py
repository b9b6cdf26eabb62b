"""What venues say of themselves, matched with what is watched of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.maintenance import (
    EVERYTHING,
    Maintenance,
    Notice,
    NoticeKind,
    TradingMode,
    WatchedMarkets,
)
from exporter.model import Control
from exporter.venues import load

BEGIN, END = 1_751_596_902.0, 1_751_597_011.0
SPOT = WatchedMarkets(
    instruments=("BTC-USDT",),
    symbols=("BTCUSDT",),
    stream_url="wss://stream.bybit.com/v5/public/spot",
)
LINEAR = WatchedMarkets(
    instruments=("BTC-USDT",),
    symbols=("BTCUSDT",),
    stream_url="wss://stream.bybit.com/v5/public/linear",
)
PERPETUAL = WatchedMarkets(instruments=("BTC-USDT-PERP",), symbols=("BTCUSDT",))
OPTION = WatchedMarkets(instruments=("BTC-USD-261225-60000-C",), symbols=("BTC-25DEC26-60000-C",))


def said(venue: str, body: object, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
    """Read a status body as the venue's endpoint would."""
    (read,) = [each.status for each in load(venue).endpoints if each.status]
    return read(json.dumps(body).encode(), watched)


def bybit(watched: WatchedMarkets = SPOT, **more: object) -> Maintenance:
    """Read one window of Bybit, ongoing unless told otherwise."""
    row = {"id": "x", "title": "t", "state": "ongoing", "begin": "1751596902000",
           "end": "1751597011000", "serviceTypes": [1, 5], "product": [1, 2], "maintainType": 1,
           "env": 1, "href": "", **more}  # fmt: skip
    return said("bybit", {"retCode": 0, "result": {"list": [row]}}, watched)


@pytest.mark.parametrize(
    ("product", "watched", "ours"),
    [
        ([2], SPOT, True),
        ([1], SPOT, False),
        ([3], SPOT, False),
        ([4], SPOT, False),
        ([9], SPOT, False),  # a number that is not known silences nothing
        ([], SPOT, True),
        (None, SPOT, True),
        ([1], LINEAR, True),
        ([2], LINEAR, False),
        ([1], PERPETUAL, True),
        ([2], PERPETUAL, False),
        ([3], OPTION, True),
        ([1, 2], OPTION, False),
        ([3, 2], SPOT, True),
    ],
)
def test_bybit_maintenance_is_of_products(
    product: object, watched: WatchedMarkets, ours: bool
) -> None:
    """Maintenance of a product that is not watched is none, going on or announced."""
    assert bybit(watched, product=product).active is ours
    assert (bybit(watched, product=product, state="scheduled").start == BEGIN) is ours


def summed(found: Maintenance) -> Maintenance:
    """Leave out the notices one by one."""
    return replace(found, notices=())


def test_notices_one_by_one() -> None:
    """Each has its kind, its title and its times: what goes on, what is to come, what fails."""
    planned = {"kind": NoticeKind.MAINTENANCE, "title": "t", "start": BEGIN, "end": END}
    (failing,), (coming,), (going_on,) = (
        bybit(maintainType=3).notices, bybit(state="scheduled").notices, bybit().notices
    )  # fmt: skip
    assert going_on == coming == Notice(**planned)  # type: ignore[arg-type]  # mixed values
    assert failing == replace(going_on, kind=NoticeKind.INCIDENT)
    assert okx().notices == bybit().notices
    assert okx(state="completed").notices == ()


def test_bybit_services_incidents_and_states() -> None:
    """Private streams and order entry are not watched; an incident is what pages are for."""
    assert summed(bybit()) == Maintenance(active=True, end=END, title="t")
    assert not bybit(serviceTypes=[2, 3, 4]).active
    assert bybit(serviceTypes=[4, 5]).active
    assert bybit(serviceTypes=None, maintainType="2", env="1").active
    assert summed(bybit(maintainType=3)) == Maintenance(active=False, incident="t")
    assert summed(bybit(state="scheduled")) == Maintenance(active=False, start=BEGIN)
    assert bybit(state="postponed_in_2027") == Maintenance(active=False)
    assert bybit(env=2) == Maintenance(active=False)
    assert bybit(title=None, end="").end is None


def okx(symbol: str = "BTC-USDT", **more: object) -> Maintenance:
    """Read one window of OKX, ongoing unless told otherwise."""
    row = {"title": "t", "state": "ongoing", "begin": "1751596902000", "end": "1751597011000",
           "preOpenBegin": "", "href": "", "serviceType": "5", "system": "unified", "scheDesc": "",
           "maintType": "1", "env": "1", **more}  # fmt: skip
    return said("okx", {"code": "0", "data": [row]}, WatchedMarkets(symbols=(symbol,)))


def test_okx_states_services_and_disruptions() -> None:
    """Before it opens again it is still maintenance; bots and block trades are not ours."""
    assert okx() == okx(state="pre_open")
    assert summed(okx()) == Maintenance(active=True, end=END, title="t")
    assert summed(okx(state="scheduled")) == Maintenance(active=False, start=BEGIN)
    assert okx(state="canceled") == okx(state="completed") == okx(env="2")
    for service in ("6", "7", "10", "11", "99", "12"):
        assert not okx(serviceType=service).active
    for service in ("0", "5", "8", "9", ""):
        assert okx(serviceType=service).active
    assert summed(okx(maintType="3")) == Maintenance(active=False, incident="t")
    assert okx(maintType="2").active


@pytest.mark.parametrize(
    ("symbol", "service"),
    [("BTC-USDT", "1"), ("BTC-USD-261225", "2"), ("BTC-USDT-SWAP", "3"),
     ("BTC-USD-261225-60000-C", "4")],
)  # fmt: skip
def test_okx_older_answers_name_the_kind_of_contract(symbol: str, service: str) -> None:
    """Each kind is silenced by its own maintenance alone."""
    assert [one for one in "1234" if okx(symbol, serviceType=one).active] == [service]


def test_okx_asks_for_what_is_to_come_too() -> None:
    """The filter `state=ongoing` would hide announcements and the time before it opens."""
    (path,) = [each.path for each in load("okx").endpoints if each.status]
    assert "state=" not in path


def kraken(**result: object) -> Maintenance:
    """Read a state of Kraken, over REST and on the stream of v2: both mean the same."""
    over_rest = said("kraken", {"error": [], "result": {"timestamp": "", **result}})
    row = {"version": "2", "system": result["status"], **result}
    frame = json.dumps({"channel": "status", "type": "update", "data": [row]})
    (event,) = load("kraken").parse(frame.encode())
    assert isinstance(event, Control)
    assert event.maintenance == over_rest
    return over_rest


def test_kraken_announcements_and_emergencies() -> None:
    """What is to come has a start, an emergency a name; neither is maintenance."""
    upcoming = [
        {"event_id": 34, "title": "later", "expected_start_utc": "2026-05-14T02:00:00Z",
         "affected_services": ["spot_rest", "spot_ws"]},
        {"event_id": 21, "title": "soon", "expected_start_utc": "2026-05-11T09:00:00Z",
         "affected_services": ["all"]},
        {"title": "futures", "expected_start_utc": "2026-05-01T09:00:00Z",
         "affected_services": ["futures_ws", "futures_trading"]},
        {"title": None, "expected_start_utc": None, "affected_services": None},
        "not even a mapping",
    ]  # fmt: skip
    emergency = [
        {"name": "Trading halted for XRP"},
        {"title": "Futures halted", "affected_services": ["futures_trading"]},
    ]
    state = kraken(status="online", upcoming_maintenance=upcoming, emergency=emergency)
    assert [(each.kind, each.title, each.start) for each in state.notices] == [
        (NoticeKind.MAINTENANCE, "later", 1_778_724_000.0),
        (NoticeKind.MAINTENANCE, "soon", 1_778_490_000.0),
        (NoticeKind.MAINTENANCE, "?", None),
        (NoticeKind.INCIDENT, "Trading halted for XRP", None),
    ]
    assert summed(state) == Maintenance(
        active=False, title="online", mode=TradingMode.TRADING, start=1_778_490_000.0,
        incident="Trading halted for XRP",
    )  # fmt: skip
    none = kraken(status="maintenance", upcoming_maintenance=None, emergency=None)
    assert none == Maintenance(active=True, title="maintenance")
    new = kraken(status="a_mode_of_2027")  # which is no reason to trade
    assert new == Maintenance(active=False, title="a_mode_of_2027", mode=TradingMode.UNKNOWN)


@pytest.mark.parametrize("mode", ["cancel_only", "post_only", "limit_only"])
def test_kraken_modes_on_both_streams(mode: str) -> None:
    """The frozen protocol names the same modes."""
    assert kraken(status=mode).mode == mode
    (event,) = load("kraken_v1").parse(b'{"event":"systemStatus","status":"%s"}' % mode.encode())
    assert event == Control(
        "systemStatus",
        maintenance=Maintenance(active=False, title=mode, mode=TradingMode(mode)),
    )


def test_kucoin_and_binance() -> None:
    """Where only cancels are taken is no maintenance; a new word is unknown, a number nothing."""

    def kucoin(status: str) -> Maintenance:
        return said("kucoin", {"code": "200000", "data": {"status": status, "msg": None}})

    assert kucoin("open") == Maintenance(active=False, mode=TradingMode.TRADING)
    assert kucoin("cancelonly") == Maintenance(active=False, mode=TradingMode.CANCEL_ONLY)
    assert kucoin("close") == Maintenance(active=True)
    assert kucoin("postonly_in_2027") == Maintenance(active=False, mode=TradingMode.UNKNOWN)
    assert said("binance", {"status": 0, "msg": "normal"}).active is False
    assert said("binance", {"status": 1, "msg": None}).active is True
    assert said("binance", {"status": 2, "msg": "?"}).active is False


def coinbase(
    *rows: Mapping[str, object], watched: tuple[str, ...] = ("BTC-USD", "ETH-USD")
) -> object:
    """Read products of Coinbase; what a row leaves out is as usual."""
    usual = {"base_currency": "B", "quote_currency": "USD", "status": "online",
             "cancel_only": False, "post_only": False, "limit_only": False,
             "trading_disabled": False, "auction_mode": False}  # fmt: skip
    found = said("coinbase", [{**usual, **row} for row in rows], WatchedMarkets(symbols=watched))
    assert not found.active
    return (found.mode, found.title)


def test_coinbase_modes_are_of_products() -> None:
    """The most restricted of those that are watched counts; no product makes a maintenance."""
    good, other = {"id": "BTC-USD"}, {"id": "DOGE-USD", "cancel_only": True}
    assert coinbase(good, other) == ("trading", "")
    for key, mode in {
        "cancel_only": "cancel_only", "post_only": "post_only", "limit_only": "limit_only",
        "trading_disabled": "halted",
    }.items():  # fmt: skip
        assert coinbase(good, {"id": "ETH-USD", key: True}) == (mode, "ETH-USD")
    worst = {"id": "ETH-USD", "cancel_only": True, "limit_only": True, "post_only": None}
    assert coinbase({**good, "limit_only": True}, worst) == ("cancel_only", "BTC-USD, ETH-USD")
    assert coinbase({**good, "status": "delisted", "cancel_only": True}) == (None, "")
    assert coinbase(good, other, watched=()) == ("trading", "")
    assert coinbase(other, watched=()) == ("cancel_only", "")
