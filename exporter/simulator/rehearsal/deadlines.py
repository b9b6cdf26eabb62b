"""The signed file of known deadlines that a rehearsal's exporters follow, by a key of its own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# An endpoint that each rehearsal's exporter asks.
_VENUE, _ENDS = "okx", "/api/v5/public/time"


class SignedDeadlines:
    """A file that announces nothing, or one end; its key lives as long as the rehearsal."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = Ed25519PrivateKey.generate()
        self.announce(None)

    @property
    def config(self) -> dict[str, str]:
        """Return the section ``deadlines`` of a config that follows it."""
        public = self._key.public_key().public_bytes_raw()
        return {"file": str(self.file), "public_key": base64.b64encode(public).decode()}

    def announce(self, days: float | None) -> None:
        """Replace the file: an endpoint ends within so many days, or nothing does."""
        now = datetime.now(UTC).replace(microsecond=0)
        fact = {
            "venue": _VENUE,
            "path": _ENDS,
            "change": "retired",
            "replacement": "nothing, this is a rehearsal",
            "source": "made for a rehearsal",
            "read": now.date(),
        }
        ends = [] if days is None else [{**fact, "date": (now + timedelta(days=days)).date()}]
        signed = yaml.safe_dump({"issued": now, "deadlines": ends}, sort_keys=False).encode()
        signature = base64.b64encode(self._key.sign(signed))
        new = self.file.with_suffix(".new")
        new.write_bytes(signed + b"# ed25519: " + signature + b"\n")
        new.replace(self.file)  # never read half written
