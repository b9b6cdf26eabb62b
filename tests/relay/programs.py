"""Starts the real relay as a process of its own, and posts alerts to it as Alertmanager does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from exporter.relay.app import Relay, RelayOptions
from exporter.relay.settings import load
from tests.live.programs import Process, command, get
from tests.relay.fakes import AUTH, LINE_TOKEN, ROUTING_KEY, SID, SIGNING, TELEGRAM_TOKEN

USER = "U" + "0" * 32
SECRETS = {
    "LINE_TOKEN": LINE_TOKEN,
    "TWILIO_TOKEN": AUTH,
    "SIGNING_KEY": SIGNING,
    "TELEGRAM_TOKEN": TELEGRAM_TOKEN,
    "ROUTING_KEY": ROUTING_KEY,
    "MODEL_KEY": "model-key",
    "RELAY_TOKEN": "relay-token",
}
FAST = {"base": "50ms", "cap": "200ms", "recovery": "200ms"}


def receiver(kind: str, url: str, **more: Any) -> dict[str, Any]:
    """Return the config of one receiver that speaks to the fakes at ``url``."""
    common = {"name": kind, "type": kind, "retry": FAST, "timeout": "2s"}
    own: dict[str, dict[str, Any]] = {
        "line": {"url": f"{url}/line", "token": {"env": "LINE_TOKEN"}, "to": [USER]},
        "discord": {"url": f"{url}/discord/api/webhooks/1/abc"},
        "twilio": {"url": f"{url}/twilio", "user": SID, "token": {"env": "TWILIO_TOKEN"},
                   "sender": "+15017122661", "to": ["+886912345678"]},
        "webhook": {"url": f"{url}/webhook/in", "token": {"env": "SIGNING_KEY"}},
        "slack": {"url": f"{url}/slack/services/T/B/X"},
        "telegram": {"url": f"{url}/telegram", "token": {"env": "TELEGRAM_TOKEN"},
                     "to": ["-1001"]},
        "pagerduty": {"url": f"{url}/pagerduty", "token": {"env": "ROUTING_KEY"}},
    }  # fmt: skip
    return {**common, **own[kind], **more}


def write(folder: Path, receivers: list[dict[str, Any]], **more: Any) -> Path:
    """Write a relay's config."""
    file = folder / "relay.yml"
    file.write_text(yaml.safe_dump({"receivers": receivers, **more}, allow_unicode=True))
    return file


class Inside:
    """A relay in a thread of this process: everything of it is real but the process."""

    def __init__(self, file: Path, port: int) -> None:
        self.url = ""
        self._address = f"127.0.0.1:{port}"
        self._file = file
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None

    def _run(self) -> None:
        def ready(port: int) -> None:
            self.url = f"http://127.0.0.1:{port}"
            self._ready.set()

        options = RelayOptions(folder=self._file.parent, listen_address=self._address, ready=ready)
        try:
            config = load(self._file, SECRETS)
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(Relay(config, options).run(self._stop))
        except BaseException as error:  # noqa: BLE001 - raised where the relay was asked for
            self.error = error
        self._ready.set()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(60)
        if self.error is not None:
            raise self.error
        return self.url

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        if self.error is not None:
            raise self.error
        assert not self._thread.is_alive()


def inside(file: Path, port: int = 0) -> Inside:
    """Run the relay in this process for the length of a ``with``; return its URL."""
    return Inside(file, port)


@contextmanager
def relay(file: Path, env: dict[str, str] | None = None) -> Iterator[tuple[Process, str]]:
    """Run the relay as a process of its own; return the process and its URL."""
    arguments = ("relay", f"--config.file={file}", "--web.listen-address=127.0.0.1:0")
    with command(*arguments, env=SECRETS | (env or {})) as running:
        yield running, running.wait_line("ready ")


def alert(name: str = "ExchangeDown", **more: Any) -> dict[str, Any]:
    """Return one alert as Alertmanager posts it."""
    labels = {"alertname": name, "exchange": "okx", "severity": "critical"}
    labels |= more.pop("labels", {})
    annotations = {"summary": f"{labels['exchange']} does not answer", "action": "look"}
    annotations |= more.pop("annotations", {})
    found = {
        "status": "firing",
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-11-21T07:26:12.68104087Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"{abs(hash(tuple(sorted(labels.items())))):016x}"[:16],
        **more,
    }
    if found["status"] == "resolved" and found["endsAt"].startswith("0001"):
        found["endsAt"] = "2026-11-21T07:56:12Z"
    return found


def post_of(*alerts: dict[str, Any], group: str = "g", **more: Any) -> dict[str, Any]:
    """Return a webhook's body."""
    firing = any(each["status"] == "firing" for each in alerts)
    return {
        "receiver": "relay",
        "status": "firing" if firing else "resolved",
        "alerts": list(alerts),
        "groupLabels": {"alertname": alerts[0]["labels"].get("alertname", "")},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://am:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{group}"}}',
        "truncatedAlerts": 0,
        **more,
    }


def send(
    url: str, body: object, *, path: str = "/api/v1/alertmanager", timeout: float = 10.0,
    headers: dict[str, str] | None = None,
) -> int:  # fmt: skip
    """Post to the relay; return the status."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        url + path, data=raw, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            reply.read()
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def metric(url: str, line: str) -> float:
    """Return the value of one series of the relay's metrics; 0 when it is not there."""
    for each in get(f"{url}/metrics").splitlines():
        name, _, value = each.rpartition(" ")
        if name == line:
            return float(value)
    return 0.0


def quiet(seconds: float) -> None:
    """Wait for what must not come."""
    time.sleep(seconds)
