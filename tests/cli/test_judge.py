"""`check --online` as a judge: every fact of a healthy exchange, and which ones a fault changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from exporter import venues
from exporter.__main__ import main
from exporter.cli import _judge_rest as rest
from exporter.cli._facts import FactVerdict, Finding, Judged, block, mends
from exporter.doubt import Doubt, VenueLook
from exporter.model import Answer, Phase, Probed, Reason, Target
from exporter.simulator import Simulator
from exporter.simulator.venues import names

ALL_WELL = FactVerdict.AS_DOCUMENTED


def judged(
    folder: Path,
    wanted: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    faults: Sequence[Mapping[str, object]] = (),
    *flags: str,
    wait: str = "20s",
) -> tuple[int, str]:
    """Run the command on simulated exchanges; return its status and what it printed."""
    file = folder / "c.yml"

    def row(simulator: Simulator, name: str) -> str:
        path = urlsplit(venues.load(name).stream_urls[0]).path.rstrip("/")
        symbol = "BTC-USD" if name == "binance_coinm" else "BTC-USDT"
        return (
            f"  - {{venue: {name}, rest_url: '{simulator.rest_url(name)}', "
            f"stream_url: '{simulator.stream_url(name, path)}', symbols: [{symbol}]}}"
        )

    async def run() -> int:
        async with Simulator(
            venue_names=wanted, symbols=("BTC-USDT",), rate=20, own_ports=True
        ) as simulator:
            file.write_text("\n".join(["exchanges:", *(row(simulator, each) for each in wanted)]))
            for fault in faults:
                simulator.inject(fault)
            arguments = ["check", "--online", f"--wait={wait}", *flags, str(file)]
            return await asyncio.to_thread(main, arguments)

    status = asyncio.run(asyncio.wait_for(run(), 100.0))
    return status, capsys.readouterr().out


def facts(printed: str) -> dict[str, dict[str, Any]]:
    """Return the facts of each exchange by what they are about."""
    return {
        each["exchange"]: {fact["about"]: fact for fact in each["facts"]}
        for each in json.loads(printed)["exchanges"]
    }


def doubts(printed: str) -> dict[str, dict[str, Any]]:
    """Return what became of each doubt of each exchange."""
    return {
        each["exchange"]: {doubt["about"]: doubt for doubt in each["doubts"]}
        for each in json.loads(printed)["exchanges"]
    }


def test_a_healthy_exchange_does_all_that_its_venue_file_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every simulated one: way, endpoints, clock, headers, and each channel's ack and data."""
    status, printed = judged(tmp_path, names(), capsys, (), "--format=json")
    found = facts(printed)
    assert {(name, about, fact["seen"]) for name, own in found.items()
            for about, fact in own.items() if fact["verdict"] != ALL_WELL} == set()  # fmt: skip
    assert (status, json.loads(printed)["status"]) == (0, 0)
    for name, own in found.items():
        venue = venues.load(name)
        symbol = venue.symbol("BTC-USD" if name == "binance_coinm" else "BTC-USDT")
        assert {"resolve", "connect", "stream"} <= set(own), name
        for endpoint in venue.endpoints:
            assert not endpoint.default or f"REST {endpoint.name}" in own
        for channel in venue.topics:
            assert f"{channel} {symbol} data" in own
            assert (f"{channel} {symbol} ack" in own) == venue.acks
    assert found["binance"]["limit weight_1m"]["seen"].startswith("x-mbx-used-weight-1m: ")
    assert "s from ours" in found["okx"]["clock"]["seen"]
    settled = doubts(printed)
    for name in found:
        for doubt in venues.load(name).unsure:
            told = settled[name][f"unsure: {doubt}"]
            # Nobody lists dated contracts here, and a region's address is nobody's to simulate.
            looked = isinstance(doubt, Doubt) and doubt.look not in (
                VenueLook.SPELLING,
                VenueLook.REGIONS,
            )
            assert told["verdict"] == (ALL_WELL if looked else "not seen"), (name, told)


FAULTS = (
    {"fault": "clock_skew", "venue": "binance", "seconds": 30},
    {"fault": "ack_then_mute", "venue": "bybit", "channel": "trades"},
    {"fault": "reject_subscription", "venue": "okx", "channel": "book"},
    {"fault": "error", "venue": "coinbase", "status": 503, "endpoint": "/time"},
    {"fault": "malformed", "venue": "kraken", "probability": 1.0, "form": "truncated"},
    {"fault": "mute", "venue": "bitstamp"},
    {"fault": "refuse", "venue": "binance_futures"},
    {"fault": "garbage_body", "venue": "kucoin", "endpoint": "/api/v1/timestamp"},
    {"fault": "garbage_body", "venue": "kucoin", "endpoint": "/api/v1/market/orderbook/*"},
)
CHANGED = {
    ("binance", "clock"): ("different", "NTP"),
    ("bybit", "trades BTCUSDT data"): ("not seen", "wait longer"),
    ("okx", "book BTC-USDT ack"): ("different", "listed"),
    ("coinbase", "REST time"): ("different", "status page"),
    ("kraken", "frames"): ("different", "report it"),
    ("bitstamp", "trades btcusdt ack"): ("not seen", "report it"),
    ("bitstamp", "trades btcusdt data"): ("not seen", "wait longer"),
    ("bitstamp", "book btcusdt ack"): ("not seen", "report it"),
    ("bitstamp", "book btcusdt data"): ("not seen", "wait longer"),
    ("binance_futures", "connect"): ("not seen", "firewall"),
    ("binance_futures", "REST ping"): ("not seen", "firewall"),
    ("binance_futures", "REST time"): ("not seen", "firewall"),
    ("binance_futures", "limit weight_1m"): ("not seen", ""),
    ("binance_futures", "stream"): ("not seen", "firewall"),
    ("kucoin", "REST time"): ("different", "report it"),
}


def test_each_fault_changes_the_facts_that_it_is_about_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Different where the exchange answers otherwise, not seen where nothing came; and the mend."""
    wanted = sorted({str(fault["venue"]) for fault in FAULTS})
    status, printed = judged(tmp_path, wanted, capsys, FAULTS, "--format=json", wait="4s")
    changed = {
        (name, about): (fact["verdict"], fact["mend"])
        for name, own in facts(printed).items()
        for about, fact in own.items()
        if fact["verdict"] != ALL_WELL
    }
    assert changed.keys() == CHANGED.keys()
    for key, (verdict, mend) in CHANGED.items():
        assert changed[key][0] == verdict, key
        assert mend in changed[key][1], key
    assert status == 3
    refused = facts(printed)["okx"]["book BTC-USDT ack"]["seen"]
    assert "Wrong URL or channel:books" in refused, "the venue's own words"
    different = {
        (name, about[:30])
        for name, own in doubts(printed).items()
        for about, doubt in own.items()
        if doubt["verdict"] == "different"
    }
    assert different == {
        ("coinbase", "unsure: body of /time"),  # whose probe fails, as above
        ("kraken", "unsure: trade, ticker and ohlc"),  # likewise its frames
        ("kucoin", "unsure: the book snapshot carr"),
    }


def test_the_text_ends_in_what_to_mend_and_a_block_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of all facts; the block has versions, what differs, headers and frames."""
    fault = {"fault": "ack_then_mute", "venue": "kucoin", "channel": "trades"}
    status, printed = judged(tmp_path, ["kucoin"], capsys, [fault], wait="4s")
    lines = printed.splitlines()
    assert status == 3
    heads = [line for line in lines if line.startswith("exchange ") and " fact " in line]
    assert [line.split() for line in heads] == [["exchange", "fact", "verdict", "seen", "at"]]
    mend = lines[lines.index("to mend:") + 1]
    assert mend.startswith("  kucoin: trades BTC-USDT data: wait longer")
    start, end = (lines.index(f"----- {word} here -----") for word in ("paste from", "to"))
    pasted = "\n".join(lines[start:end])
    assert "exchange-exporter " in pasted
    assert "not seen: trades BTC-USDT data at ws://127.0.0.1:" in pasted
    assert "header gw-ratelimit-limit: 2000" in pasted
    assert 'frame {"id":"' in pasted
    assert "unsure: the book snapshot carries 100 levels a side" in pasted
    assert "as documented: 100 and 100 levels" in pasted
    assert "token=" not in printed


def test_a_config_with_mistakes_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A symbol that is not listed is told of at once, in JSON too, and no stream is opened."""
    file = tmp_path / "c.yml"

    async def run() -> int:
        async with Simulator(venue_names=["okx"]) as simulator:
            url = simulator.rest_url("okx")
            file.write_text(f"exchanges: [{{venue: okx, rest_url: '{url}', symbols: [NO-PE]}}]")
            status = await asyncio.to_thread(
                main, ["check", "--online", "--format=json", str(file)]
            )
            assert simulator.desks["okx"].events["streams_opened"] == 0
            return status

    assert asyncio.run(run()) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["exchanges"]) == (1, [])
    assert 'found "NO-PE"' in document["complaints"][0]


def probed(reason: Reason | None, answer: Answer | None = None) -> tuple[Target, Probed]:
    """Return what came of one request to an https address."""
    target = Target(
        exchange="acme", endpoint="time", url="https://acme.example/time", timeout=1.0,
        body_limit=10,
    )  # fmt: skip
    return target, Probed(exchange="acme", endpoint="time", time=1e9, duration=0.1, reason=reason,
                          answer=answer, detail="so it is")  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "way"),
    [
        (Reason.DNS, ["resolve"]),
        (Reason.CONNECT_TIMEOUT, ["resolve", "connect"]),
        (Reason.TLS, ["resolve", "connect", "tls"]),
        (Reason.CERT_EXPIRED, ["resolve", "connect", "tls"]),
    ],
)
def test_the_way_to_an_exchange_is_told_up_to_where_it_ends(reason: Reason, way: list[str]) -> None:
    """What lies before the failure went well, what lies behind it is not spoken of."""
    found = list(rest.facts("https://acme.example", [probed(reason)], ()))
    assert [fact.about for fact in found] == [*way, "REST time"]
    *before, end, answer = found
    assert {fact.verdict for fact in before} <= {ALL_WELL}
    assert end.verdict is answer.verdict is FactVerdict.NOT_SEEN
    assert end.mend
    assert str(reason) in end.seen


def test_a_way_without_failure_names_addresses_times_and_the_certificate() -> None:
    """As the first request over a new connection measured them."""
    phases = {Phase.RESOLVE: 0.012, Phase.CONNECT: 0.02, Phase.TLS: 0.03}
    answer = Answer(status=200, headers={}, body=b"{}", new_connection=True, phases=phases,
                    addresses=("192.0.2.1", "192.0.2.2"),
                    certificate_end=1e9 + 40 * 86_400)  # fmt: skip
    seen = {f.about: f.seen for f in rest.facts("https://acme.example", [probed(None, answer)], ())}
    assert seen["resolve"] == "192.0.2.1, 192.0.2.2 in 12 ms"
    assert seen["connect"] == "20 ms"
    assert seen["tls"] == "30 ms, valid for 40 more days"


def test_facts_with_one_mend_are_one_line_and_the_block_leaves_out_what_is_well() -> None:
    """A dead network is told once, not for each endpoint."""

    def fact(about: str, verdict: FactVerdict, mend: str) -> Finding:
        return Finding(about=about, at="there", verdict=verdict, expected="x", seen="y", mend=mend)

    sick = Judged(exchange="a", venue="v", facts=[
        fact("one", FactVerdict.NOT_SEEN, "mend it"), fact("two", FactVerdict.NOT_SEEN, "mend it"),
        fact("three", ALL_WELL, "")])  # fmt: skip
    well = Judged(exchange="b", venue="v", facts=[fact("four", ALL_WELL, "")])
    assert mends([sick, well]) == ["a: one, two: mend it"]
    text = "\n".join(block([sick, well], "now"))
    assert "a (v): 2 of 3 facts" in text
    assert "three" not in text
    assert "b (v)" not in text
