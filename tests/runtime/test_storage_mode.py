"""What the program leaves on a disk is for its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from exporter.runtime.storage import write_whole


def test_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask of whoever starts the program, also where a file was there before."""
    before = os.umask(0)
    try:
        for content in (b"one", b"two"):
            write_whole(tmp_path / "state", content)
            assert (tmp_path / "state").read_bytes() == content
            assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600
    finally:
        os.umask(before)
