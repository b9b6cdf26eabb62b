"""Known deadlines: signed or not followed, and shown for what the config uses."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from exporter import venues
from exporter.cli.check import deadlines, report
from exporter.config import Config, DeadlinesConfig, load
from exporter.contracts import FetchFailedError
from exporter.deadlines.concern import concerning
from exporter.deadlines.document import (
    PROJECT_KEY,
    ApiDeadline,
    RejectedFileError,
    Rejection,
    decoded_key,
    read,
    shipped,
)
from exporter.deadlines.watch import DeadlineWatch
from exporter.metrics.families import ApiChange, ApiPart
from exporter.metrics.registry import Registry
from exporter.model import Answer, Reason
from tests.fakes import FakeClock, run_virtual
from tests.metrics.test_registry import page

FILES = Path(__file__).parent / "files"
KEY = "zcgF1HILXPIENwYAnAfpJTKVnEZUpVw+6UqQJUPpgHg="  # they are signed with it
URL = "https://facts.example/deadlines.yml"


def config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "c.yml"
    file.write_text(text)
    return load(file, venues.names(), venues.load)


def used(tmp_path: Path, text: str) -> list[str]:
    """What is known to end of the one exchange of a config."""
    (exchange,) = config(tmp_path, f"exchanges: [{text}]\n").exchanges
    venue = venues.load(exchange.venue)
    return [each.what for each in concerning(shipped().deadlines, exchange, venue)]


def test_what_is_shipped_is_signed_and_dated() -> None:
    """Every fact is about a venue that we have, was read somewhere, and before it was signed."""
    known = shipped()
    for each in known.deadlines:
        assert each.venue in venues.names()
        assert each.source
        assert date(2026, 1, 1) <= each.read <= datetime.fromtimestamp(known.issued, UTC).date()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("altered", Rejection.SIGNATURE),
        ("invalid", Rejection.INVALID),
    ],
)
def test_what_is_wrong_is_refused(name: str, reason: Rejection) -> None:
    """One figure changed after it was signed; signed, and without an address."""
    with pytest.raises(RejectedFileError) as found:
        read((FILES / f"{name}.yml").read_bytes(), decoded_key(KEY))
    assert found.value.reason is reason


def test_nothing_is_parsed_that_is_not_signed() -> None:
    """Neither another key's file, nor one with words behind the signature, nor one without."""
    raw = (FILES / "newer.yml").read_bytes()
    for text, key in ((raw, PROJECT_KEY), (raw + b"x: 1\n", KEY), (b"issued: [", KEY), (b"", KEY)):
        with pytest.raises(RejectedFileError) as found:
            read(text, decoded_key(key))
        assert found.value.reason is Rejection.SIGNATURE
    assert len(read(raw, decoded_key(KEY)).deadlines) == 3


@pytest.mark.parametrize(
    ("exchange", "ends"),
    [
        ("{venue: kraken_futures, symbols: [BTC-USD]}",
         ["https://futures.kraken.com/derivatives/api/v3", "wss://futures.kraken.com/ws/v1"]),
        ("{venue: kraken_futures, streams: []}", ["https://futures.kraken.com/derivatives/api/v3"]),
        ("{venue: kraken_futures, rest_url: 'https://mirror.example', streams: []}", []),
        ("{venue: okx, symbols: [BTC-USDT]}", []),
        ("{venue: okx, symbols: [BTC-USDT], stream_url: 'wss://ws.okx.com:8443/ws/v5'}",
         ["wss://ws.okx.com:8443"]),
        ("{venue: okx, symbols: [BTC-USDT], stream_url: 'wss://ws.okx.com:443/ws/v5'}", []),
        ("{venue: binance_futures, symbols: [BTC-USDT]}", []),
        ("{venue: binance, symbols: [BTC-USDT], stream_url: 'wss://data-stream.binance.com/stream'}",
         ["wss://data-stream.binance.com"]),
        ("{venue: binance, symbols: [BTC-USDT], stream_url: 'wss://data-stream.binance.command/s'}",
         []),
        ("{venue: bitget, symbols: [BTC-USDT]}", []),
    ],
)  # fmt: skip
def test_deadlines_are_told_for_what_is_used(
    tmp_path: Path, exchange: str, ends: list[str]
) -> None:
    """By scheme, host, port and path, of REST and of streams; not of what is left out."""
    assert used(tmp_path, exchange) == ends


def test_paths_and_channels_are_whole_names(tmp_path: Path) -> None:
    """``bbo`` is not ``bbo-tbt``, a path is not another that begins like it."""
    known = read((FILES / "newer.yml").read_bytes(), decoded_key(KEY))
    (exchange,) = config(tmp_path, "exchanges: [{venue: okx, symbols: [BTC-USDT]}]\n").exchanges
    found = list(concerning(known.deadlines, exchange, venues.load("okx")))
    assert [each.what for each in found] == ["bbo-tbt", "/api/v5/public/time"]
    longer = ApiDeadline(
        venue="okx",
        part=ApiPart.PATH,
        what="/api/v5/public/tim",
        change=ApiChange.RETIRED,
        at=0.0,
        replacement="",
        source="",
        read=date(2027, 1, 1),
    )
    assert list(concerning([longer], exchange, venues.load("okx"))) == []


@dataclass
class Site:
    """Serves a file, or does not answer."""

    body: bytes | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        self.asked.append(url)
        if self.body is None:
            raise FetchFailedError(Reason.CONNECT_REFUSED)
        return Answer(
            status=self.status, headers={}, body=self.body, new_connection=True, phases={}
        )


def lines(registry: Registry, name: str) -> list[str]:
    return sorted(line for line in page(registry) if line.startswith(name))


def watched(tmp_path: Path, site: Site) -> tuple[Registry, FakeClock, DeadlineWatch, Config]:
    registry, clock = Registry(), FakeClock()
    exchanges = config(tmp_path, "exchanges: [{venue: okx, symbols: [BTC-USDT]}]\n")
    return registry, clock, DeadlineWatch(registry, clock, site), exchanges


def rejected(registry: Registry) -> dict[str, float]:
    found = lines(registry, "exchange_exporter_deadlines_rejected_total{")
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in found}


def test_a_newer_file_takes_the_place_of_what_is_shipped(tmp_path: Path) -> None:
    """It is shown, with its age; a wrong one after it is counted, and it stays in force."""
    registry, clock, watch, exchanges = watched(tmp_path, Site())
    file = tmp_path / "deadlines.yml"
    shutil.copy(FILES / "newer.yml", file)
    configured = DeadlinesConfig(file=str(file), public_key=KEY)
    watch.follow(configured, exchanges.exchanges, venues.load)
    shown = lines(registry, "exchange_api_deadline_timestamp_seconds{")
    assert shown == [
        'exchange_api_deadline_timestamp_seconds{exchange="okx",part="channel",what="bbo-tbt",'
        'change="changed",replacement="bbo-tbt-v2"} 1800403200.0',
        'exchange_api_deadline_timestamp_seconds{exchange="okx",part="path",'
        'what="/api/v5/public/time",'
        'change="retired",replacement="/api/v6/public/time"} 1801440000.0',
    ]
    issued = lines(registry, "exchange_exporter_deadlines_issued_timestamp_seconds")
    assert issued == ["exchange_exporter_deadlines_issued_timestamp_seconds 1799582400.0"]
    assert rejected(registry) == dict.fromkeys(Rejection, 0.0)

    async def looked() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            for name in ("altered", "older", "invalid"):
                shutil.copy(FILES / f"{name}.yml", file)
                await clock.sleep(61.0)
            file.unlink()
            await clock.sleep(300.0)
            running.cancel()

    run_virtual(looked())
    assert lines(registry, "exchange_api_deadline_timestamp_seconds{") == shown
    assert rejected(registry) == dict.fromkeys(Rejection, 1.0)
    watch.follow(DeadlinesConfig(), exchanges.exchanges, venues.load)
    assert lines(registry, "exchange_api_deadline") == []
    assert lines(registry, "exchange_exporter_deadlines") == []


def test_a_url_is_asked_in_its_turn(tmp_path: Path) -> None:
    """Once an interval; an hour after it failed; with whatever it serves judged like a file."""
    site = Site()
    registry, clock, watch, exchanges = watched(tmp_path, site)
    configured = DeadlinesConfig(url=URL, public_key=KEY, interval=6 * 3600.0)
    watch.follow(configured, exchanges.exchanges, venues.load)

    async def asked() -> list[int]:
        counts = []
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            for body, status in (
                (None, 200),
                (b"gone", 404),
                ((FILES / "newer.yml").read_bytes(), 200),
            ):
                site.body, site.status = body, status
                await clock.sleep(3630.0)
                counts.append(len(site.asked))
            await clock.sleep(5 * 3600.0)
            counts.append(len(site.asked))
            await clock.sleep(3600.0)
            running.cancel()
        return [*counts, len(site.asked)]

    assert run_virtual(asked()) == [2, 3, 4, 4, 5]
    assert rejected(registry) == {each: 3.0 * (each is Rejection.UNREACHABLE) for each in Rejection}
    assert len(lines(registry, "exchange_api_deadline_timestamp_seconds{")) == 2


def test_check_tells_what_ends(tmp_path: Path) -> None:
    """With date, what to use instead, source and age; and says when a file is not followed."""
    text = "exchanges: [{venue: kraken_futures, streams: []}, {venue: okx, streams: []}]\n"
    found = deadlines(config(tmp_path, text))
    assert found[0].startswith("known deadlines of APIs: 1 of what is used (signed ")
    assert len(found) == 3
    for word in ("2027-03-01", "retired", "Unified WebSocket", "docs.kraken.com", "read 20"):
        assert word in found[2]
    wrong = config(tmp_path, text + "deadlines: {file: none.yml}\n")
    assert deadlines(wrong)[-1] == (
        f"warning: {tmp_path}/none.yml: unreachable: No such file or directory"
    )
    assert set(found) <= set(report("c.yml", config(tmp_path, text)))
