"""The suite ends, whatever hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HANGING = """\
import threading
import pytest

@pytest.fixture
def world():
    yield
    if {teardown}:
        threading.Event().wait()

@pytest.mark.live
def test_it(world):
    assert not {teardown}
    threading.Event().wait()
"""


@pytest.mark.parametrize("teardown", [False, True])
def test_a_further_try_that_hangs_is_ended_as_well(tmp_path: Path, teardown: bool) -> None:
    """Each try of a test that hangs is ended by its timeout, and so is what follows a failure."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_hanging.py").write_text(HANGING.format(teardown=teardown))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    marks = ("live", "timed", "shared", "chart", "cluster", "long")
    options = ["--timeout=0.5", f"--rootdir={tmp_path}", "-o", f"markers={chr(10).join(marks)}"]
    done = subprocess.run(
        [*command, *options, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("Timeout (>0.5s)") >= 1, done.stdout
    assert " rerun" in done.stdout
