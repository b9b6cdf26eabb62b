"""The rules and dashboards that come with the program: of the checkout, or of the installation."""

from __future__ import annotations

import argparse
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import exporter
from exporter.words import why

UNUSABLE = 2
_KINDS = (".yml", ".md", ".json")


def folder(name: str) -> Path:
    """Return where the shipped files of that name are, such as ``alert_rules``.

    Raises FileNotFoundError for an installation that was made without them.
    """
    checkout = Path(exporter.__file__).parent.parent / name
    installed = Path(sysconfig.get_path("data")) / "share" / "exchange-exporter" / name
    for place in (checkout, installed):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"{installed}: missing; reinstall exchange-exporter")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a command that writes shipped files."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory to write to; created if missing; files of the same names are replaced",
    )


def write(name: str, out: Path, apart: Mapping[str, str] | None = None) -> int:
    """Copy shipped files below ``out``, print what was written; return the exit status.

    ``apart`` names the place of files that do not lie there as they do here.
    """
    try:
        source = folder(name)
        files = sorted(
            path for path in source.rglob("*") if path.suffix in (".yml", ".md", ".json")
        )
        for path in files:
            here = str(path.relative_to(source))
            to = out / (apart or {}).get(here, here)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    except OSError as error:
        print(f"exchange-exporter: {why(error)}", file=sys.stderr)
        return UNUSABLE
    print(f"{len(files)} files written to {out}")
    return 0
