"""The relay as it is, killed at a chosen step: ``python -m tests.relay.killed FILE PATTERN N``.

PATTERN is a part of an SQL statement; the process is killed when the N-th COMMIT after the first
statement with it is about to run, or with N = 0 when that statement itself is. The statements are
seen through an audit hook of the interpreter: nothing of the relay is changed for it.
"""

from __future__ import annotations

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

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        if event == "sqlite3.connect/handle" and isinstance(args[0], sqlite3.Connection):
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


if __name__ == "__main__":
    sys.addaudithook(Killer(sys.argv[2], int(sys.argv[3])).hook)
    sys.exit(main(["relay", f"--config.file={sys.argv[1]}", "--web.listen-address=127.0.0.1:0"]))
