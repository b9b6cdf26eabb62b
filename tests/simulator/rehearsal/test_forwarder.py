"""What stands in for Alertmanager in a drill: each critical alert reaches the relay once."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from exporter.simulator.rehearsal.forwarder import forwarding
from tests.live.programs import eventually
from tests.relay import fakes
from tests.relay.programs import inside, receiver, write


def push(url: str, *alerts: dict[str, object]) -> None:
    """Push alerts as the exporter does."""
    request = urllib.request.Request(f"{url}/api/v2/alerts", data=json.dumps(alerts).encode())
    urllib.request.urlopen(request, timeout=10).close()


def alert(name: str, severity: str) -> dict[str, object]:
    """Return an alert as it is pushed."""
    return {
        "labels": {"alertname": name, "severity": severity, "exchange": "okx", "category": "a"},
        "annotations": {"summary": "okx is down.", "action": "Stop."},
        "startsAt": "2026-11-30T12:00:00.000+00:00",
        "endsAt": "2026-11-30T12:04:00.000+00:00",
    }


def test_a_push_becomes_one_drill_and_its_end(tmp_path: Path) -> None:
    """Repeats and what is not critical are kept back; texts say that it is a drill."""
    with fakes.serving() as services:
        hook = receiver("discord", services.url, cooldown="0s")
        file = write(tmp_path, [hook], heartbeat={"enabled": False})
        with inside(file) as relay, forwarding(relay) as forwarder:
            for _ in range(3):
                push(f"http://{forwarder.address}", alert("ExchangeDown", "critical"))
            push(f"http://{forwarder.address}", alert("ExchangeAnomaly", "info"))
            push(f"http://{forwarder.address}")
            eventually(lambda: services.of("discord"), "paged")
            forwarder.end()
            eventually(lambda: len(services.of("discord")) == 2, "ended")
            assert forwarder.failure is None
    page, end = services.of("discord")
    embed = page.body["embeds"][0]
    assert embed["title"] == "[CRITICAL] Drill ExchangeDown okx"
    assert "This is a drill with a simulated exchange. okx is down." in embed["description"]
    assert "To do: Nothing now. In earnest" in embed["description"]
    assert (end.edit, end.id) == (True, page.id)


def test_a_relay_that_does_not_take_it_is_named() -> None:
    """The reason is kept for who waits for the page; the exporter is not refused."""
    with forwarding("http://127.0.0.1:9") as forwarder:
        push(f"http://{forwarder.address}", alert("ExchangeDown", "critical"))
        assert forwarder.failure is not None
        assert "127.0.0.1:9" in forwarder.failure
