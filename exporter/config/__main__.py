"""Write the committed JSON Schemas anew: ``python -m exporter.config``."""

from __future__ import annotations

import json
from pathlib import Path
from pkgutil import iter_modules

from exporter.config import json_schema
from exporter.relay import config

PACKAGE = Path(__file__).parent.parent
FILE = PACKAGE / "config.schema.json"
RELAY_FILE = PACKAGE / "relay.schema.json"


def schema_text() -> str:
    """Give the schema file's text, with the venues that the program finds by name.

    Their file names are all it needs; a room does not import another one.
    """
    return json.dumps(json_schema(_names("venues")), indent=2, ensure_ascii=False) + "\n"


def relay_schema_text() -> str:
    """Give the text of the schema of the relay's config, in the same way."""
    schema = config.json_schema(tuple(_names("notifiers")))
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _names(room: str) -> list[str]:
    found = iter_modules([str(PACKAGE / room)])
    return [module.name for module in found if not module.ispkg]


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")
    RELAY_FILE.write_text(relay_schema_text(), encoding="utf-8")
