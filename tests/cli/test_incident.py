"""`exchange-exporter incident`: one record out of a spool, a real Prometheus and an exporter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exporter.__main__ import main
from exporter.relay import outbox, store
from exporter.relay.incident_store import IncidentStore, IncidentStoreSettings
from exporter.relay.outbox import DeliveryState
from exporter.relay.store import connect
from tests.live import programs
from tests.relay.parts import EPOCH, make, post, receiver

ODD = "okx | does *not* answer\n<b>"


@pytest.fixture
def spool(tmp_path: Path) -> tuple[Path, str]:
    """Return a spool with one incident: begun at EPOCH, heard 5 s later, paged, ended, and its id.

    The page is confirmed after 1.5 s, the end is refused after three attempts.
    """
    path = tmp_path / "relay.db"
    with closing(connect(path)) as db:
        outbox.begin(db)
        ledger = IncidentStore((receiver(to=("+66 1",)),), IncidentStoreSettings())
        begun = make(annotations={"summary": ODD})
        (page,) = ledger.take(db, post(begun), EPOCH + 5.0).pending
        outbox.start(db, page.id)
        outbox.finish(
            db, page.id, DeliveryState.DELIVERED, now=EPOCH + 6.5, provider_id="message-1"
        )
        ended = make(firing=False, end=EPOCH + 600.0, annotations={"summary": ODD})
        (end,) = ledger.take(db, post(ended), EPOCH + 605.0).pending
        for _ in range(3):
            outbox.start(db, end.id)
            outbox.postpone(db, end.id, due=0.0, detail="503")
        outbox.finish(db, end.id, DeliveryState.DEAD, now=EPOCH + 900.0, detail="gone for good")
        (found,) = db.execute("SELECT id FROM incidents").fetchall()
    return path, found["id"]


def _record(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["incident", *flags]) == 0
    return capsys.readouterr().out


def test_what_the_spool_knows(spool: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Detection, page, delivery, failure and end, in order; recipients stay in the spool."""
    path, name = spool
    text = _record(capsys, name, f"--spool={path}", "--format=json")
    found = json.loads(text)
    assert [(each["time"] - EPOCH, each["step"], each["text"]) for each in found["course"]] == [
        (0.0, "detection", "ExchangeDown okx begins to fire"),
        (5.0, "relay", "the relay hears of it"),
        (5.0, "page", "firing is queued for webhook"),
        (6.5, "delivery", "webhook confirms firing"),
        (600.0, "end", "ExchangeDown okx ends"),
        (605.0, "page", "resolved is queued for webhook"),
        (605.0, "end", "the incident is resolved"),
        (900.0, "failure", "webhook: resolved is dead, 3 attempts"),
    ]
    assert (found["delivered"], found["ended"]) == (EPOCH + 6.5, EPOCH + 605.0)
    assert [each["seconds"] for each in found["deliveries"]] == [1.5, 295.0]
    assert found["deliveries"][0]["message_id"] == "message-1"
    assert found["unknown"] == ["Prometheus was not asked", "the exporter was not asked"]
    assert "+66" not in text


def test_it_is_a_page_to_hand_on(
    spool: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Texts of strangers break neither table nor markup; what nobody knew is said."""
    path, name = spool
    file = tmp_path / "record.md"
    assert _record(capsys, name, f"--spool={path}", f"--out={file}") == ""
    text = file.read_text()
    assert text.startswith(f"# Incident {name}: okx\n")
    assert "| okx \\| does \\*not\\* answer \\<b\\> |" in text
    assert "| First bad sample | not known |" in text
    assert "| From detection to confirmed page | 6.5 s |" in text
    assert "| Length | 10 min 05 s |" in text
    assert "- Prometheus was not asked" in text


def test_the_list_and_what_is_not_there(
    spool: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without an id the newest are listed; an unknown one, and a file that is none, are said so."""
    path, name = spool
    listed = _record(capsys, f"--spool={path}")
    assert listed.split()[0] == name
    assert "okx  ExchangeDown" in listed
    assert main(["incident", "x-1", f"--spool={path}"]) == 1
    assert "no incident x-1" in capsys.readouterr().err
    assert main(["incident", f"--spool={tmp_path / 'none.db'}"]) == 2
    assert "no such spool" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("not a database at all, but long enough to look at" * 20)
    assert main(["incident", f"--spool={tmp_path / 'text.db'}"]) == 2
    assert "file is not a database" in capsys.readouterr().err
    assert main(["incident", name, f"--spool={path}", "--prometheus.url=nowhere"]) == 2
    silent = ["--prometheus.url=http://127.0.0.1:9", "--exporter.url=http://127.0.0.1:9"]
    found = _record(capsys, name, f"--spool={path}", *silent)
    assert found.count("did not answer") == 2
    with closing(store.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM incidents").fetchone()[0] == 1


def _openmetrics() -> str:
    """Return what a Prometheus knows: bad from 30 s before, 40 failures, declared after 120 s."""
    rows: dict[str, list[str]] = {}
    for sample in range(-120, 60):
        at = EPOCH + 15.0 * sample
        bad = sample >= -2
        for name, value in (
            ('exchange_probe_success{exchange="okx",endpoint="ping"}', 0 if bad else 1),
            # Bad an hour ago and good since: no sample of this incident.
            ('exchange_book_synced{exchange="okx",symbol="A-B"}', 0 if sample < -100 else 1),
            ('exchange_incident_declared{exchange="okx",source="status_page"}',
             1 if 8 <= sample < 50 else 0),
            ('exchange_probe_failures_total{exchange="okx",endpoint="ping",reason="http_5xx"}',
             max(0, min(sample + 3, 40))),
        ):  # fmt: skip
            rows.setdefault(name, []).append(f"{name} {value} {at:.0f}")
    lines = []
    for name, found in rows.items():
        family = name.partition("{")[0]
        kind = "counter" if family.endswith("_total") else "gauge"
        lines += [f"# TYPE {family.removesuffix('_total')} {kind}", *found]
    return "\n".join([*lines, "# EOF"]) + "\n"


@contextmanager
def _prometheus(folder: Path) -> Iterator[str]:
    (folder / "series.txt").write_text(_openmetrics())
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "series.txt", "tsdb"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    keep = "--storage.tsdb.retention.time=100y"
    with programs.prometheus(folder, "global: {scrape_interval: 15s}\n", keep) as (_, url):
        yield url


@pytest.mark.live
def test_what_prometheus_adds(
    spool: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The first bad sample is the one after the last good one, and what was bad before is not."""
    path, name = spool
    with _prometheus(tmp_path) as url:
        text = _record(capsys, name, f"--spool={path}", f"--prometheus.url={url}", "--format=json")
        page = _record(capsys, name, f"--spool={path}", f"--prometheus.url={url}")
    found = json.loads(text)
    assert found["first_sample"] == {
        "time": EPOCH - 30.0,
        "series": "exchange_probe_success okx ping",
        "last_good": EPOCH - 45.0,
    }
    steps = [(each["time"] - EPOCH, each["step"]) for each in found["course"]]
    assert steps[0] == (-30.0, "sample")
    assert (120.0, "declared") in steps
    (failed,) = found["failures"]
    assert (failed["what"], failed["reason"]) == ("ping", "http_5xx")
    assert abs(failed["count"] - 40) <= 1  # increase() extends to the ends of the range
    assert "| From first bad sample to detection | 30.0 s |" in page
