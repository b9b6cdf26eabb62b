"""The real Prometheus scrapes the exporter, and finds what was promised."""

from __future__ import annotations

import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import World

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.xdist_group("scrape")]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: openmetrics
  static_configs: [{{targets: ["{openmetrics}"]}}]
- job_name: text
  static_configs: [{{targets: ["{text}"]}}]
"""
THREE = ("--no-limits", "--venues=binance,bybit,okx")
EXPECTED = (
    'exchange_probe_success{exchange="binance",endpoint="time"} == 1',
    'rate(exchange_probes_total{exchange="okx",outcome="success"}[20s]) > 0',
    "histogram_quantile(0.9, sum by (le) (rate(exchange_probe_duration_seconds_bucket[20s]))) > 0",
    'sum by (phase) (rate(exchange_probe_phase_duration_seconds_count{phase="connect"}[30s]))',
    'exchange_stream_connected{exchange="bybit"} == 1',
    'rate(exchange_stream_messages_total{channel="trades",kind="data"}[20s]) > 0',
    "time() - exchange_stream_last_message_timestamp_seconds < 5",
    'exchange_stream_subscriptions{exchange="okx",state="live"} == 6',
    "rate(exchange_stream_latency_seconds_count[20s]) > 0",
    "exchange_stream_sequence_gaps_total == 0",
    'exchange_circuit_breaker_state{state="closed"} == 1',
    "exchange_queue_capacity > 0",
    "exchange_clock_offset_error_seconds < 0.1",
    "exchange_mid_price > 0",
    'exchange_anomaly_score{detector="zscore"} >= 0',
    "exchange_exporter_series < 15000",
    "process_resident_memory_bytes > 0",
)


@contextmanager
def as_text(url: str) -> Iterator[str]:
    """Stand between a scraper and the exporter, and ask for the text format in its name."""

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = urllib.request.Request(f"{url}/metrics", headers={"Accept": "text/plain"})
            with urllib.request.urlopen(request, timeout=5) as reply:
                kind, body = reply.headers["Content-Type"], reply.read()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.usefixtures("generation")
def test_prometheus_scrapes_both_formats(start: Callable[..., World], tmp_path: Path) -> None:
    """For 30 s no scrape fails in either format, and every expected series can be queried."""
    programs.program("prometheus")
    world = start(*THREE)
    with as_text(world.url) as text:
        targets = CONFIG.format(openmetrics=world.url.removeprefix("http://"), text=text)
        with programs.prometheus(tmp_path, targets) as (_, prometheus):
            for job in ("openmetrics", "text"):
                count = f'count_over_time(up{{job="{job}"}}[5m]) >= 30'
                programs.eventually(partial(programs.query, prometheus, count), "30 scrapes")
                assert not programs.query(prometheus, f'min_over_time(up{{job="{job}"}}[5m]) < 1')
                for expression in EXPECTED:
                    narrowed = expression.replace("{", f'{{job="{job}",', 1)
                    assert programs.query(prometheus, narrowed), (job, expression)
            kinds = programs.get_json(f"{prometheus}/api/v1/targets")["data"]["activeTargets"]
            assert [target["lastError"] for target in kinds] == ["", ""]
            metadata = programs.get_json(f"{prometheus}/api/v1/targets/metadata?match_target={{}}")
            assert any(each["type"] == "histogram" for each in metadata["data"])


@pytest.mark.usefixtures("generation")
def test_promtool_accepts_the_live_page(start: Callable[..., World]) -> None:
    """`promtool check metrics` finds nothing on the page of a running exporter."""
    promtool = programs.program("promtool", "prometheus")
    page = programs.get(f"{start(*THREE).url}/metrics")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
