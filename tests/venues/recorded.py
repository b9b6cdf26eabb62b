"""What venues were seen to send: ``frames/<venue>.jsonl`` and ``frames/<venue>.rest.json``.

``.jsonl``, one line each:
- the first: a JSON object that says when and where the frames were recorded (``recorded``,
  ``where``), what is from documentation instead (``documented``), what was redacted (``redacted``);
- a JSON object or array: a frame, byte for byte;
- a JSON string: a frame that is no JSON (``"pong"``);
- ``base64:...``: a binary frame.

``.rest.json``: an object with the same header under ``about``, and one REST body for each of the
venue's readers: under the endpoint's name, ``markets``, ``snapshot`` or ``prelude``; silences are
held against ``ticker``, or ``ticker.<channel>`` where a channel has its own.
"""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FRAMES = Path(__file__).parent / "frames"
HEADER = ("recorded", "where", "documented", "redacted")


@cache
def frames(venue: str) -> tuple[bytes, ...]:
    """Return the recorded frames of a venue; a venue without any fails, and is told what to do."""
    path = FRAMES / f"{venue}.jsonl"
    if not path.exists():
        pytest.fail(
            f"{venue} has no recorded frames. Write {path.relative_to(FRAMES.parent)}: a header "
            f'line {{"recorded": when, "where": URL, "documented": what is not recorded, '
            f'"redacted": what}}, then about a dozen frames, one of every kind the venue sends, '
            f"one a line, as tests/venues/recorded.py describes."
        )
    header, *lines = path.read_bytes().splitlines()
    check_header(path, json.loads(header))
    return tuple(_frame(line) for line in lines if line.strip())


def _frame(line: bytes) -> bytes:
    if line.startswith(b"base64:"):
        return b64decode(line.removeprefix(b"base64:"), validate=True)
    if line.startswith(b'"'):
        text: str = json.loads(line)
        return text.encode()
    return line


@cache
def bodies(venue: str) -> dict[str, bytes]:
    """Return the recorded REST bodies of a venue by the name of their reader."""
    path = FRAMES / f"{venue}.rest.json"
    if not path.exists():
        pytest.fail(
            f"{venue} has no recorded REST bodies. Write {path.relative_to(FRAMES.parent)}: an "
            f"object of bodies by endpoint, `markets` and `snapshot`, with a header under `about`, "
            f"as tests/venues/recorded.py describes."
        )
    found: dict[str, Any] = json.loads(path.read_bytes())
    check_header(path, found.pop("about"))
    return {name: json.dumps(body).encode() for name, body in found.items()}


def check_header(path: Path, header: object) -> None:
    """Fail unless the header of a file says where its contents come from."""
    known = isinstance(header, dict) and all(isinstance(header.get(key), str) for key in HEADER)
    assert known, f"{path.name} must begin with a JSON object with the texts {', '.join(HEADER)}"
