"""Ask a gate of exchange-exporter before trading. Standard library only; copy it as it is.

gate = Gate("http://127.0.0.1:9717", "mm")
if gate.quote: ...      # a look into memory: a thread follows the gate
gate.close()

Whatever goes wrong (no exporter, no gate, no answer in time) means closed.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request


class Gate:
    """Follow one gate in a thread; `quote` and `cancel` are False where nobody says otherwise."""

    def __init__(self, exporter: str, name: str, retry: float = 1.0) -> None:
        self._url = f"{exporter}/api/v1/gates/{name}?watch"
        self._retry = retry
        self._said: dict[str, object] = {}
        self._until = 0.0  # by our own monotonic clock
        self._ended = threading.Event()
        threading.Thread(target=self._follow, name=f"gate {name}", daemon=True).start()

    @property
    def quote(self) -> bool:
        """Whether new orders may be sent now."""
        return self._holds("quote")

    @property
    def cancel(self) -> bool:
        """Whether orders can be cancelled now, as far as anybody can tell."""
        return self._holds("cancel")

    @property
    def reasons(self) -> object:
        """What was said last of why it is closed."""
        return self._said.get("reasons", "nothing was heard of it")

    def close(self) -> None:
        """Stop following; from now on it is closed."""
        self._ended.set()
        self._until = 0.0

    def _holds(self, what: str) -> bool:
        return time.monotonic() < self._until and self._said.get(what) is True

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with urllib.request.urlopen(self._url, timeout=10) as events:  # noqa: S310
                    for line in events:
                        if self._ended.is_set():
                            return
                        if line.startswith(b"data: "):
                            said = json.loads(line[6:])
                            # Before the sleep of a slow thread counts: what is left, from now on.
                            self._said, self._until = said, time.monotonic() + said["valid_for"]
            except (OSError, ValueError, KeyError):
                self._until = 0.0
            self._ended.wait(self._retry)
