"""What the commands that read a config share: it, with the venues that its owner defines."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.config import Config, DefinedVenue, Places
    from exporter.contracts import Venue

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flag."""
    parser.add_argument(
        "--venues.dir",
        dest="venues_dir",
        metavar="DIR",
        type=Path,
        help="directory of venue definitions in YAML, in addition to those that the config names",
    )


def defined(directory: Path | None) -> dict[str, Venue]:
    """Return the venues that a folder defines, by name; what is wrong is told of and left out.

    Raises OSError.
    """
    from exporter import venues

    found: dict[str, Venue] = {}
    for each in () if directory is None else venues.folder(directory):
        if isinstance(each, tuple):
            for line in each:
                log.warning("venue_definition_refused mistake=%s", line)
        else:
            found[each.name] = each.venue
    return found


def load(file: str, directory: Path | None, before: Config | None = None) -> tuple[Config, Places]:
    """Read a config and the definitions of a folder. Raises ConfigError.

    A definition of the folder that is wrong is told of and left out: it stops only a config that
    names it. The error says what can be followed all the same, where ``before`` is in force.
    """
    from exporter import config as settings
    from exporter import venues
    from exporter.config import ConfigError

    good: list[DefinedVenue] = []
    wrong: list[str] = []
    try:
        for each in () if directory is None else venues.folder(directory):
            if isinstance(each, tuple):
                wrong += each
            else:
                good.append(each)
    except OSError as error:
        why = f"{directory}: cannot be read: {error.strerror}"
        raise ConfigError((why,), unreadable=True) from error
    for line in wrong:
        log.warning("venue_definition_refused mistake=%s", line)
    try:
        return settings.load_placed(
            file, venues.choices(), venues.load, define=venues.define, folder=good
        )
    except ConfigError as error:
        if error.unreadable:
            raise
        complaints = (*error.complaints, *wrong)
        try:
            instead, excused = settings.load_others(
                file, venues.choices(), venues.load, venues.define, good, before
            )
        except ConfigError:
            raise ConfigError(complaints) from error
        raise ConfigError(complaints, instead=instead, excused=excused) from error
