"""TradingGates over a running exchange: what closes them, what they say, who hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import itertools
import json
import re
import signal
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exporter import config as settings
from exporter import venues
from exporter.__main__ import main
from exporter.clock import SystemClock
from exporter.gates.gates import WATCHERS, TradingGates
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from tests.conftest import ROOT
from tests.live import programs
from tests.live.conftest import SYMBOLS, World, config
from tests.live.worlds import NO_LIMITS, simulated, watched

EXCHANGE = "exchanges: [{venue: binance, symbols: [BTC-USDT]}, {venue: kraken, streams: []}]\n"
GATES = """\
gates:
- {name: mm, exchanges: [okx], needs: [probe, feed, book, clock, mode], open_after: 2s}
- {name: quotes, exchanges: [kraken], needs: [feed], open_after: 1s, valid_for: 2s}
"""


def _read(text: str, exchanges: str = EXCHANGE) -> settings.Config:
    return settings.read(exchanges + text, "t.yml", venues.choices(), venues.load)


@pytest.mark.parametrize(
    ("gate", "wrong"),
    [
        ("{name: a, exchanges: [binanse]}", 'exchanges[0]: found "binanse"'),
        ("{name: a, exchanges: [binance], symbols: [ETH-USDT]}", 'symbols[0]: found "ETH-USDT"'),
        ("{name: a, exchanges: [kraken]}", "needs: found feed, but kraken has no streams"),
        ("{name: a, exchanges: [kraken], needs: [book]}", "needs: found book, but kraken"),
        ("{name: a, exchanges: [binance], needs: []}", "needs: found 0 items"),
        ("{name: a, exchanges: [kraken], needs: [clock]}", "needs: found clock, but no endpoint"),
        ("{name: a, exchanges: []}", "exchanges: found 0 items"),
    ],
)
def test_a_gate_that_could_never_open_is_refused(gate: str, wrong: str) -> None:
    """What is not watched cannot be well: said when the config is read, with the place."""
    with pytest.raises(settings.ConfigError) as refused:
        _read(f"gates: [{gate}]")
    assert f"gates[0].{wrong}" in str(refused.value)


def test_the_command_does_not_repeat_a_login(capsys: pytest.CaptureFixture[str]) -> None:
    """An exporter that does not answer is named by its address, without the password."""
    assert main(["gate", "explain", "--url=http://user:pa55word@127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "127.0.0.1:9" in said
    assert "pa55word" not in said


def test_a_gate_of_what_is_not_watched_here_is_closed() -> None:
    """Of an exchange that another shard watches nothing is known: closed, and it says so."""
    gates = TradingGates(Registry(), SystemClock(), lambda: ())
    gates.follow(_read("gates: [{name: a, exchanges: [binance], open_after: 0s}]").gates)
    gates.update()
    found = gates.one("a")
    assert not found["quote"]
    assert "not watched by this process" in json.dumps(found["reasons"])
    with pytest.raises(LookupError, match="there are a"):
        gates.one("b")


def test_what_tells_the_time_is_a_clock_whoever_says_so() -> None:
    """An endpoint whose `clock` the config gives is enough for a gate that needs one."""
    service = "{name: time, path: /time, clock: {path: serverTime}}"
    gate = "gates: [{name: a, exchanges: [acme], needs: [clock]}]"
    one = f"{{venue: http, name: acme, rest_url: 'http://a', endpoints: [{service}]}}"
    read = _read(gate, f"exchanges: [{one}]\n")
    assert read.gates[0].needs == ("clock",)


def test_a_reload_leaves_the_gates_alone_that_it_does_not_change() -> None:
    """They keep what was decided and counted; one that changes, or goes, begins anew or ends."""
    registry = Registry()
    gates = TradingGates(registry, SystemClock(), lambda: ())

    def follow(*texts: str) -> str:
        listed = ", ".join(f"{{{text}, exchanges: [binance], open_after: 0s}}" for text in texts)
        gates.follow(_read(f"gates: [{listed}]").gates)
        gates.update()
        return b"".join(asyncio.run(Exposition(registry, process=False).render(False))).decode()

    follow("name: a", "name: b")
    since = gates.one("a")["since"]
    page = follow("name: c", "name: b, needs: [probe]", "name: a")
    assert gates.one("a")["since"] == pytest.approx(since)
    assert [each["name"] for each in gates.all()] == ["c", "b", "a"]
    assert 'exchange_gate_open{gate="c"} 0' in page
    assert 'gate="b",reason="feed"' not in page
    page = follow("name: a")
    assert 'gate="c"' not in page
    assert 'exchange_gate_open{gate="a"} 0' in page


def test_watchers_are_bounded_and_let_go() -> None:
    """So many may follow gates and no more; who leaves makes room; a gate that goes ends them."""

    async def watching() -> None:
        gates = TradingGates(Registry(), SystemClock(), lambda: ())
        gates.follow(_read("gates: [{name: a, exchanges: [binance]}]").gates)
        open_ones = [gates.watch("a") for _ in range(WATCHERS)]
        for each in open_ones:
            await anext(each)
        assert not gates.room
        await open_ones[0].aclose()
        assert gates.room
        gates.follow(())
        for each in open_ones[1:]:
            with suppress(StopAsyncIteration):
                await anext(each)
                pytest.fail("goes on although the gate is gone")
        assert gates.all() == []

    asyncio.run(asyncio.wait_for(watching(), 20))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a simulator and an exporter with gates."""
    folder: Path = tmp_path_factory.mktemp("gates")
    venues_ = "--venues=okx,kraken"

    def text(there: dict[str, str]) -> str:
        return config(there, GATES).replace(SYMBOLS, "[BTC-USDT]")

    with (
        simulated(folder, text, venues_, "--symbols=BTC-USDT", "--rate=5", NO_LIMITS) as pieces,
        watched(*pieces) as found,
    ):
        yield found


def _gate(world: World, name: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"{world.url}/api/v1/gates/{name}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _opens(world: World, name: str) -> None:
    programs.eventually(lambda: _gate(world, name)[0] == 200, f"{name} opens", within=60)


@pytest.mark.live
@pytest.mark.xdist_group("gates")
def test_a_fault_closes_it_and_its_end_opens_it_again(world: World) -> None:
    """200 while all is well; 503 with the reason in words; open again; metrics agree."""
    _opens(world, "mm")
    status, found = _gate(world, "mm")
    assert (status, found["quote"], found["cancel"], found["reasons"]) == (200, True, True, [])
    world.inject(fault="error", venue="okx", status=503, for_="5s")
    programs.eventually(lambda: _gate(world, "mm")[0] == 503, "closes", within=30)
    _, found = _gate(world, "mm")
    assert not found["cancel"]
    assert "last probe failed: http_5xx" in json.dumps(found["reasons"])
    assert _gate(world, "quotes")[0] == 200
    _opens(world, "mm")
    page = programs.get(f"{world.url}/metrics")
    assert 'exchange_gate_open{gate="mm"} 1' in page
    assert 'exchange_gate_changes_total{gate="mm"} 3' in page
    (closed,) = re.findall(
        r'^exchange_gate_closed_seconds_total\{gate="mm",reason="probe"\} (\S+)', page, re.MULTILINE
    )
    assert float(closed) > 0
    assert _gate(world, "other")[0] == 404


@pytest.mark.live
@pytest.mark.xdist_group("gates")
def test_the_command_explains_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exit status is the gate's, its words the API's; a gate that is not there is named."""
    _opens(world, "mm")
    assert main(["gate", "explain", "mm", f"--url={world.url}"]) == 0
    assert capsys.readouterr().out.startswith("mm: open since 20")
    world.inject(fault="error", venue="okx", status=503, for_="5s")
    programs.eventually(lambda: _gate(world, "mm")[0] == 503, "closes", within=30)
    assert main(["gate", "explain", f"--url={world.url}"]) == 1
    assert "last probe failed: http_5xx" in capsys.readouterr().out
    assert main(["gate", "explain", "nobody", f"--url={world.url}"]) == 2
    assert "there are mm, quotes" in capsys.readouterr().err


@pytest.mark.live
@pytest.mark.xdist_group("gates")
def test_the_example_never_goes_on_with_a_dead_exporter(world: World) -> None:
    """It knows an open gate; killed, the exporter's last word holds for `valid_for` and no more."""
    client = _example().Gate(world.url, "quotes", retry=0.2)
    programs.eventually(lambda: client.quote and client.cancel, "the client hears", within=60)
    with contextlib.ExitStack() as frozen:
        world.exporter.popen.send_signal(signal.SIGSTOP)
        frozen.callback(world.exporter.popen.send_signal, signal.SIGCONT)
        programs.eventually(lambda: not client.quote, "an exporter that hangs is no yes", within=20)
        assert not client.cancel
    client.close()


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("gate", ROOT / "examples/gate/gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_for_ccxt_holds_up_orders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the gate is closed no order is sent or changed, and cancelling goes through."""
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    with_ccxt = importlib.import_module("with_ccxt")
    exchange, sent = ccxt.binance(), list[str]()
    exchange.create_order = lambda *_: sent.append("order")
    exchange.create_orders = exchange.edit_order = exchange.create_order
    exchange.cancel_order = lambda *_: sent.append("cancel")
    gate = types.SimpleNamespace(quote=False, reasons="down")
    gated = with_ccxt.gated(exchange, gate)
    for send in (
        gated.create_order, gated.createOrder, gated.create_limit_buy_order, gated.create_orders,
        gated.edit_order, gated.editOrder,
    ):  # fmt: skip
        with pytest.raises(ccxt.ExchangeNotAvailable, match="down"):
            send("BTC/USDT", 1, 1)
    gated.cancel_order("1")
    gate.quote = True
    gated.create_order("BTC/USDT", "limit", "buy", 1, 1)
    assert sent == ["cancel", "order"]


def test_the_example_for_freqtrade_confirms_by_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is confirmed while the gate is open, and never before anything was heard."""
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    strategy = importlib.import_module("with_freqtrade").Gated()
    strategy.gate_url = "http://127.0.0.1:9"
    assert not strategy.confirm_trade_entry("BTC/USDT", "limit", 1.0, 60000.0)
    strategy._gate.close()
    for quote in (True, False):
        strategy._gate = types.SimpleNamespace(quote=quote)
        assert strategy.confirm_trade_entry("BTC/USDT", "limit", 1.0, 60000.0) is quote


class _Script:
    """What a hummingbot script or a nautilus strategy inherits, as far as the examples call it."""

    log = types.SimpleNamespace(warning=lambda text: None)

    def __init__(self) -> None:
        self.sent: list[str] = []

    def submit_order(self, order: str) -> None:
        self.sent.append(order)

    def buy(self, *_: object) -> str:
        self.sent.append("buy")
        return "b1"

    def sell(self, *_: object) -> str:
        self.sent.append("sell")
        return "s1"


def test_the_example_for_hummingbot_holds_up_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """No order leaves while the gate is closed, nor before anything was heard of it."""
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    gated = importlib.import_module("with_hummingbot").Gated
    base: Any = _Script
    with suppress(ImportError):
        base = importlib.import_module("hummingbot.strategy.script_strategy_base")
        assert {"buy", "sell", "cancel"} <= vars(base.ScriptStrategyBase).keys()
    script = type("Mine", (gated, _Script), {"gate_url": "http://127.0.0.1:9"})()
    assert (script.buy("binance", "BTC-USDT", 1), script.sell("binance", "BTC-USDT", 1)) == ("", "")
    script._gate.close()
    script._gate = types.SimpleNamespace(quote=True)
    assert (script.buy("binance", "BTC-USDT", 1), script.sell("binance", "BTC-USDT", 1)) == (
        "b1",
        "s1",
    )
    assert script.sent == ["buy", "sell"]


def test_the_example_for_nautilus_submits_by_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy of the real package submits nothing while the gate is closed, and then does."""
    trading = pytest.importorskip("nautilus_trader.trading.strategy", reason="not installed")
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    gated = importlib.import_module("with_nautilus").Gated
    said: list[str] = []

    mine_type: Any = type("Mine", (gated, trading.Strategy), {"gate_url": "http://127.0.0.1:9"})
    mine = mine_type()
    log = types.SimpleNamespace(warning=said.append)
    monkeypatch.setattr(mine_type, "log", log, raising=False)
    mine.submit_order(None)
    mine._gate.close()
    assert said
    mine._gate = types.SimpleNamespace(quote=True)
    # The strategy's own check refuses what is no order: the call has gone through to it.
    with pytest.raises((TypeError, ValueError, AttributeError)):
        mine.submit_order("no order")
    with pytest.raises((TypeError, ValueError, AttributeError)):
        mine.submit_order_list("no list")


def _submits(mine: Any) -> bool:
    before = len(mine.sent)
    mine.submit_order("an order")
    return len(mine.sent) > before


ADAPTERS: dict[str, Callable[[Any], bool]] = {
    "with_freqtrade": lambda mine: mine.confirm_trade_entry("BTC/USDT", "limit", 1.0, 1.0),
    "with_hummingbot": lambda mine: bool(mine.buy("kraken", "BTC-USDT", 1)),
    "with_nautilus": lambda mine: _submits(mine),
}


@pytest.mark.live
@pytest.mark.xdist_group("gates")
@pytest.mark.parametrize("name", ADAPTERS)
def test_no_adapter_goes_on_with_a_dead_exporter(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each lets orders through while the gate is open, and none once its last word has run out."""
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    gated, ask = importlib.import_module(name).Gated, ADAPTERS[name]
    mine = type("Mine", (gated, _Script), {"gate_url": world.url, "gate_name": "quotes"})()
    programs.eventually(lambda: ask(mine), f"{name} trades", within=60)
    with contextlib.ExitStack() as frozen:
        world.exporter.popen.send_signal(signal.SIGSTOP)
        frozen.callback(world.exporter.popen.send_signal, signal.SIGCONT)
        programs.eventually(lambda: not ask(mine), f"{name} refuses", within=20)
    mine._gate.close()


@pytest.mark.live
@pytest.mark.xdist_group("gates")
def test_ccxt_sends_nothing_with_a_dead_exporter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the others: orders pass while the gate is open, and none once its word has run out."""
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "examples/gate"))
    exchange, gate = ccxt.binance(), _example().Gate(world.url, "quotes", retry=0.2)
    exchange.create_order = lambda *_: "sent"
    gated = importlib.import_module("with_ccxt").gated(exchange, gate)

    def sends() -> bool:
        try:
            return bool(gated.create_order("BTC/USDT", "limit", "buy", 1, 1) == "sent")
        except ccxt.ExchangeNotAvailable:
            return False

    programs.eventually(sends, "it trades", within=60)
    with contextlib.ExitStack() as frozen:
        world.exporter.popen.send_signal(signal.SIGSTOP)
        frozen.callback(world.exporter.popen.send_signal, signal.SIGCONT)
        programs.eventually(lambda: not sends(), "it refuses", within=20)
    gate.close()


@pytest.mark.live
@pytest.mark.xdist_group("gates")
def test_who_watches_hears_of_a_change_and_is_told_again_in_time(world: World) -> None:
    """Events come before the one before has run out; a change comes at once."""
    _opens(world, "quotes")
    with urllib.request.urlopen(f"{world.url}/api/v1/gates/quotes?watch", timeout=10) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        told = (json.loads(line[6:]) for line in stream if line.startswith(b"data: "))
        seen = list(itertools.islice(told, 3))
        for before, after in itertools.pairwise(seen):
            assert float(str(after["valid_until"])) > float(str(before["valid_until"]))
        world.inject(fault="disconnect", venue="kraken", code=1006)
        # It is connected again before anybody looks, perhaps: that closes the gate all the same.
        assert not all(each["quote"] for each in itertools.islice(told, 20))
