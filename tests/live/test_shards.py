"""Four processes that share the exchanges give Prometheus what one that watches all does."""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.live import programs
from tests.live.conftest import config
from tests.live.worlds import NO_LIMITS, simulated

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("shards")]

RULES = ("recording.yml", "availability.yml")
VENUES = ("binance", "bybit", "coinbase", "kraken", "kucoin", "okx")
SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
- {{job_name: whole, static_configs: [{{targets: [{whole}]}}]}}
- {{job_name: shards, static_configs: [{{targets: [{shards}]}}]}}
"""
FRUGAL = "anomaly: {enabled: false}"
QUOTES = "  streams: [{name: market, channels: [quotes]}]"
# The endpoints of one exchange are spread, those of the others stay together.
_OWN = ", ".join(f"{{name: e{number}, path: /api/v5/public/time}}" for number in range(6))
SPREAD = f"- venue: okx\n  spread_endpoints: true\n  endpoints: [{{name: time}}, {_OWN}]\n"


def _values(prometheus: str, expression: str) -> dict[tuple[str, ...], dict[str, float]]:
    """Evaluate a rule's series; return the value by job, for each set of other labels."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for row in programs.query(prometheus, expression):
        labels = {name: text for name, text in row["metric"].items() if name != "__name__"}
        job = labels.pop("job")
        found.setdefault(tuple(sorted(labels.values())), {})[job] = float(row["value"][1])
    return found


def _same(prometheus: str, record: str, count: int, within: float) -> bool:
    """Return whether both jobs have ``count`` series of a rule, and values this near."""
    found = _values(prometheus, record)
    assert len(found) == count, (record, found)
    for labels, by_job in found.items():
        assert by_job.keys() == {"whole", "shards"}, (record, labels, by_job)
        whole, shards = by_job["whole"], by_job["shards"]
        assert abs(whole - shards) <= within * max(1.0, abs(whole)), (record, labels, by_job)
    return True


def test_four_shards_say_what_one_process_says(tmp_path: Path) -> None:
    """Consensus price, quorum and success ratio are the same, with an exchange down, too."""
    programs.program("prometheus")
    for name in RULES:
        text = (ROOT / "alert_rules" / name).read_text()
        (tmp_path / name).write_text(re.sub(r"interval: \d+s", "interval: 1s", text))
    with ExitStack() as stack:
        _, control, file = stack.enter_context(
            simulated(
                tmp_path,
                lambda places: config(places, FRUGAL, QUOTES).replace("- venue: okx\n", SPREAD),
                NO_LIMITS,
                f"--venues={','.join(VENUES)}",
                "--symbols=BTC-USDT,ETH-USDT",
                "--rate=1",
                "--book-rate=2",
            )
        )
        targets = []
        for more in ([], *([f"--shard={index}/4"] for index in range(4))):
            port = programs.free_port()
            address = f"--web.listen-address=127.0.0.1:{port}"
            stack.enter_context(programs.command("run", f"--config.file={file}", address, *more))
            targets.append(f"127.0.0.1:{port}")
        for target in targets:
            ready = partial(programs.get, f"http://{target}/-/ready")
            programs.eventually(ready, "the exporter is ready")
        scrapes = SCRAPES.format(
            rules=", ".join(RULES), whole=targets[0], shards=",".join(targets[1:])
        )
        _, prometheus = stack.enter_context(programs.prometheus(tmp_path, scrapes))

        def compare(record: str, count: int, within: float) -> None:
            programs.eventually(lambda: _same(prometheus, record, count, within), record)

        compare("symbol:consensus_venues:count", 2, 0.0)
        compare("symbol:consensus_price:median", 2, 0.002)
        compare("exchange:venue_down:sites", len(VENUES), 0.0)
        compare("exchange:probe_errors:ratio_rate5m", len(VENUES), 0.0)
        assert {
            labels[0]: by_job["shards"]
            for labels, by_job in _values(
                prometheus, "sum by (job, shards) (exchange_exporter_shard_info)"
            ).items()
        } == {"4": 4.0}
        parts = 'count(count by (instance) (exchange_probe_success{job="shards", exchange="okx"}))'
        assert float(programs.query(prometheus, parts)[0]["value"][1]) > 1
        # No endpoint and no exchange is watched twice, none never.
        probed = _values(prometheus, "count by (job, exchange, endpoint) (exchange_probe_success)")
        assert len(probed) > len(VENUES) + 6
        assert all(each == {"whole": 1.0, "shards": 1.0} for each in probed.values()), probed
        watched = _values(prometheus, "count by (job, exchange) (exchange_stream_connected)")
        assert watched == {(name,): {"whole": 1.0, "shards": 1.0} for name in VENUES}

        programs.post_json(f"{control}/control/faults", {"venue": "okx", "fault": "reset"})
        down = 'exchange:venue_down:sites{exchange="okx"} == 1'
        programs.eventually(lambda: len(programs.query(prometheus, down)) == 2, "both see it down")
        compare("exchange:venue_down:sites", len(VENUES), 0.0)
        compare("symbol:consensus_venues:count == 5", 2, 0.0)
        compare("symbol:consensus_price:median", 2, 0.002)
        compare("exchange:probe_errors:ratio_rate5m", len(VENUES), 0.05)
        compare("exchange:tradable:ratio_rate5m", len(VENUES), 0.1)
