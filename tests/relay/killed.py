"""The relay as it is, killed at a chosen step: ``python -m tests.relay.killed``.

Each line of standard input is a JSON list, FILE, PATTERN, N: a child is forked that runs the relay
of that config. It is killed when the N-th COMMIT after the first SQL statement that holds PATTERN
is about to run, or with N = 0 when that statement itself is. The statements are seen through an
audit hook of the interpreter: nothing of the relay is changed for it. Forked, because loading the
program anew for each step takes longer than all the steps.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys

from exporter.__main__ import main


class Killer:
    """Counts statements, and ends the process at the one it waits for."""

    def __init__(self, pattern: str, commits: int) -> None:
        self.pattern, self.commits = pattern, commits
        self.seen = False
        self.opened: list[sqlite3.Connection] = []
        self.file = ""

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        if event == "sqlite3.connect":
            self.file = str(args[0])
        elif event == "sqlite3.connect/handle" and isinstance(args[0], sqlite3.Connection):
            if self.file != ":memory:":  # which the definitions are compared with
                self.opened.append(args[0])
        elif self.opened and event == "socket.bind":  # the relay serves: by then it is usable
            self.opened.pop().set_trace_callback(self.statement)

    def statement(self, sql: str) -> None:
        found = self.pattern in sql
        if found and self.commits == 0:
            self.kill()
        self.seen |= found
        if self.seen and sql == "COMMIT":
            self.commits -= 1
            if self.commits == 0:
                self.kill()

    @staticmethod
    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def run(file: str, pattern: str, commits: int) -> int:
    """Run the relay in a child until it is killed; return its wait status."""
    child = os.fork()
    if child == 0:
        sys.addaudithook(Killer(pattern, commits).hook)
        os._exit(main(["relay", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]))
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    import exporter.cli.relay
    import exporter.relay.app  # noqa: F401 - nor this

    for line in sys.stdin:
        sys.stdout.write(f"ended {run(*json.loads(line))}\n")
        sys.stdout.flush()
