"""Programs of the tools' own virtual environment, which `scripts/tools tools` makes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str) -> Path:
    """Return the path of a program, or skip the test and say how it is installed."""
    folder = os.environ.get("EXCHANGE_EXPORTER_TOOLS") or Path(sys.prefix) / "tools"
    found = shutil.which(name, path=Path(folder) / "bin")
    if found is None:
        pytest.skip(f"{name} is not in {folder}: run scripts/tools tools")
    return Path(found)
