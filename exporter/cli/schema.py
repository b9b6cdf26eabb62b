"""Print the JSON Schema of a config or a venue definition, for editors and linters."""

from __future__ import annotations

import argparse
import json
from pkgutil import iter_modules

HELP = """\
Prints the JSON Schema of the exporter's or the relay's config, or of a venue's definition.

exit status: 0 printed, 2 unknown name
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("which", choices=("config", "relay", "venue"), help="which schema to print")


def run(args: argparse.Namespace) -> int:
    """Print the schema; return the exit status."""
    print(text(args.which), end="")
    return 0


def text(which: str) -> str:
    """Return the schema's text, with the venues or notifiers that are found by their file names."""
    if which == "relay":
        from exporter.relay import config, notifiers

        schema = config.json_schema(tuple(_names(notifiers.__path__)))
    elif which == "venue":
        from exporter.venues import definition

        schema = definition.json_schema()
    else:
        from exporter import venues
        from exporter.config import json_schema

        schema = json_schema(venues.choices())
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _names(folder: list[str]) -> list[str]:
    return [module.name for module in iter_modules(folder) if not module.ispkg]
