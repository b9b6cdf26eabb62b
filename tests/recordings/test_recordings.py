"""Replay, summary, codec and books, held to recordings that every clone has."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exporter import venues
from exporter.books.book import BookSync
from exporter.capture import replay
from exporter.capture.codec import Decoder, Encoder, Mark, Row
from exporter.capture.text_recording import Answered, Received, read
from exporter.cli.replay import play, summarise
from exporter.model import Ack, Control, Depth, Resync
from tests.recordings.record import FRAMES, NAMES
from tests.recordings.truth import DROP_EVERY, HERE, truth

TRUTH: dict[str, dict[str, Any]] = json.loads((HERE / "TRUTH.json").read_bytes())
every = pytest.mark.parametrize("name", NAMES)


def path_of(name: str) -> Path:
    """Return the file of one recording."""
    return HERE / f"{name}.txt"


def items(name: str) -> list[Received | Answered]:
    """Return what was received, in order."""
    found = read(path_of(name).read_bytes().splitlines())
    return [item for item in found if isinstance(item, Received | Answered)]


def test_every_simulated_venue_was_recorded() -> None:
    """No recording is missing or left over, and the truth is that of the files."""
    assert sorted(TRUTH) == NAMES == sorted(path.stem for path in HERE.glob("*.txt"))
    assert {name: truth(path_of(name)) for name in NAMES} == TRUTH
    assert all(sum(TRUTH[name]["gaps"].values()) for name in ("binance", "bybit", "kucoin"))


@every
def test_every_figure_of_the_truth(name: str) -> None:
    """Counts, times, trades, last prices and gaps are those that the bare JSON holds."""
    wanted, found = TRUTH[name], summarise(path_of(name))
    assert found["lines"]["lines"] == wanted["lines"]
    assert found["lines"]["undecodable"] == 0
    for key in ("recv_time_s", "data_messages", "data_total", "trades"):
        assert found[key] == wanted[key], key
    assert found["data_total"] + sum(found["meta_messages"].values()) >= FRAMES
    for symbol, price in wanted["last_trade_price"].items():
        assert Decimal(found["last_trade_price"][symbol]) == Decimal(price)
    assert {rule: found["sequence"][rule]["gaps"] for rule in wanted["gaps"]} == wanted["gaps"]
    others = found["sequence"].keys() - wanted["gaps"].keys()
    assert all(found["sequence"][rule]["gaps"] == 0 for rule in others)
    assert all(row["backward"] == 0 for row in found["sequence"].values())


@every
def test_every_gap_of_the_drop_test(name: str) -> None:
    """With every tenth frame deleted the gaps are found, and none is invented."""
    wanted = TRUTH[name]["gaps_of_the_drop_test"]
    found = summarise(path_of(name), None, DROP_EVERY)["sequence"]
    assert {rule: row["gaps"] for rule, row in found.items() if rule in wanted} == wanted
    assert sum(row["gaps"] for rule, row in found.items() if rule not in wanted) == 0


def test_checksums_agree_until_a_digit_is_wrong(tmp_path: Path) -> None:
    """Each update of the book verifies; with one size changed in the snapshot, none does."""
    found = summarise(path_of("kraken"))["checksum"]
    assert found == {"checked": TRUTH["kraken"]["data_messages"]["book.update"] + 1, "failed": 0}
    wrong = tmp_path / "wrong.txt"
    text = path_of("kraken").read_text()
    at = re.search(r'"channel":"book","type":"snapshot".*?"qty":\d+\.(\d)', text)
    assert at is not None
    digit = "1" if at[1] != "1" else "2"
    wrong.write_text(text[: at.start(1)] + digit + text[at.end(1) :])
    assert summarise(wrong)["checksum"]["failed"] > 0


@every
def test_half_a_recording_without_its_address(name: str, tmp_path: Path) -> None:
    """Frames alone tell the venue, and what is no frame of it is counted as such."""
    frames = [item for item in items(name) if isinstance(item, Received)][FRAMES // 2 :]
    half = tmp_path / "half.txt"
    half.write_bytes(b"".join(b"%.6f: %b\n" % (each.time or 0.0, each.frame) for each in frames))
    found = summarise(half)
    assert found["lines"]["undecodable"] == 0
    assert found == summarise(half, venues.load(name))
    half.write_bytes(b'1618677818.5: {"surprise":1}\n' + half.read_bytes())
    assert summarise(half)["lines"]["undecodable"] == 1


@every
def test_recorded_events_survive_the_codec(name: str) -> None:
    """Every event comes back from the binary form as it was."""
    venue, rows = venues.load(name), list[Row]()
    for item in items(name):
        for event in venue.parse(item.frame) if isinstance(item, Received) else ():
            if isinstance(event, Depth) and venue.book is not None:
                levels = tuple(
                    [(float(price), float(size)) for price, size in side]  # type: ignore[arg-type]  # str or float
                    for side in venue.book.levels(event)
                )
                event = msgspec.structs.replace(event, levels=levels)
            rows.append(Row(item.time or 0.0, name, event))
    assert len(rows) >= FRAMES
    assert list(Decoder().decode(Encoder().encode(rows)).rows()) == rows


@every
def test_recordings_go_through_the_running_program_s_pipeline(name: str) -> None:
    """As many events as the venue's reader gives, each in its subscription, and the same gaps."""
    found = play(path_of(name)).figures()
    rows = list(replay.recorded(read(path_of(name).read_bytes().splitlines()), venues.load(name)))
    events = sum(not isinstance(row.event, Ack | Control | Mark) for row in rows)
    assert found["events"] == events == sum(one["events"] for one in found["subscriptions"])
    assert sum(one["gaps"] for one in found["subscriptions"]) == sum(TRUTH[name]["gaps"].values())
    thinned = play(path_of(name), drop_every=3).figures()
    assert thinned["events"] == events - events // 3


# By the rule that their books' numbers obey; the others cannot tell that a frame is missing.
BOOKS = {"binance": "depth", "bybit": "orderbook", "kucoin": "l2update", "okx": "books",
         "bitstamp": "", "coinbase": "", "kraken": ""}  # fmt: skip


@pytest.mark.parametrize("name", BOOKS)
def test_a_recorded_book_stays_in_step_until_a_frame_is_missing(name: str) -> None:
    """It begins with the stream's snapshot or the REST answer, never crosses, and tells a gap."""
    venue = venues.load(name)
    assert venue.book is not None
    sync, followed, lost = BookSync(venue.book, venue.sequences), 0, list[Resync]()
    sync.agree(venue.book.depth)
    for item in items(name)[: None if BOOKS[name] else FRAMES // 2]:
        if isinstance(item, Answered):
            assert venue.book.read_snapshot is not None
            assert lost or sync.join(venue.book.read_snapshot(item.body, "topic", "BTCUSDT"))
            continue
        for event in venue.parse(item.frame):
            if isinstance(event, Depth) and not lost:
                reason = sync.feed(event)
                lost += [reason] if reason else []
                followed += sync.synced
                assert not sync.book.crossed
    assert followed > 5
    missing = TRUTH[name]["gaps"].get(BOOKS[name], 0)
    assert lost == ([Resync.GAP] if missing else [])
