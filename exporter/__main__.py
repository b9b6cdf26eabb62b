"""The command line: flags to config to app; the exit status."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from exporter import cli as commands
from exporter.cli._flags import file_name

PROGRAM = "exchange-exporter"
_FILE = re.compile(r"[^-].*\.ya?ml")
USAGE_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell expects
PIPE_CLOSED = 141  # 128 + SIGPIPE
_NO_NUMBER = re.compile(r"(argument .*): invalid (int|float) value: (.*)")

EXAMPLES = f"""\
examples:
  {PROGRAM} demo                                   simulated exchanges, without any config
  {PROGRAM} check exchanges.yml                    check a config, and print its cost
  {PROGRAM} run --config.file=exchanges.yml        http://localhost:9717/metrics
  {PROGRAM} run --config.file=exchanges.yml --web.listen-address=127.0.0.1:9717 --log.level=debug

the smallest config:
  exchanges:
    - {{venue: binance, symbols: [BTC-USDT]}}

`{PROGRAM} COMMAND --help` describes a command.
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line and the nearest right word."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        # The empty path would mean the directory that one happens to be in.
        self.register("type", Path, lambda text: Path(file_name(text)))

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line."""
        number = _NO_NUMBER.fullmatch(message)
        if number is not None:
            kind = "a whole number" if number[2] == "int" else "a number"
            message = f"{number[1]}: found {number[3]}, expected {kind}"
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (try --help)\n")

    def refuse_unknown(self, argv: Sequence[str]) -> None:
        """End if a flag is unknown, before the parser complains of what it misses instead."""
        known = self.flags()
        for word in argv:
            name = word.split("=")[0]
            if word == "--":
                return
            if word.startswith("--") and name not in known:
                self.error(f"unknown flag {name[:80]!r}{did_you_mean(name, known)}")
        if "--config.file" in known and argv and _FILE.fullmatch(argv[0]):
            self.error(f"found {argv[0]!r}, expected --config.file={argv[0]}")

    def flags(self) -> list[str]:
        """Return every long flag, those of sub-commands too."""
        found: list[str] = []
        for action in self._actions:
            found += [flag for flag in action.option_strings if flag.startswith("--")]
            inner = action.choices.values() if isinstance(action.choices, dict) else ()
            for parser in inner:
                found += parser.flags() if isinstance(parser, Parser) else []
        return found


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean x?`` for the nearest known word, or nothing."""
    near = get_close_matches(word[:80], known, n=1, cutoff=0.65)
    return f"; did you mean {near[0]}?" if near else ""


def overview() -> str:
    """Return what ``--help`` prints."""
    found = commands.names()
    width = max(map(len, found))
    listed = "\n".join(f"  {name:<{width}}  {commands.summary(name)}" for name in found)
    return (
        f"usage: {PROGRAM} COMMAND [flags]\n\n"
        "Watches crypto exchanges: probes their REST endpoints, consumes their WebSocket market\n"
        "data and publishes metrics for Prometheus.\n\n"
        f"commands:\n{listed}\n\n"
        "flags:\n  --help, -h  show this text\n"
        "  --version   show the version, and what it was built from\n\n"
        f"{EXAMPLES}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    try:
        status = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # so that a closed pipe shows here and not while the process ends
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. The descriptor is replaced, because the interpreter
        # flushes it once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        # Without a command nothing was asked for: the text helps, the status tells scripts.
        print(overview(), end="", file=sys.stdout if argv else sys.stderr)
        return 0 if argv else USAGE_ERROR
    if argv[0] == "--version":
        from exporter.cli import _build as build

        print(build.describe(PROGRAM))
        return 0
    name = argv[0]
    if name not in commands.names():
        flags = ("--help", "--version")
        known = flags if name.startswith("-") else commands.names()
        what = "flag" if name.startswith("-") else "command"
        hint = did_you_mean(name, known) or (
            "; a command comes first" if what == "flag" else f"; known commands: {', '.join(known)}"
        )
        print(f"{PROGRAM}: unknown {what} {name[:80]!r}{hint} (try --help)", file=sys.stderr)
        return USAGE_ERROR
    command = commands.load(name)
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=command.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    try:
        parser.refuse_unknown(argv[1:])
        args = parser.parse_args(argv[1:])
    except SystemExit as end:  # how argparse ends after --help and after a mistake
        return end.code if isinstance(end.code, int) else USAGE_ERROR
    return command.run(args)


if __name__ == "__main__":
    sys.exit(main())
