"""One command of the command line a file; found by name, loaded when it is used.

A command's file has a docstring whose first line says what it does (shown in the list, which
imports nothing), `arguments(parser)` that declares its flags, and `run(args)` that does it and
gives the exit status. Names that begin with an underscore are no commands; one inside a name is
a hyphen on the command line.
"""

from __future__ import annotations

import argparse
import ast
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast


class Command(Protocol):
    """What a command's file offers. ``HELP`` is shown above its flags."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def names() -> tuple[str, ...]:
    """Return the names of all commands, sorted."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return tuple(sorted(file.stem.replace("_", "-") for file in files))


def summary(name: str) -> str:
    """Return a command's first docstring line, read without importing what it needs to run."""
    source = Path(__file__).with_name(f"{_module(name)}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0].rstrip(".")


def load(name: str) -> Command:
    """Return the command of that name. Raises KeyError for an unknown one."""
    if name not in names():
        raise KeyError(name)
    return cast(Command, import_module(f"{__name__}.{_module(name)}"))


def _module(name: str) -> str:
    return name.replace("-", "_")
