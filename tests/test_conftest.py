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


def test_no_timeout_is_none(tmp_path: Path) -> None:
    """What takes long says so with --timeout=0, whatever the project's own timeout is."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_long.py").write_text("import time\n\ndef test_it():\n    time.sleep(0.5)\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 0.2\nmarkers =\n  shared\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for timeout, status in (("--timeout=0", 0), ("-q", 1)):
        done = subprocess.run(
            [*command, timeout, f"--rootdir={tmp_path}", "-c", str(tmp_path / "pytest.ini"),
             str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
