"""The terminal of `watch`: reads the state in a thread, draws it, and takes keys."""

from __future__ import annotations

import curses
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from exporter.cli._api import ApiError
from exporter.cli._watch_state import snapshot_of
from exporter.cli._watch_view import View, frame, press


def show(read: Callable[[], Any], every: float) -> None:
    """Show until q or Ctrl-C; ``read`` gives the state or raises ApiError, ``every`` seconds."""
    os.environ.setdefault("ESCDELAY", "25")  # milliseconds; a second would pass after Escape
    with suppress(KeyboardInterrupt):
        curses.wrapper(_loop, read, every)


class _Reader(threading.Thread):
    """Reads the state again and again, so that keys never wait for the network."""

    def __init__(self, read: Callable[[], Any], every: float) -> None:
        super().__init__(daemon=True)
        self._ask, self._every = read, every
        self.state: Any = None
        self.trouble = ""
        self.stop = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        while not self.stop.is_set():
            try:
                self.state, self.trouble = self._ask(), ""
            except ApiError as error:
                self.trouble = f"no newer state: {error}"
            self.stop.wait(self._every)


_KEYS = {
    curses.KEY_UP: "UP", curses.KEY_DOWN: "DOWN", curses.KEY_ENTER: "ENTER",
    curses.KEY_BACKSPACE: "BACKSPACE", 10: "ENTER", 13: "ENTER", 27: "ESCAPE", 127: "BACKSPACE",
}  # fmt: skip


def _loop(screen: curses.window, read: Callable[[], Any], every: float) -> None:
    styles = _styles()
    screen.timeout(100)
    reader = _Reader(read, every)
    reader.start()
    view, seen, snapshot = View(), None, None
    try:
        while not view.ended:
            if reader.state is not seen:
                seen = reader.state
                snapshot = snapshot_of(seen)
            height, width = screen.getmaxyx()
            screen.erase()
            for row, line in enumerate(frame(snapshot, view, reader.trouble, width - 1, height)):
                if row < height:
                    with suppress(curses.error):  # a character that is wider than one column
                        screen.addstr(row, 0, line.text, styles[line.style])
            screen.refresh()
            code = screen.getch()
            if code >= 0:
                key = _KEYS.get(code, chr(code) if 32 <= code < 127 else "")
                view = press(view, key, snapshot)
    finally:
        reader.stop.set()


def _styles() -> dict[str, int]:
    curses.use_default_colors()
    colours = {"up": curses.COLOR_GREEN, "degraded": curses.COLOR_YELLOW, "down": curses.COLOR_RED}
    found = {"plain": 0, "pending": 0, "head": curses.A_BOLD, "faint": curses.A_DIM,
             "chosen": curses.A_REVERSE}  # fmt: skip
    for number, (name, colour) in enumerate(colours.items(), 1):
        if curses.has_colors():
            curses.init_pair(number, colour, -1)
            found[name] = curses.color_pair(number)
        else:
            found[name] = curses.A_BOLD if name == "down" else 0
    return found
