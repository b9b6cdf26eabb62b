"""Files that hold secrets: which a config names, and its secrets anew once they have changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from exporter.config.secret import Secret, read_secret
from exporter.contracts import Clock

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds between two looks at the files
_Stamp: TypeAlias = tuple[int, int, int] | None
C = TypeVar("C")


def files(config: object) -> Iterator[Path]:
    """Yield the files that hold secrets of a config, wherever in it."""
    match config:
        case Secret(path=Path() as path):
            yield path
        case Mapping():
            for each in config.values():
                yield from files(each)
        case list() | tuple():
            for each in config:
                yield from files(each)
        case _ if is_dataclass(config) and not isinstance(config, Secret):
            for field in fields(config):
                yield from files(getattr(config, field.name))


def renewed(config: C) -> C:
    """Return a config with the secrets that its files hold now, and all else as it was.

    A file that cannot be read leaves its secret as it is; that is logged.
    """
    found: C = _renewed(config)
    return config if found == config else found


def _renewed(value: Any) -> Any:
    match value:
        case Secret(path=Path() as path):
            try:
                return replace(value, _value=read_secret(path))
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                log.warning("credential_unreadable file=%s reason=%r kept=old", path, why)
                return value
        case Mapping():
            return {name: _renewed(each) for name, each in value.items()}
        case tuple() | list():
            return type(value)(_renewed(each) for each in value)
        case _ if is_dataclass(value) and not isinstance(value, Secret | type):
            new = {field.name: _renewed(getattr(value, field.name)) for field in fields(value)}
            changed = {name: each for name, each in new.items() if each != getattr(value, name)}
            return replace(value, **changed) if changed else value
    return value


async def follow(clock: Clock, config: Callable[[], object], changed: Callable[[], None]) -> None:
    """Tell ``changed`` whenever a file that holds a secret of ``config`` is another than before."""
    before: dict[Path, _Stamp] = {}
    while True:
        now = await asyncio.to_thread(_stamps, config())
        if any(now[path] != before[path] for path in now.keys() & before.keys()):
            changed()
        before = now
        await clock.sleep(LOOK_EVERY)


def _stamps(config: object) -> dict[Path, _Stamp]:
    return {path: _stamp(path) for path in files(config)}


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()  # of what a link leads to: mounted secrets are swapped by a link
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
