"""`relay triage --from FILE` says what is wrong with a file that holds no incident."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from exporter.cli import _triage as triage

NOW = 1_700_000_000.0


def _other(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (id)")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "found no alerts, expected an object with a list of them"),
        (b"null", "found no alerts, expected an object with a list of them"),
        (b"\0" * 1000, "Expecting value"),
        (b'{"alerts": []}', "the list is empty"),
        (b'{"alerts": ' + b"[" * 100_000, "no alerts in it"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "recursion"),
        (b'{"title": 5}', "Expected `str`, got `int` - at `$.title`"),
        (b'{"title": "X", "colour": 1}', "unknown field `colour`"),
        (b"SQLite format 3\0", "file is not a database"),
    ],
)
def test_a_file_without_an_incident(tmp_path: Path, body: bytes, complaint: str) -> None:
    """One line with the file's name, of the form that the file has."""
    file = tmp_path / "file"
    file.write_bytes(body)
    with pytest.raises(triage.NoIncidentError, match=r"^[^\n]*$") as caught:
        triage.read(file, None, NOW)
    assert str(caught.value).startswith(f"{file}: ")
    assert complaint in str(caught.value)


def test_other_things_than_files(tmp_path: Path) -> None:
    """A folder, a device without an end, and a database of somebody else."""
    _other(tmp_path / "other.db")
    for path, complaint in (
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "larger than 64 MiB"),
        (tmp_path / "other.db", "no such table: incidents"),
    ):
        with pytest.raises(triage.NoIncidentError, match=complaint):
            triage.read(path, None, NOW)


def test_an_alert_by_hand_in_another_encoding(tmp_path: Path) -> None:
    """What the relay takes is taken here too."""
    file = tmp_path / "plain.json"
    file.write_bytes(json.dumps({"title": "By hand", "severity": "critical"}).encode("utf-16"))
    assert triage.read(file, None, NOW).firing[0].name == "By hand"
