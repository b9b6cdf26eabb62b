"""A made-up exchange, watched by configuration alone: a definition in YAML, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from exporter.cli import _venues
from exporter.config import Config, ConfigError
from exporter.model import SubscriptionState
from exporter.runtime.app import App, RunOptions
from tests.runtime.acme import Acme, serving
from tests.runtime.running import Running, wait_metrics, wait_until

DEFINITION = Path(__file__).parents[1] / "venues" / "definitions" / "acme.yml"
AHEAD = 120.0

CONFIG = """
venue_files: acme.yml
anomaly: {{tick: 100ms}}
streams: {{stale_floor: 1s, stale_ceiling: 2s, backoff_base: 10ms, backoff_cap: 100ms}}
exchanges:
  - venue: acme
    symbols: [BTC-USDT]
    rest_url: http://{host}
    stream_url: ws://{host}/stream/v1
    endpoints:
      - {{name: ping, interval: 1s}}
      - {{name: time, interval: 1s}}
      - {{name: status, interval: 1s}}
      - {{name: ask, interval: 1s}}
"""
UP = "  - {{name: other, venue: http, endpoints: [{{name: up, url: 'http://{host}/'}}]}}\n"
PAIR = 'exchange="acme",symbol="BTC-USDT"'


@asynccontextmanager
async def watching(file: Path, directory: Path | None = None) -> AsyncIterator[tuple[App, Running]]:
    """Run the program by a config file, as `run` does."""

    def load(before: Config | None) -> Config:
        return _venues.load(str(file), directory, before)[0]

    ports = asyncio.Queue[int]()
    refused: ConfigError | None = None
    try:
        config = load(None)
    except ConfigError as error:
        config, refused = error.instead or Config(exchanges=()), error
    options = RunOptions(
        listen_address="127.0.0.1:0", ready=ports.put_nowait, reload=load, refused=refused
    )
    app = App(config, options)
    async with asyncio.TaskGroup() as tasks:
        program = tasks.create_task(app.run())
        try:
            async with asyncio.timeout(30.0):
                port = await ports.get()
            url = f"http://127.0.0.1:{port}"
            yield app, Running(app, None, url)  # type: ignore[arg-type]  # no simulator here
        finally:
            program.cancel()


def placed(folder: Path, host: str, text: str = CONFIG, definition: str | None = None) -> Path:
    """Put the definition and a config that names it into a folder."""
    (folder / "acme.yml").write_text(definition or DEFINITION.read_text())
    file = folder / "config.yml"
    file.write_text(text.format(host=host))
    return file


def test_a_made_up_exchange_is_watched_by_configuration_alone(tmp_path: Path) -> None:
    """Offset, latency, gaps, staleness, prices and scores are there as for any other venue."""
    acme = Acme(AHEAD)

    async def main() -> None:
        async with (
            serving(acme) as host,
            watching(placed(tmp_path, host)) as (app, program),
        ):
            (exchange,) = app.exchanges

            def value(seen: dict[str, float], family: str, labels: str) -> float:
                return seen.get(f"{family}{{{labels}}}", float("nan"))

            def known(seen: dict[str, float]) -> bool:
                offset = value(seen, "exchange_clock_offset_seconds", 'exchange="acme"')
                latency = "exchange_stream_latency_seconds_count"
                late = [value(seen, latency, f'exchange="acme",channel="{c}"') for c in CHANNELS]
                price = value(seen, "exchange_mid_price", PAIR)
                synced = value(seen, "exchange_book_synced", PAIR)
                scored = any(
                    name.startswith('exchange_anomaly_ready{exchange="acme",signal="probe_latency"')
                    for name in seen
                )
                return (
                    abs(offset - AHEAD) < 1.0
                    and all(count > 0 for count in late)
                    and 59_000 < price < 61_000
                    and synced == 1.0
                    and scored
                )

            seen = await wait_metrics(program, known)
            for endpoint in ("ping", "time", "status", "ask"):
                names = f'exchange="acme",endpoint="{endpoint}"'
                success = f"exchange_probe_success{{{names}}}"
                await wait_metrics(program, partial(succeeded, success))
            assert 'POST /v1/ask?pair=XBT_USDT {"type": "mids"}' in acme.asked
            assert acme.said[0] == {"op": "hello", "version": 1}
            gaps = "exchange_stream_sequence_gaps_total"
            trades = 'exchange="acme",channel="trades"'
            assert value(seen, gaps, trades) == 0.0
            assert value(seen, "exchange_stream_parse_errors_total", trades) == 0.0
            acme.skip = 3
            missed = "exchange_stream_missed_messages_total"
            seen = await wait_metrics(program, lambda seen: value(seen, gaps, trades) == 1.0)
            assert value(seen, missed, trades) == 3.0
            acme.state = "closed"
            closed = 'exchange="acme",source="venue"'
            await wait_metrics(
                program, lambda seen: value(seen, "exchange_maintenance_active", closed) == 1.0
            )
            acme.silent = True
            (stream,) = exchange.streams
            await wait_until(lambda: stream.counts.get(SubscriptionState.STALE, 0) > 0)
            await wait_until(lambda: {"op": "unsubscribe"}.items() <= acme.said[-2].items())

    asyncio.run(asyncio.wait_for(main(), 90.0))


def succeeded(name: str, seen: dict[str, float]) -> bool:
    """Return whether a sample is 1."""
    return seen.get(name) == 1.0


CHANNELS = ("trades", "quotes", "book")


def test_a_refused_topic_is_told_of_and_the_others_live(tmp_path: Path) -> None:
    """The venue's own words stand at the subscription that it refuses."""
    acme = Acme()
    text = CONFIG.replace("[BTC-USDT]", "[BTC-USDT, ETH-USDT]")

    async def main() -> None:
        async with (
            serving(acme) as host,
            watching(placed(tmp_path, host, text)) as (app, _),
        ):
            (exchange,) = app.exchanges
            (stream,) = exchange.streams
            await wait_until(lambda: stream.subscription("trades.XBT_USDT").value == "live")
            await wait_until(lambda: stream.refusal("trades.ETH_USDT") == "no such pair")

    asyncio.run(asyncio.wait_for(main(), 60.0))


def test_reloading_a_definition_restarts_its_exchange_alone(tmp_path: Path) -> None:
    """A definition that changed takes effect, a broken one is refused; others follow the config."""
    acme = Acme()
    text = CONFIG + UP

    async def main() -> None:
        async with (
            serving(acme) as host,
            watching(placed(tmp_path, host, text)) as (app, program),
        ):
            first, other = app.exchanges
            await app.reloads.ask(False, 30.0)
            assert app.exchanges == (first, other)
            changed = DEFINITION.read_text().replace("title: Acme", "title: Acme 2")
            placed(tmp_path, host, text, changed)
            await app.reloads.ask(False, 30.0)
            second, still = app.exchanges
            assert (second.venue.title, still) == ("Acme 2", other)
            more = text.replace("name: up,", "name: up, interval: 2s,")
            placed(tmp_path, host, more, changed.replace("price: p", "prize: p"))
            with pytest.raises(ConfigError) as refused:
                await app.reloads.ask(False, 30.0)
            assert refused.value.complaints == (
                f"{tmp_path}/config.yml:2: venue_files: {tmp_path}/acme.yml:47: "
                'channels.trades.frames[0].prize: found an unknown key; did you mean "price"?',
            )
            assert app.exchanges[0] == second
            assert app.exchanges[1] != other
            seen = await program.metrics()
            assert seen["exchange_exporter_config_last_reload_successful"] == 0.0
            count = 'exchange_probes_total{exchange="other",endpoint="up",outcome="success"}'
            await wait_metrics(program, lambda now: now[count] > 0)

    asyncio.run(asyncio.wait_for(main(), 60.0))


def test_what_was_never_good_is_left_out_and_the_others_run(tmp_path: Path) -> None:
    """At the start and at a reload: gauge, complaint and page name it; mended, it is watched."""
    acme = Acme()
    text = CONFIG.replace("exchanges:\n", f"exchanges:\n{UP}")
    good = DEFINITION.read_text()
    broken = good.replace("price: p", "prize: p")
    gauge = "exchange_exporter_config_last_reload_successful"

    async def main() -> None:
        async with (
            serving(acme) as host,
            watching(placed(tmp_path, host, text, broken)) as (app, program),
        ):
            (other,) = app.exchanges
            said = "Not watched, because the venue is unknown or its definition wrong: acme: "
            (trouble,) = app.troubles()
            assert trouble.text.startswith(f"{said}{tmp_path}/config.yml:2: venue_files: ")
            async with aiohttp.ClientSession() as session, session.get(program.url) as page:
                assert said in await page.text()
            assert (await program.metrics())[gauge] == 0.0
            changed = text.replace("name: up,", "name: up, interval: 2s,")
            placed(tmp_path, host, changed, broken)
            with pytest.raises(ConfigError):
                await app.reloads.ask(False, 30.0)
            (still,) = app.exchanges
            assert still != other
            placed(tmp_path, host, changed, good)
            await app.reloads.ask(False, 30.0)
            assert [each.name for each in app.exchanges] == ["other", "acme"]
            assert not [*app.troubles()]
            assert (await program.metrics())[gauge] == 1.0

    asyncio.run(asyncio.wait_for(main(), 60.0))


def test_a_broken_file_of_the_folder_stops_nobody_who_does_not_name_it(tmp_path: Path) -> None:
    """A wrong definition of `--venues.dir` is told of; only a config that names it is refused."""
    definitions = tmp_path / "venues"
    definitions.mkdir()
    (definitions / "acme.yml").write_text(DEFINITION.read_text())
    (definitions / "bad.yml").write_text("name: bad\nsource: none\nrest: {}\n")
    file = tmp_path / "config.yml"
    file.write_text("exchanges: [{venue: acme, streams: []}]\n")
    config, _ = _venues.load(str(file), definitions)
    assert [each.name for each in config.venue_files] == ["acme"]
    file.write_text("exchanges: [{venue: bad, streams: []}]\n")
    with pytest.raises(ConfigError) as refused:
        _venues.load(str(file), definitions)
    unknown, why = refused.value.complaints
    assert 'found "bad", expected a venue' in unknown
    assert why.startswith(f"{definitions}/bad.yml:3: rest.url: found no such key")
