"""Write the committed JSON Schema anew: ``python -m exporter.config``."""

from __future__ import annotations

import json
from pathlib import Path
from pkgutil import iter_modules

from exporter.config import json_schema

PACKAGE = Path(__file__).parent.parent
FILE = PACKAGE / "config.schema.json"


def schema_text() -> str:
    """Give the schema file's text, with the venues that the program finds by name.

    Their file names are all it needs; a room does not import another one.
    """
    found = iter_modules([str(PACKAGE / "venues")])
    venues = [module.name for module in found if not module.ispkg]
    return json.dumps(json_schema(venues), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")
