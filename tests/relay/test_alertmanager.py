"""The real Alertmanager in front of the relay, on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.live.programs import eventually, free_port, get, post_json, process, program
from tests.relay import fakes
from tests.relay.programs import inside, metric, quiet, receiver, write

pytestmark = pytest.mark.live

CONFIG = """\
route:
  receiver: relay
  group_by: [alertname, exchange]
  group_wait: 50ms
  group_interval: 500ms
  repeat_interval: 1s
receivers:
  - name: relay
    webhook_configs:
      - url: {url}/api/v1/alertmanager
        send_resolved: true
        http_config:
          authorization: {{credentials_file: {token}}}
"""


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Run the real Alertmanager with the relay at ``url`` as its one receiver; return its URL."""
    binary = program("prometheus-alertmanager", "alertmanager")
    folder.mkdir()
    token = folder / "token"
    token.write_text("relay-token")
    (folder / "am.yml").write_text(CONFIG.format(url=url, token=token))
    port = free_port()
    with process(
        binary,
        f"--config.file={folder / 'am.yml'}",
        f"--storage.path={folder / 'am'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ):
        own = f"http://127.0.0.1:{port}"
        eventually(lambda: get(f"{own}/-/ready"), "Alertmanager is ready")
        yield own


START = datetime.now(UTC) - timedelta(minutes=5)


def _fire(url: str, name: str, *, ended: bool = False) -> None:
    now = datetime.now(UTC)
    alert = {
        "labels": {"alertname": name, "exchange": "okx", "severity": "critical"},
        "annotations": {"summary": "okx 測試 ไม่ตอบ"},
        "startsAt": START.isoformat(),
        "endsAt": (now + timedelta(seconds=-1 if ended else 300)).isoformat(),
    }
    post_json(f"{url}/api/v2/alerts", [alert])


def test_pages_once_through_two_alertmanagers_and_a_relay_that_was_away(tmp_path: Path) -> None:
    """Repeats and twins are dropped, a post refused with 503 or no relay at all comes again."""
    login = {"bearer_token": {"env": "RELAY_TOKEN"}}
    with fakes.serving() as providers:
        file = write(
            tmp_path, [receiver("line", providers.url, cooldown="0s")], intake=login,
            incidents={"dedup_window": "1m"},
        )  # fmt: skip
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with (
            alertmanager(tmp_path / "a", url) as first,
            alertmanager(tmp_path / "b", url) as second,
        ):
            for each in (first, second):  # the relay is not there yet
                _fire(each, "ExchangeDown")
            quiet(1.0)
            with inside(file, port) as relay:
                eventually(lambda: providers.of("line"), "paged")
                dropped = "alert_relay_deduplicated_total"
                eventually(lambda: metric(relay, dropped) >= 2, "repeats came")
                assert len(providers.of("line")) == 1
                for each in (first, second):
                    _fire(each, "ExchangeDown", ended=True)
                eventually(lambda: len(providers.of("line")) == 2, "the end is told")
                quiet(1.0)
        texts = [each.body["messages"][0]["text"] for each in providers.of("line")]
        assert texts[0].startswith("[CRITICAL] ExchangeDown okx\n• okx: okx 測試 ไม่ตอบ")
        assert texts[1].startswith("[RESOLVED after")
        assert len(texts) == 2


def test_reminders_say_how_long_it_lasts(tmp_path: Path) -> None:
    """Alertmanager's own repeats, beyond the dedup window, are reminders and no new incidents."""
    with fakes.serving() as providers:
        file = write(
            tmp_path, [receiver("webhook", providers.url, cooldown="0s")],
            intake={"bearer_token": {"env": "RELAY_TOKEN"}}, incidents={"dedup_window": "1s"},
        )  # fmt: skip
        with inside(file) as relay, alertmanager(tmp_path / "a", relay) as url:
            began = time.monotonic()
            _fire(url, "ExchangeDown")
            eventually(lambda: len(providers.of("webhook")) >= 3, "reminded")
            assert time.monotonic() - began >= 2.0
        said = [each.body["occasion"] for each in providers.of("webhook")]
        assert said[:3] == ["firing", "reminder", "reminder"]
        lasted = (datetime.now(UTC) - START) // timedelta(minutes=1)
        title = providers.of("webhook")[1].body["title"]
        assert any(f"still firing after {m} min" in title for m in (lasted - 1, lasted)), title
        assert len({each.body["incident"] for each in providers.of("webhook")}) == 1
