"""Peers that do their worst, over real sockets: bounded in memory and time, each by its reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import Samples
from tests.live.hostile import CERTIFICATES, Hostile, hostile

pytestmark = [pytest.mark.live, pytest.mark.timeout(150), pytest.mark.xdist_group("hostile")]

# Bytes that all attacks at once may cost; measured: 33 MB. Messages that are too long, in fragments
# or inflated, cost up to 27 MB alone with streams.max_message at 4 MiB, the others less than 20 MB.
MORE = 50e6
PROBES = {
    "endless_body": "body_invalid",
    "endless_headers": "body_invalid",
    "endless_line": "body_invalid",
    "endless_interim": "body_invalid",
    "endless_chunk_size": "body_invalid",
    "zip_bomb": "body_invalid",
    "trickle": "read_timeout",
}
CERTIFIED = {"wrong_name": "tls", "self_signed": "tls", "expired": "cert_expired"}
STREAMS = {
    "giant_frame": "protocol_error",
    "endless_fragments": "protocol_error",
    "frame_bomb": "protocol_error",
    "close_flood": "server_close",
    "ping_flood": "network",  # whose answers nobody reads
}
FLOODS = ("tiny_frames", "endless_handshake")


def _config(peer: Hostile) -> str:
    lines = [
        f"probes: {{interval: 500ms, timeout: 2s, ca_file: {CERTIFICATES / 'ca.pem'}}}",
        f"streams: {{backoff_base: 200ms, backoff_cap: 1s, ca_file: {CERTIFICATES / 'ca.pem'}}}",
        "anomaly: {enabled: false}",
        "exchanges:",
    ]
    for name in PROBES:
        url = f"http://127.0.0.1:{peer.ports['plain']}/{name}"
        lines.append(
            f"- {{name: {name}, venue: binance, streams: [], status_page: false, "
            f"breaker: {{failures: 1000}}, limits: {{weight: 100000, share: 100%}}, "
            f"endpoints: [{{name: ping, url: '{url}'}}]}}"
        )
    for name in CERTIFIED:
        host = "127.0.0.2" if name == "wrong_name" else "127.0.0.1"
        where = f"{host}:{peer.ports[name]}/{name}"
        lines.append(
            f"- {{name: {name}, venue: binance, symbols: [BTC-USDT], status_page: false, "
            f"breaker: {{failures: 1000}}, limits: {{weight: 100000, share: 100%}}, "
            f"endpoints: [{{name: ping, url: 'https://{where}'}}], stream_url: 'wss://{where}'}}"
        )
    for name in (*STREAMS, *FLOODS):
        url = f"ws://127.0.0.1:{peer.ports['plain']}/{name}"
        lines.append(
            f"- {{name: {name}, venue: binance, symbols: [BTC-USDT], endpoints: [], "
            f"status_page: false, stream_url: '{url}', streams: [{{channels: [trades]}}]}}"
        )
    return "\n".join(lines) + "\n"


def _peak(process: programs.Process) -> int:
    """Give the most memory that a process ever had, bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_hostile_peers_cost_little_and_are_told_apart(tmp_path: Path) -> None:
    """All at once cost a bounded amount; each shows in its metric, and the page stays quick."""
    with hostile() as peer:
        file = tmp_path / "hostile.yml"
        file.write_text(_config(peer))
        port = programs.free_port()
        address = f"--web.listen-address=127.0.0.1:{port}"
        with programs.command("run", f"--config.file={file}", address) as exporter:
            url = f"http://127.0.0.1:{port}"

            def scrape() -> Samples:
                return Samples(programs.get(f"{url}/metrics", timeout=3.0))

            programs.eventually(lambda: programs.get(f"{url}/-/ready"), "ready", within=30)
            programs.eventually(
                lambda: scrape().total("exchange_stream_connected") == len(STREAMS) + len(FLOODS),
                "all streams of the calm peer are connected",
                within=20,
            )
            time.sleep(1.0)
            before, begun = _peak(exporter), time.monotonic()
            peer.angry.set()

            def told(page: Samples) -> bool:
                for name, reason in {**PROBES, **CERTIFIED}.items():
                    labels = {"exchange": name, "reason": reason}
                    assert page.total("exchange_probe_failures_total", **labels) > 2, labels
                for name, reason in STREAMS.items():
                    labels = {"exchange": name, "reason": reason}
                    assert page.total("exchange_stream_disconnects_total", **labels) > 1, labels
                for name in (*CERTIFIED, "endless_handshake"):
                    labels = {"exchange": name, "result": "failure"}
                    assert page.total("exchange_stream_connects_total", **labels) > 2, labels
                tiny = page.total("exchange_stream_received_bytes_total", exchange="tiny_frames")
                assert tiny >= 200_000
                return True

            programs.eventually(lambda: told(scrape()), "every attack has its reason", within=40)
            slowest, page = 0.0, scrape()
            while time.monotonic() - begun < 12.0:
                asked = time.monotonic()
                page = scrape()
                slowest = max(slowest, time.monotonic() - asked)
                time.sleep(0.25)
            cost = _peak(exporter) - before
            print(f"cost {cost / 1e6:.1f} MB, slowest scrape {slowest:.2f} s")  # noqa: T201 - shown by pytest -s
            assert cost < MORE
            assert slowest < 3.0
            assert page.total("exchange_exporter_task_restarts_total") == 0
            # Who closes at once is not called at once: the wait grows to a second.
            assert peer.visits["close_flood"] < 4 * (time.monotonic() - begun) + 10
            assert exporter.end() == 0
            # The event loop's own TLS layer may log what it refused; none of our own code fails.
            assert "level=error logger=exporter" not in exporter.output
