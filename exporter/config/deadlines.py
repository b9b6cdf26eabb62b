"""The keys of what is known of announced ends of APIs."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import BesideConfig, duration, text, url
from exporter.config.section import key


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinesConfig:
    """Where to look for newer facts about announced ends of APIs than the program came with.

    A file is followed only if it is signed with the key and not older than the one in force.
    """

    file: str | None = key(
        BesideConfig(),
        None,
        "A signed file of deadlines, relative to the config; read again when it changes.",
    )
    url: str | None = key(url("http", "https"), None, "Where to fetch such a file.")
    interval: float = key(duration("1m", "30d"), "6h", "Time between two requests to the URL.")
    public_key: str | None = key(
        text("an Ed25519 public key, base64 of 32 bytes", r"[A-Za-z0-9+/]{43}="),
        None,
        "The key that files must be signed with. Default: that of the project.",
    )
