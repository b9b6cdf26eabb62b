"""What tests in every folder lean on: the way to the shared facts and recordings."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_timeout
from hypothesis import settings

from exporter.logs import Formatter

# Where no Prometheus is installed, the newer one that scripts/setup has unpacked serves as well.
os.environ["PATH"] += f":{Path(sys.prefix) / 'newer' / 'bin'}"

# A machine may be busy with other things: how long an example takes proves nothing.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("EXCHANGE_EXPORTER_SHARED") or ROOT.parent / "shared")


def shared(path: str) -> Path:
    """Return a file of the shared folder, which is no part of the repository.

    It stands beside the checkout as ``../shared``, or where EXCHANGE_EXPORTER_SHARED says. Tests
    that ask for it are marked ``shared`` and left out where it is not: what they check on recorded
    traffic, ``tests/recordings`` checks on what every clone has.
    """
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"{path} is not in {SHARED}")
    return found


@pytest.fixture(params=["installed", "newer"])
def generation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on the installed Prometheus and Alertmanager, and again on newer releases.

    The newer ones are found first in PATH, which is where scripts/setup has them unpacked.
    """
    if request.param == "newer":
        folder = Path(sys.prefix) / "newer" / "bin"
        if not (folder / "prometheus").exists():
            pytest.skip(f"no newer programs: scripts/newer_programs {folder.parent}")
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return str(request.param)


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Remove the log handler that a command set up in this test: its stream ends with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, Formatter):
            root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Time a further try too: the first one's timer is gone, and this one could hang for ever."""
    _time(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Time what follows a failure, likewise."""
    _time(item)


def _time(item: pytest.Item) -> None:
    marker, config = item.get_closest_marker("timeout"), item.config
    said = config.getoption("timeout")  # 0, for none, is an answer: long targets ask for it
    seconds = marker.args[0] if marker else config.getini("timeout") if said is None else said
    timed = pytest_timeout.Settings(float(seconds), "signal", False, False)
    if timed.timeout:
        config.hook.pytest_timeout_set_timer(item=item, settings=timed)


def pytest_report_header() -> str | None:
    """Say what is left out."""
    return None if SHARED.is_dir() else f"without {SHARED}: tests marked `shared` are left out"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Retry tests that depend on a machine's pace; the report counts the tries as reruns.

    ``live`` ones wait for other processes, ``timed`` ones hold a measured time to a bound; nobody
    promises either of them a pace, and what is wrong with the code fails each time. All other
    tests have one try: none of them judges by a clock. Without the shared folder those over it are
    left out.
    """
    if not SHARED.is_dir():
        left_out = [item for item in items if item.get_closest_marker("shared")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("shared")]
    for item in items:
        if item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.flaky(reruns=3))
        elif item.get_closest_marker("live"):
            item.add_marker(pytest.mark.flaky(reruns=1))
