"""`check`: mistakes as a list, or what the config will cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import config as settings
from exporter import venues
from exporter.__main__ import main
from exporter.cli import _estimate as estimate
from exporter.cli import demo
from exporter.cli._columns import aligned
from exporter.cli._requests import requests_of
from exporter.cli.check import report
from exporter.config import load
from exporter.metrics.families import all_families
from exporter.simulator import venues as simulated
from tests.config.fakes import VENUES, load_text

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "file", [EXAMPLES / "minimal.yml", EXAMPLES / "full.yml"], ids=lambda file: file.stem
)
def test_examples_are_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What we show is accepted, on standard output, with status 0."""
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{file} is valid: config hash ")
    assert err == ""


def test_the_demo_is_good() -> None:
    """Its exchanges share limits with room to spare, once a second for Kraken among them."""
    places = dict.fromkeys(simulated.names(), "http://127.0.0.1:9000")
    config = settings.read(demo.document(places), "demo", venues.choices(), venues.load)
    assert [line for line in report("demo", config) if "warning" in line] == []


def test_mistakes_are_listed_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every mistake a line, then their number; status 1."""
    file = tmp_path / "c.yml"
    file.write_text("exchanges:\n  - {venue: binance, symbol: []}\nprobes: {interval: 5}\n")
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr() == (
        "",
        f'{file}:2: exchanges[0].symbol: found an unknown key; did you mean "symbols"?\n'
        f"{file}:3: probes.interval: found 5, expected a duration from 100ms to 1d; "
        'did you mean "5s"?\n'
        "2 mistakes\n",
    )


def test_an_unreadable_file_is_no_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 tells a script that nothing was checked."""
    assert main(["check", str(tmp_path / "none.yml")]) == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/none.yml: cannot be read: No such file or directory\n"
    )


def test_columns_are_aligned() -> None:
    """Words to the left, numbers to the right."""
    assert aligned([["name", "n"], ["a", "100"]], numbers=1) == ["name    n", "a     100"]


def test_load_counts_what_the_config_comes_to() -> None:
    """Three channels of two symbols, over three routes of two topics each."""
    config = load_text("exchanges: [{venue: binance, symbols: [BTC-USDT, ETH-USDT]}]")
    load = estimate.load_of(config.exchanges[0], VENUES["binance"], config)
    assert (load.endpoints, load.streams, load.connections) == (3, 1, 3)
    assert (load.subscriptions, load.channels, load.symbols, load.books) == (6, 3, 2, 0)
    assert load.probes_per_second == pytest.approx(0.1 + 0.1 + 1 / 30)


def test_weight_is_held_against_share() -> None:
    """Per window of each limit: 6 + 2 * 6 + 2 a minute, five times that in five minutes."""
    config = load_text("exchanges: [{venue: binance, symbols: [BTC-USDT]}]")
    minute, five = estimate.weights(config.exchanges[0], VENUES["binance"], config)
    assert (minute.used, minute.allowed, minute.whole) == pytest.approx((20.0, 600.0, 6000))
    assert (five.used, five.allowed, five.window) == pytest.approx((100.0, 50.0, 300.0))


def test_perpetuals_are_counted_where_they_are_watched() -> None:
    """Eight series each; two lists of 10 and 1 every half minute, one posted every minute."""

    def cost(venue: str, keys: str) -> tuple[int, dict[str, float]]:
        text = f"exchanges: [{{venue: {venue}, symbols: [BTC-USDC, ETH-USDC], {keys}}}]"
        config = settings.read(text, "test", venues.names(), venues.load)
        (one,), there = config.exchanges, venues.load(venue)
        load = estimate.load_of(one, there, config)
        asked = {
            each.what: each.weight
            for each in requests_of(one, there, config)
            if each.what.startswith("perpetuals")
        }
        return estimate.series_of(load, one, config), asked

    off, none = cost("binance_futures", "streams: []")
    on, asked = cost("binance_futures", "streams: [], perpetuals: {watch: true}")
    assert (on - off, none) == (16, {})
    parts = {"perpetuals, premiumIndex": 1 / 3, "perpetuals, fundingInfo": 1 / 30}
    assert asked == pytest.approx(parts)
    _, asked = cost("hyperliquid", "perpetuals: {watch: true, interval: 1m}")
    assert asked == pytest.approx({"perpetuals, info": 1 / 3})


def test_a_budget_too_small_and_too_many_series_are_warned_of(tmp_path: Path) -> None:
    """The config is good, and still says what will be skipped and refused."""
    file = tmp_path / "c.yml"
    file.write_text(
        "exchanges: [{venue: binance, streams: [], limits: {weight: 20}}]\n"
        "metrics: {series_limit: 100}\n"
    )
    lines = report(str(file), load(file, venues.names(), venues.load))
    warned = [line for line in lines if line.startswith("warning: ")]
    assert warned[0].startswith("warning: binance: probes would use ")
    assert warned[-1].endswith(
        "series, and metrics.series_limit is 100; those beyond it will be refused"
    )


def test_books_that_begin_late_are_warned_of(tmp_path: Path) -> None:
    """100 snapshots of weight 50 in 80 % of 600 a minute: some ten minutes, said beforehand."""
    file = tmp_path / "c.yml"
    names = ", ".join(f"A{number}-USDT" for number in range(100))
    file.write_text(f"exchanges: [{{venue: binance, symbols: [{names}]}}]\n")
    lines = report(str(file), load(file, venues.names(), venues.load))
    (warned,) = [line for line in lines if "order books take" in line]
    assert warned.startswith("warning: binance: 100 order books take about 9 minutes to start")
    file.write_text("exchanges: [{venue: okx, symbols: [A-USDT, B-USDT]}]\n")
    lines = report(str(file), load(file, venues.names(), venues.load))
    assert not [line for line in lines if "order books" in line]


def test_the_contract_on_cardinality_holds() -> None:
    """10 venues, 20 endpoints, 20 streams, 50 venue-symbols: about 6,000 series, by estimate.

    What came later (local_resource, region_refused, unreachable, reset, closed, redirect and
    bare_line_feed, the skips banned and queue_full, the end of chains, streams that lack means of
    ours, series of our own) cost 240. 50 books have nine series each.
    """
    rows = "".join(
        f"  - {{name: e{n}, venue: binance, symbols: [A-B, C-D, E-F, G-H, I-J],\n"
        "     endpoints: [{name: ping}, {name: time}],\n"
        "     streams: [{name: a, channels: [trades, quotes]}, {name: b, channels: [book]}]}\n"
        for n in range(10)
    )
    config = load_text(f"exchanges:\n{rows}")
    binance = venues.load("binance")  # the made venue of these tests builds no books
    loads = [estimate.load_of(each, binance, config) for each in config.exchanges]
    pairs = zip(loads, config.exchanges, strict=True)
    total = sum(estimate.series_of(load, each, config) for load, each in pairs)
    assert 3000 < total + estimate.series_shared(5, config) <= 6700


def test_every_label_of_every_family_is_counted() -> None:
    """A new family cannot slip past the estimate: its labels have a known number of values."""
    for family in all_families():
        for label in family.labels:
            assert estimate.values(family, label) >= 1


def test_the_spread_over_shards_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each shard's exchanges by name, as `run --shard` will watch them; idle ones are warned of."""
    assert main(["check", str(EXAMPLES / "full.yml"), "--shards=4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["shard", "exchanges", "endpoints", "subscriptions"]
    shown = {line.split(": ")[0]: line.split(": ")[1] for line in lines[6:10]}
    named = sorted(name for names in shown.values() for name in names.split(", "))
    assert list(shown) == ["0/4", "1/4", "2/4", "3/4"]
    assert named == ["binance-tokyo", "bybit", "nothing", "okx"]
    assert lines[-1] == "warning: 1 of 4 shards would have nothing to do"


def test_the_spread_of_endpoints_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Endpoints that may part are named behind their exchange, and are counted where they are."""
    endpoints = ", ".join(f"{{name: e{number}, path: /{number}}}" for number in range(6))
    exchange = f"venue: okx, streams: [], spread_endpoints: true, endpoints: [{endpoints}]"
    file = tmp_path / "c.yml"
    file.write_text(f"exchanges: [{{{exchange}}}]\n")
    assert main(["check", str(file), "--shards=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split(": ")[1].split(", ") for line in lines[5:8]]
    assert sorted(unit for each in shown for unit in each) == [
        "okx",
        *(f"okx/e{number}" for number in range(6)),
    ]
    counted = [int(line.split()[2]) for line in lines[1:4]]
    assert counted == [sum("/" in unit for unit in each) for each in shown]


def test_large_allowances_are_not_powers_of_ten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Binance leaves probes 30,000 requests in five minutes: nobody reads 3e+04."""
    file = tmp_path / "c.yml"
    file.write_text("exchanges: [{venue: binance, symbols: [BTC-USDT]}]\n")
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "30000 per 5m" in said
    assert "e+0" not in said
