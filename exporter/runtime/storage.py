"""State that survives restarts, in one directory: bans, and the detectors' learnt state.

bans.json: {"version": 3, "banned_until": {exchange: epoch seconds}, "checksum": their CRC-32};
detectors.state: as the detectors write it. Each file is written whole under another name, synced
and then given its own, so that a kill at any moment leaves the old one or the new one.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from zlib import crc32

import msgspec

from exporter.config import Config
from exporter.contracts import Clock
from exporter.flow import state_file
from exporter.flow.damaged import set_aside
from exporter.flow.overflow import Overflows
from exporter.flow.state_file import Parts
from exporter.logs import SPARING
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import QueuePolicy
from exporter.probes.bans import Bans
from exporter.words import why

log = logging.getLogger(__name__)

VERSION = 3
_BANS, _LEARNT, _TIMELINES = "bans.json", "detectors.state", "timelines.json"
_LEARNT_EVERY = 60.0  # seconds between two saves of what the detectors have learnt
_LONGEST_BAN = 30 * 86400.0  # seconds; a later end than that was written by a broken clock


class StorageError(Exception):
    """The directory cannot be used; the text is one line for the user."""


class _Bans(msgspec.Struct):
    version: int
    banned_until: dict[str, float]
    checksum: int

    @classmethod
    def file(cls, until: dict[str, float]) -> bytes:
        return msgspec.json.encode(cls(VERSION, until, crc32(msgspec.json.encode(until))))


def wants_storage(config: Config) -> str | None:
    """Say what a config cannot have without a storage path, None: nothing."""
    streams = (stream for exchange in config.exchanges for stream in exchange.streams)
    policies = {config.streams.queue_policy, *(stream.queue_policy for stream in streams)}
    return "queue_policy: spill needs --storage.path" if QueuePolicy.SPILL in policies else None


class Storage:
    """The directory, which has one process at a time. Raises StorageError."""

    def __init__(self, folder: Path, registry: Registry, clock: Clock) -> None:
        self.folder, self._clock = folder, clock
        self.overflows = Overflows(folder / "spill")
        self.unsaved: tuple[str, float] | None = None  # why the last write failed, and since when
        self._saved = registry.gauge(families.STATE_SAVED)
        self._failed = registry.counter(families.STATE_SAVE_FAILURES)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = "it is a file" if folder.is_file() else error.strerror or str(error)
            raise StorageError(f"cannot use {folder}: {what}, expected a directory") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"cannot use {folder}: another process uses it") from error

    def close(self) -> None:
        """Release the lock of the directory."""
        os.close(self._lock)

    def bans(self) -> Bans:
        """Return the bans that are not over yet; none where the file cannot be read."""
        raw = self._read(_BANS)
        if raw is None:
            return Bans()
        try:
            found = msgspec.json.decode(raw, type=_Bans)
            if found.version != VERSION:
                raise ValueError(f"version {found.version}, expected {VERSION}")
            # The whole text: the last digits of a time may be other ones and mean the same.
            if raw != _Bans.file(found.banned_until):
                raise ValueError("its checksum does not match")
        except (ValueError, RecursionError) as error:
            self._set_aside(_BANS, error)
            return Bans()
        now = self._clock.wall()
        return Bans(
            {
                exchange: until
                for exchange, until in found.banned_until.items()
                if now < until < now + _LONGEST_BAN
            }
        )

    def learnt(self) -> Parts | None:
        """Return what the detectors had learnt, None where there is nothing that can be read."""
        raw = self._read(_LEARNT)
        try:
            return None if raw is None else state_file.unpack(raw)
        except ValueError as error:
            self._set_aside(_LEARNT, error)
            return None

    def save_bans(self, bans: Bans) -> None:
        """Write the bans; a disk that refuses is counted and logged."""
        bans.changed.clear()
        self._save(_BANS, _Bans.file(bans.until))

    def save_learnt(self, learnt: Parts) -> None:
        """Write what the detectors have learnt; a disk that refuses is counted and logged."""
        self._save(_LEARNT, *state_file.pack(learnt))

    def timelines(self, restore: Callable[[bytes], None]) -> None:
        """Hand over the timelines that were saved; what cannot be read is set aside."""
        raw = self._read(_TIMELINES)
        try:
            if raw is not None:
                restore(raw)
        except (ValueError, RecursionError) as error:
            self._set_aside(_TIMELINES, error)

    def save_timelines(self, raw: bytes) -> None:
        """Write the timelines; a disk that refuses is counted and logged."""
        self._save(_TIMELINES, raw)

    async def run(self, bans: Bans, snapshot: Callable[[], Awaitable[Parts]]) -> None:
        """Write each new ban at once, and what was learnt every minute, until cancelled.

        ``snapshot`` takes what was learnt as it is then; it is written in a thread.
        """
        due = self._clock.monotonic() + _LEARNT_EVERY
        while True:
            try:
                async with asyncio.timeout(due - self._clock.monotonic()):
                    await bans.changed.wait()
            except TimeoutError:
                due = self._clock.monotonic() + _LEARNT_EVERY
                await asyncio.to_thread(self.save_learnt, await snapshot())
            else:
                self.save_bans(bans)  # a few hundred bytes: not worth a thread

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("state_unreadable file=%s reason=%s", name, why(error)[:200])
            return None

    def _set_aside(self, name: str, error: Exception) -> None:
        """Keep a file that cannot be read: the next save would replace it."""
        try:
            kept: object = set_aside(self.folder / name, self.folder, name)
        except OSError as failure:
            kept = failure.strerror
        reason = why(error)[:200]
        log.error("state_damaged file=%s set_aside=%s reason=%r", self.folder / name, kept, reason)

    def _save(self, name: str, *content: bytes) -> None:
        try:
            write_whole(self.folder / name, *content)
        except OSError as error:
            self._failed.inc()
            reason = why(error)[:200]
            since = self._clock.wall() if self.unsaved is None else self.unsaved[1]
            self.unsaved = reason, since
            log.error("state_not_saved file=%s reason=%r", name, reason, extra=SPARING)
        else:
            self.unsaved = None
            self._saved.set(self._clock.wall())


def write_whole(path: Path, *pieces: bytes) -> None:
    """Replace a file so that at any moment it is the old one or the new one. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
