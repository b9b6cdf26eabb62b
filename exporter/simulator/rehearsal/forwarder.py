"""Stands in for Alertmanager in a drill: posts what an exporter pushes to a relay, each alert once.

Only for a drill on a machine without Alertmanager. It groups nothing, repeats nothing, and marks
every alert as a drill; in earnest Alertmanager stands there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.simulator.rehearsal.talk import RehearsalError, ask

_MOST = 8 << 20  # bytes of a push
_KEPT = 100  # alerts of a drill


class Forwarder(ThreadingHTTPServer):
    """Takes ``POST /api/v2/alerts`` at ``url``; what is critical goes to the relay's webhook."""

    daemon_threads = True

    def __init__(self, relay: str) -> None:
        super().__init__(("127.0.0.1", 0), _Push)
        self.address = f"127.0.0.1:{self.server_port}"
        self.failure: str | None = None  # why the relay did not take the last post
        self._relay = relay
        self._known: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def take(self, alerts: list[dict[str, Any]]) -> None:
        """Post those critical alerts that are new."""
        with self._lock:
            for alert in alerts:
                key = json.dumps(alert["labels"], sort_keys=True)
                critical = alert["labels"].get("severity") == "critical"
                if critical and key not in self._known and len(self._known) < _KEPT:
                    self._known[key] = _as_drill(alert)
                    self._post(self._known[key])

    def end(self) -> None:
        """Post the end of each alert that was posted."""
        with self._lock:
            for alert in self._known.values():
                self._post(alert | {"status": "resolved", "endsAt": _now()})

    def _post(self, alert: dict[str, Any]) -> None:
        labels = alert["labels"]
        post = {
            "version": "4",
            "receiver": "drill",
            "status": alert["status"],
            "groupKey": f"drill:{labels['alertname']}:{labels.get('exchange', '')}",
            "groupLabels": {"alertname": labels["alertname"]},
            "alerts": [alert],
        }
        try:
            ask(f"{self._relay}/api/v1/alertmanager", "POST", post)
            self.failure = None
        except RehearsalError as error:
            self.failure = str(error)


def _as_drill(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert as Alertmanager would post it, with words by which it is seen as a drill."""
    labels, notes = alert["labels"], alert.get("annotations", {})
    summary = f"This is a drill with a simulated exchange. {notes.get('summary', '')}".strip()
    action = f"Nothing now. In earnest: {notes.get('action', '')}"
    return {
        "status": "firing",
        "labels": labels | {"alertname": f"Drill {labels['alertname']}"},
        "annotations": notes | {"summary": summary, "action": action.strip()},
        "startsAt": alert["startsAt"],
        "endsAt": "0001-01-01T00:00:00Z",
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class _Push(BaseHTTPRequestHandler):
    """One push of the exporter."""

    server: Forwarder

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), _MOST)
        self.server.take(json.loads(self.rfile.read(length)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        """Say nothing."""


@contextmanager
def forwarding(relay: str) -> Iterator[Forwarder]:
    """Forward to the relay at that base URL, for the length of a ``with``."""
    forwarder = Forwarder(relay)
    thread = threading.Thread(target=forwarder.serve_forever, daemon=True)
    thread.start()
    try:
        yield forwarder
    finally:
        forwarder.shutdown()
        forwarder.server_close()
        thread.join(5.0)
