"""Every query of every panel speaks, of the real programs: healthy, or under its fault."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dashboards.panels import BAD
from tests.conftest import ROOT
from tests.dashboards.colours import cells
from tests.dashboards.queries import CHOSEN, asked, filled
from tests.deadlines.test_deadlines import FILES, KEY
from tests.live import programs
from tests.live.conftest import SYMBOLS, World, config
from tests.live.tls import AUTHORITY, tls
from tests.live.worlds import NO_LIMITS, simulated, watched
from tests.relay.fakes import serving
from tests.relay.programs import alert, post_of, receiver, relay, write

pytestmark = [pytest.mark.live, pytest.mark.timeout(600), pytest.mark.xdist_group("dashboards")]

# Panels with a query that is silent while all is well, and what makes each of them speak: tried
# below.
UNDER_FAULTS = {
    "anomalies: Anomalies per hour": "latency, after a calm half minute",
    "exchange: Ban remaining": "ban",
    "exchange: Failures by reason": "error",
    "exchange: Negative latency": "clock_skew",
    "exchange: Maintenance, restrictions and incidents over time": "announced, incident",
    "exchange: Probes not sent": "error, until the breaker opens",
    "exporter: Dropped by full queues": "a burst, for a queue of 16 frames",
    "exporter: Series dropped": "an exporter that may publish 300 series; a new status",
    "markets: Days until a market begins or ends": "delisting",
    "markets: Next announced end": "delisting",
    "markets: Restricted markets over time": "cancel_only",
    "overview: Firing alerts": "any of them",
    "overview: Reasons for closed gates": "ban",
    "pipeline: Channels": "an alert that comes; the quota is asked for with the first message",
    "pipeline: Deliveries": "an alert that comes",
    "pipeline: Failed notifications": "an alert that Alertmanager sends on",
    "pipeline: Held back": "more alerts than storm.messages",
    "pipeline: Notifications": "alerts for a receiver that refuses them",
    "pipeline: Oldest undelivered message": "a receiver that does not answer",
    "pipeline: Received": "an alert that comes, and a post that is none",
    "pipeline: Since the last heartbeat": "Alertmanager's first watchdog",
    "streams: Connections lost": "disconnect",
    "streams: Sequence gaps": "gap",
    "streams: Resyncs by reason": "gap",
}
# What is red on this stage with good reason.
RED_HERE = {"exporter: Series used": "an exporter that may publish 300 series"}
# Shorter than a round: an exchange is to recover before it is hit again.
FAULTS: tuple[dict[str, object], ...] = (
    {"fault": "ban", "venue": "okx", "retry_after": 120, "for_": "6s"},
    {"fault": "gap", "venue": "kraken", "probability": 0.3, "for_": "6s"},
    {"fault": "gap", "venue": "binance", "probability": 0.3, "for_": "6s"},
    {"fault": "disconnect", "venue": "coinbase", "code": 1006},
    {"fault": "clock_skew", "venue": "kraken", "seconds": 0.4, "for_": "6s"},
    {"fault": "latency", "venue": "okx", "seconds": 0.6, "for_": "6s"},
    {"fault": "announced", "venue": "kraken", "for_": "6s"},
    {"fault": "incident", "venue": "kraken", "for_": "6s"},
    {"fault": "delisting", "venue": "okx", "for_": "12s"},
    {"fault": "cancel_only", "venue": "okx", "for_": "12s"},
)
ROUND = 10.0
# Detectors learn a hundred ticks, and every query is asked once a round.
WARM_UP = 150.0
# A small market: all of these programs share a small machine.
QUIET = ("--rate=2", "--book-rate=3", NO_LIMITS)
MONEY = "[BTC-USDT, ETH-USDT, BTC-USD, ETH-USD]"
PERPETUAL = "BTC-USDT-PERP"
SCRAPE = """\
global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: ['{rules}/*.yml']
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}
scrape_configs:
- {{job_name: exchange-exporter, static_configs: [{{targets: ['{exporter}', '{crowded}']}}]}}
- {{job_name: alert-relay, static_configs: [{{targets: ['{relay}']}}]}}
- {{job_name: alertmanager, static_configs: [{{targets: ['{alertmanager}']}}]}}
"""


@dataclass
class Stage:
    """All programs, and which panels' queries have spoken so far."""

    world: World
    prometheus: str
    relay: str
    alertmanager: str
    spoken: set[tuple[str, str]] = field(default_factory=set)

    def silent(self) -> set[str]:
        """Ask what has not spoken yet; return the panels that still have such a query."""
        left = [each for each in asked() if (each.name, each.query) not in self.spoken]
        for each in left:
            if programs.query(self.prometheus, filled(each.query, CHOSEN)):
                self.spoken.add((each.name, each.query))
        return {each.name for each in left if (each.name, each.query) not in self.spoken}

    def values(self, query: str) -> list[float | None]:
        """Return what a query gives now; None alone where it gives nothing."""
        rows = programs.query(self.prometheus, filled(query, CHOSEN))
        return [float(row["value"][1]) for row in rows] or [None]

    def listen(self, within: float, until: set[str], *, provoked: bool = False) -> set[str]:
        """Ask until no panel but those of ``until`` is silent; return the silent ones.

        Provocations are repeated for as long as it takes: one that strikes between two
        connections, before a counter's first scrape or outside of a query's window leaves no trace.
        """
        deadline = time.monotonic() + within
        rounds, due = 0, 0.0
        while (silent := self.silent()) - until and (now := time.monotonic()) < deadline:
            if provoked and now >= due:
                self.provoke(rounds)
                rounds, due = rounds + 1, now + ROUND
            time.sleep(1.0)
        return silent

    def provoke(self, turn: int) -> None:
        """Let everything happen once that a panel tells of; ``turn`` makes it new each time."""
        # A status not seen before is a series more, which the crowded exporter refuses.
        error = {"fault": "error", "venue": "binance", "status": 500 + turn, "for_": "6s"}
        for fault in (error, *FAULTS):
            self.world.inject(**fault)
        take = f"{self.relay}/api/v1/alertmanager"
        for exchange in ("binance", "okx", "kraken", "coinbase"):
            told = alert(labels={"exchange": exchange, "instance": str(turn)})
            programs.post_json(take, post_of(told, group=f"{exchange} {turn}"))
        with pytest.raises(AssertionError, match="400"):
            programs.post_json(take, "no alert")
        # More at once than the reader takes in one turn, or nothing would wait and be given up.
        burst = {"venue": "coinbase", "symbol": "BTC-USDT", "count": 20_000, "for": 0.2}
        programs.post_json(f"{self.world.simulator_url}/control/burst", burst)
        broken = {"alertname": f"Broken{turn}", "category": "pipeline", "severity": "critical"}
        programs.post_json(f"http://{self.alertmanager}/api/v2/alerts", [{"labels": broken}])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Start simulator, exporter, relay, Alertmanager and Prometheus with the shipped rules."""
    folder = tmp_path_factory.mktemp("dashboards")
    binary = programs.program("alertmanager", "prometheus-alertmanager")
    with ExitStack() as stack:
        told = stack.enter_context(serving())
        # One that works, and one to which nothing can be delivered.
        receivers = [
            receiver("line", told.url, storm={"messages": 1}),
            receiver("discord", "http://127.0.0.1:9"),
        ]
        _, relay_url = stack.enter_context(relay(write(folder, receivers)))
        venues = "--venues=binance,okx,kraken,coinbase"
        symbols = f"--symbols={MONEY.strip('[]').replace(' ', '')},{PERPETUAL}"
        address = f"127.0.0.1:{programs.free_port()}"
        text = partial(_config, stack, address)
        pieces = stack.enter_context(simulated(folder, text, venues, symbols, *QUIET))
        world = stack.enter_context(watched(*pieces, f"--storage.path={folder / 'state'}"))
        crowded = stack.enter_context(_crowded(folder, pieces))
        alertmanager = _alertmanager(stack, binary, folder, relay_url, address)
        scrape = SCRAPE.format(
            rules=_rules(folder),
            alertmanager=alertmanager,
            exporter=world.url.removeprefix("http://"),
            crowded=crowded,
            relay=relay_url.removeprefix("http://"),
        )
        _remember(folder)
        running, url = stack.enter_context(programs.prometheus(folder, scrape))
        # It scrapes itself too, at an address that is known only now.
        itself = f"- {{job_name: prometheus, static_configs: [{{targets: ['{url[7:]}']}}]}}\n"
        (folder / "prometheus.yml").write_text(scrape + itself)
        running.popen.send_signal(signal.SIGHUP)
        yield Stage(world, url, relay_url, alertmanager)


def _config(stack: ExitStack, alertmanager: str, there: dict[str, str]) -> str:
    target = f"{{name: away, url: '{there['kraken']}/0/public/Time', interval: 500ms}}"
    # Five ticks a second see a step as a slope: twice the sensitivity makes up for it.
    signals = ", ".join(
        f"{name}: {{sensitivity: 2}}" for name in ("probe_latency", "stream_latency")
    )
    anomaly = f"anomaly: {{tick: 200ms, baseline: true, signals: {{{signals}}}}}"
    gates = "gates: [{name: all, exchanges: [kraken, okx], needs: [probe], open_after: 5s}]"
    push = f"alertmanagers: [{{url: 'http://{alertmanager}'}}]"
    pegs = "pegs: [{asset: USDT, against: USD, low: 0.9, high: 1.1}]"
    # One of them is of the path at which OKX is probed.
    facts = FILES / "newer.yml"
    signed = f"deadlines: {{file: '{facts}', public_key: {KEY}}}"
    extra = f"control_targets: [{target}]\n{anomaly}\n{gates}\n{push}\n{pegs}\n{signed}"
    # One exchange over TLS and by a name, which must be resolved; one with a short queue, whose
    # silences are held against REST.
    plain = urlsplit(there["kraken"])
    port = stack.enter_context(tls(int(plain.port or 0)))
    there["kraken"] = f"https://localhost:{port}{plain.path}"
    text = config(there, extra).replace(SYMBOLS, MONEY)
    for room in ("probes", "streams"):
        text = text.replace(f"{room}: {{", f"{room}: {{ca_file: '{AUTHORITY}', ")
    stream = "name: market, queue: 16, queue_policy: drop_oldest, cross_check: 5s"
    # One names its markets by a pattern, of which a panel tells.
    named = f"- venue: binance\n  symbols: {MONEY}"
    text = text.replace(named, "- venue: binance\n  symbols: ['*-USDT', '*-USD']")
    # One is asked for all that is off where nobody asks for it.
    wanted = (
        "- venue: okx\n  perpetuals: {watch: true, interval: 5s}\n"
        "  instruments: {watch: true, interval: 10s}\n"
        "  liquidity: {bps: [10, 50], sizes: [10000]}\n  provider: aws/apne1-az4\n"
        "  schema_watch: true\n"
    )
    usual = f"- venue: okx\n  symbols: {MONEY}"
    assert usual in text
    text = text.replace(usual, f"- venue: okx\n  symbols: {MONEY[:-1]}, {PERPETUAL}]")
    text = text.replace("- venue: okx\n", wanted)
    endpoint = "name: time, provider: cloudfront"
    own = f"- venue: coinbase\n  streams: [{{{stream}}}]\n  endpoints: [{{{endpoint}}}]\n"
    return text.replace("- venue: coinbase\n", own)


@contextmanager
def _crowded(folder: Path, pieces: tuple[programs.Process, str, Path]) -> Iterator[str]:
    """Run a second exporter, one shard that does not publish all; return its address."""
    simulator, url, file = pieces
    small = folder / "crowded.yml"
    small.write_text(file.read_text() + "metrics: {series_limit: 300}\n")
    with watched(simulator, url, small, "--shard=0/1") as world:
        yield world.url.removeprefix("http://")


def _remember(folder: Path) -> None:
    """Return Prometheus half an hour of history, of which bands are made; ten minutes old, too."""
    now = int(datetime.now(UTC).timestamp())
    lines = ["# TYPE exchange_signal:band_input:mean5m gauge"]
    for signal_ in ("probe_latency", "message_rate", "spread"):
        labels = f'{{job="exchange-exporter",exchange="binance",signal="{signal_}"}}'
        lines += [
            f"exchange_signal:band_input:mean5m{labels} {1 + moment % 7} {moment}"
            for moment in range(now - 2400, now - 600, 30)
        ]
    text = folder / "history.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]))
    tool = programs.program("promtool", "prometheus")
    command = [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _rules(folder: Path) -> Path:
    """Copy the rules, evaluated every two seconds, so that nobody waits for a minute's group."""
    copies = folder / "rules"
    copies.mkdir()
    for path in (ROOT / "alert_rules").glob("*.yml"):
        if path.stem != "alertmanager":
            text = re.sub(r"interval: \d+[sm]\b", "interval: 2s", path.read_text())
            (copies / path.name).write_text(text)
    return copies


def _alertmanager(stack: ExitStack, binary: str, folder: Path, relay_url: str, address: str) -> str:
    """Start Alertmanager on the shipped config, with the relay's address; return its own."""
    text = (ROOT / "alert_rules/alertmanager.yml").read_text()
    file = folder / "alertmanager.yml"
    post = f"{relay_url}/api/v1/alertmanager"
    text = re.sub(r"http://127\.0\.0\.1:9719/\S*", post, text)
    refusing = f"- name: pipeline\n    webhook_configs: [{{url: '{relay_url}/nowhere'}}]\n"
    assert "- name: pipeline\n" in text
    file.write_text(text.replace("- name: pipeline\n", refusing))
    stack.enter_context(
        programs.process(
            binary,
            f"--config.file={file}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        )
    )
    ready = f"http://{address}/-/ready"
    programs.eventually(lambda: programs.get(ready), "Alertmanager is ready")
    return address


def test_panels_speak_while_all_is_well(stage: Stage) -> None:
    """Every query has data soon after a healthy start, but for those that tell of faults."""
    expected = set(UNDER_FAULTS)
    assert expected <= {each.name for each in asked()}, "an excuse for a panel that is not there"
    silent = stage.listen(WARM_UP, expected)
    assert sorted(silent - expected) == []


def test_no_figure_is_red_while_all_is_well(stage: Stage) -> None:
    """Red stands for something to do; a start does not look like an outage."""
    red = {
        cell.name
        for cell in cells()
        for value in stage.values(cell.query)
        if cell.colour(value) == BAD
    }
    assert sorted(red - RED_HERE.keys()) == []


@pytest.mark.long
def test_the_rest_speaks_under_faults(stage: Stage) -> None:
    """What was silent speaks when the fault that it is for is there."""
    ready = 'exchange_anomaly_ready{exchange="okx",signal="stream_latency"} == 1'
    programs.eventually(lambda: programs.query(stage.prometheus, ready), "learnt", within=120)
    assert sorted(stage.listen(240.0, set(), provoked=True)) == []
