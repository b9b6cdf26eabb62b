"""Summaries of recordings, held to figures that somebody else computed."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exporter.cli import replay
from exporter.cli.replay import UnknownVenueError, summarise
from exporter.venues import by_url, definition
from tests.conftest import shared

STREAMS = (
    "binance/ws.txt",
    "binance/ws_us.txt",
    "binance_coinm/ws.txt",
    "binance_futures/ws.txt",
    "bitget/ws_mix_v1.txt",
    "bitget/ws_spot_v1.txt",
    "bithumb/ws.txt",
    "bitstamp/ws.txt",
    "coinbase/ws.txt",
    "gemini/ws.txt",
    "htx/ws.txt",
    "kraken/ws_book.txt",
    "kraken/ws_ticker.txt",
    "kraken/ws_trade.txt",
    "kraken_futures/ws.txt",
    "kucoin/ws.txt",
    "okx/ws.txt",
    "upbit/ws.txt",
)
ANSWERS = (
    "binance/markets.txt",
    "binance/rest.txt",
    "binance_coinm/rest.txt",
    "bitget/markets.txt",
    "bitstamp/rest.txt",
    "crypto_com/markets.txt",
    "kucoin/rest.txt",
    "okx/markets.txt",
)


def truth(name: str) -> dict[str, Any]:
    """Return what the recordings' own TRUTH.json says of one of them."""
    files = json.loads(shared("recordings/TRUTH.json").read_bytes())["files"]
    found: dict[str, Any] = files[name]
    return found


@pytest.mark.shared
@pytest.mark.parametrize("name", STREAMS)
def test_every_figure_of_the_truth(name: str) -> None:
    """Counts, times, latencies, trades, continuity and checksums, to the last digit."""
    wanted = truth(name)
    found = summarise(shared(f"recordings/{name}"))
    prices = {symbol: Decimal(text) for symbol, text in found.pop("last_trade_price").items()}
    assert prices == {s: Decimal(text) for s, text in wanted.pop("last_trade_price").items()}
    for key in ("drop_test", "event_time_rule"):
        wanted.pop(key)
    assert found == wanted


@pytest.mark.shared
@pytest.mark.parametrize("name", STREAMS)
def test_every_gap_of_the_drop_test(name: str) -> None:
    """With every 50th frame deleted the gaps are found, and none is invented."""
    found = summarise(shared(f"recordings/{name}"), None, 50)["sequence"]
    assert {
        rule: {key: row[key] for key in ("gaps", "backward")} for rule, row in found.items()
    } == truth(name)["drop_test"]


@pytest.mark.shared
@pytest.mark.parametrize("name", ANSWERS)
def test_rest_answers_are_counted(name: str) -> None:
    """By URL, without the query."""
    assert summarise(shared(f"recordings/{name}")) == truth(name)


@pytest.mark.shared
@pytest.mark.parametrize("name", STREAMS)
def test_half_a_recording_without_its_address(name: str, tmp_path: Path) -> None:
    """Frames alone tell the venue, one unknown among them or not, and every one is understood."""
    lines = shared(f"recordings/{name}").read_bytes().splitlines(keepends=True)
    address = lines[0].partition(b" ")[0].decode()
    frames = [line for line in lines if not line.startswith(b"wss:")][len(lines) // 2 :]
    path = tmp_path / "half.txt"
    path.write_bytes(b"".join(frames))
    found = summarise(path)
    assert found["lines"]["undecodable"] == 0
    assert found == summarise(path, by_url(address))
    path.write_bytes(b'1618677818.5: {"surprise":1}\n' + b"".join(frames))
    assert summarise(path)["lines"]["undecodable"] == 1


@pytest.mark.shared
def test_the_vector_of_kraken_v2() -> None:
    """No URL and no times: recognised by its frames, and all five checksums agree."""
    found = summarise(shared("recordings/kraken_v2/vector_book.jsonl"))
    assert found["checksum"] == {"checked": 5, "failed": 0}
    assert found["data_messages"] == {"book.snapshot": 1, "book.update": 4}
    assert (found["recv_time_s"], found["latency_ms"]) == (None, None)


@pytest.mark.shared
def test_a_wrong_digit_fails_the_checksum(tmp_path: Path) -> None:
    """One size changed in the snapshot: no later message agrees."""
    frames = shared("recordings/kraken_v2/vector_book.jsonl").read_bytes()
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(frames.replace(b"0.20401971", b"0.20401972", 1))
    assert summarise(path)["checksum"] == {"checked": 5, "failed": 5}


COINBASE = """\
wss://ws-feed.exchange.coinbase.com <-> 1618677816.0
{trades}
1618677818.5: {{"type":"match","surprise":1}}
1618677819.0: b'broken

"""
TRADE = (
    '{received}: {{"type":"{kind}","trade_id":{number},"side":"sell","size":"1","price":"{price}",'
    '"product_id":"A-B","sequence":{number},"time":"2021-04-17T16:43:37.{time}Z"}}'
)


def recording(tmp_path: Path, *trades: tuple[str, int, str, str]) -> Path:
    """Write a small recording: kind, number, price and fraction of a second of each trade."""
    rows = (
        TRADE.format(received=1618677818, kind=kind, number=number, price=price, time=time)
        for kind, number, price, time in trades
    )
    path = tmp_path / "small.txt"
    path.write_text(COINBASE.format(trades="\n".join(rows)))
    return path


def test_a_hand_worked_recording(tmp_path: Path) -> None:
    """A gap, a step back, a trade without price, a broken line, an empty one, each in its place."""
    path = recording(
        tmp_path,
        ("last_match", 6, "9", "000000"),
        ("match", 7, "10.10", "100000"),
        ("match", 9, "10.30", "300000"),
        ("match", 8, "10.20", "200000"),
    )
    found = summarise(path)
    assert found["lines"] == {"lines": 8, "connect": 1, "sent": 0, "empty": 1, "undecodable": 2}
    assert found["data_messages"] == {"last_match": 1, "match": 3}
    assert (found["trades"], found["snapshot_trades"]) == ({"A-B": 3}, {"A-B": 1})
    assert Decimal(found["last_trade_price"]["A-B"]) == Decimal("10.20")
    assert found["event_time_ms"] == {"min": 1618677817100.0, "max": 1618677817300.0}
    assert found["latency_ms"] == {"n": 3, "min": 700.0, "p50": 800.0, "p99": 900.0, "max": 900.0}
    assert found["sequence"]["trade_id"] == {
        "pairs": 3,
        "gaps": 1,
        "backward": 1,
        "gap_streams": {"matches:A-B": 1},
    }
    assert found["sequence"]["match.sequence"]["gaps"] == 0


def test_a_recording_of_nobody_is_refused(tmp_path: Path) -> None:
    """An unknown address, and frames that nobody or several understand, are named."""
    path = tmp_path / "unknown.txt"
    path.write_text("wss://stream.example.com <-> 1618677816.0\n1618677817.0: {}\n")
    with pytest.raises(UnknownVenueError, match=r"stream\.example\.com"):
        summarise(path)
    path.write_text('{"nobody": "knows"}\n')
    with pytest.raises(UnknownVenueError, match="no venue's parser accepts it"):
        summarise(path)


def run(*words: str) -> int:
    """Run the command."""
    parser = ArgumentParser()
    replay.arguments(parser)
    return replay.run(parser.parse_args(words))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file prints its figures, two print both by name, a missing one says so."""
    path = str(recording(tmp_path, ("match", 7, "10.10", "100000")))
    assert run("--summary=json", path) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["trades_total"] == 1
    assert run("--summary=json", "--venue=coinbase", path, path + ".") == 1
    assert f"{path}.: " in capsys.readouterr().err
    other = tmp_path / "other.txt"
    other.write_bytes(Path(path).read_bytes())
    assert run("--summary=json", path, str(other)) == 0
    assert json.loads(capsys.readouterr().out) == {path: alone, str(other): alone}
    assert run("--summary=json", "--drop-every=2", path) == 0
    assert json.loads(capsys.readouterr().out)["trades_total"] == 1
    with pytest.raises(SystemExit):
        run("--summary=json", "--drop-every=1", path)


def test_a_recording_of_a_defined_venue_is_recognised(tmp_path: Path) -> None:
    """By the address that its definition names, with the rules of its numbers."""
    text = (Path(__file__).parents[1] / "venues" / "definitions" / "acme.yml").read_text()
    own = {"acme": definition.compiled(text, "acme.yml")}
    frame = '{"topic":"trades.X","data":[{"p":"1.5","q":2,"s":"b","t":1600000000250,"n":%d}]}'
    file = tmp_path / "acme.txt"
    lines = ["wss://stream.acme.example/v1 <-> 1600000000.0"]
    lines += [f"1600000001.{number}: {frame % number}" for number in (7, 8, 11)]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UnknownVenueError):
        summarise(file)
    assert summarise(file, own=own)["sequence"]["trades"]["gaps"] == 1
    (seen,) = replay.play(file, own=own).figures()["subscriptions"]
    assert (seen["exchange"], seen["gaps"], seen["missed"]) == ("acme", 1, 2)


def test_numbers_of_a_connection_are_summed_up(tmp_path: Path) -> None:
    """Bitfinex's run over all channels: each hole counts once, whatever it swallowed."""
    lines = [
        "wss://api.bitfinex.com/ws/2 <-> 1618665870.0",
        '1618665870.1: {"event":"info","version":2,"platform":{"status":1}}',
        '1618665870.2: {"event":"subscribed","channel":"trades","chanId":7,"symbol":"tBTCUSD"}',
        "1618665870.3: [7,[[1,1618665870435,-2.5,60000],[0,1618665870400,1,59999]],1]",
        '1618665870.5: [7,"te",[2,1618665870535,0.5,60001],2]',
        '1618665870.5: [7,"tu",[2,1618665870535,0.5,60001],3]',
        '1618665870.7: [7,"te",[4,1618665870635,0.25,60002],6]',
    ]
    file = tmp_path / "bitfinex.txt"
    file.write_text("\n".join(lines) + "\n")
    found = summarise(file)
    assert found["data_messages"] == {"trades.snapshot": 1, "trades.te": 2, "trades.tu": 1}
    assert found["meta_messages"] == {"info": 1, "subscribed": 1}
    assert (found["trades"], found["snapshot_trades"]) == ({"tBTCUSD": 2}, {"tBTCUSD": 2})
    assert found["lines"]["undecodable"] == 0
    assert found["sequence"]["connection"] == {
        "pairs": 3, "gaps": 1, "backward": 0, "gap_streams": {"connection": 1}
    }  # fmt: skip
