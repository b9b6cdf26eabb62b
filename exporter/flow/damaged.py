"""Files that cannot be read: moved aside, and removed after some time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_KEPT: Final = 8  # files, those of the latest damage: a crash loop makes no pile of them


def set_aside(file: Path, folder: Path, name: str) -> Path:
    """Move a file to ``damaged`` below ``folder``; return where it is. Raises OSError."""
    aside = folder / "damaged"
    aside.mkdir(exist_ok=True)
    kept = file.replace(aside / name)
    for old in sorted(aside.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        old.unlink()
    return kept
