"""The plan of the house, held against the house."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.conftest import ROOT


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """The linter configures logging, which silences every logger that existed before."""
    loggers = logging.root.manager.loggerDict.values()
    enabled = [each for each in loggers if isinstance(each, logging.Logger) and not each.disabled]
    yield
    for logger in enabled:
        logger.disabled = False


@pytest.mark.usefixtures("loggers_as_before")
def test_rooms_import_in_one_direction() -> None:
    """No room leans on another, and no pure room touches the world."""
    config = str(ROOT / "pyproject.toml")
    assert lint_imports(config_filename=config, cache_dir=None) == EXIT_STATUS_SUCCESS
