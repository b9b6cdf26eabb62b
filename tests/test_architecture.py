"""The plan of the house, held against the house."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator, Set
from graphlib import TopologicalSorter
from pathlib import Path

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


def test_no_file_is_in_a_circle_of_imports() -> None:
    """What a module imports when it is loaded never leads back to it."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "exporter").rglob("*.py")
    }
    imports = {name: set(_imported(path, files.keys())) - {name} for name, path in files.items()}
    assert sum(map(len, imports.values())) > 1000
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def _imported(path: Path, modules: Set[str]) -> Iterator[str]:
    """Yield those of our modules that a file imports outside of functions."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        match waiting.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in modules)
            case ast.ImportFrom(module=str(source), names=names):
                for each in names:
                    whole = f"{source}.{each.name}"
                    if (found := whole if whole in modules else source) in modules:
                        yield found
            case other:
                waiting += ast.iter_child_nodes(other)
