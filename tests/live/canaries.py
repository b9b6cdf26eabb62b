"""Secrets that must show up nowhere, and a server that repeats all that it is told."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, quote_plus


class Canaries:
    """Hands out secrets by name, and looks for them in every spelling."""

    def __init__(self) -> None:
        self.all: dict[str, str] = {}

    def new(self, name: str, shape: str = "{}") -> str:
        """Return a secret; ``shape`` is what it must look like, the secret its ``{}``."""
        # Signs that URLs, JSON and base64 spell differently are part of each.
        core = f"{name}/Canary+{len(self.all):03d}=sEcr3t"
        self.all[name] = core if shape == "{}" else quote(core, safe="")
        return shape.format(self.all[name])

    def spellings(self, name: str) -> Iterator[str]:
        """Yield how one may come back: raw, in URLs, in base64 behind any other bytes."""
        secret = self.all[name]
        yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
        for before in range(3):
            # Without the ends, which hang on the neighbours.
            yield base64.b64encode(bytes(before) + secret.encode()).decode()[4:-4]

    def found(self, text: str, where: str) -> list[str]:
        """Name each secret that a text holds, with its surroundings."""
        hits = []
        for name in self.all:
            for spelling in self.spellings(name):
                for hit in re.finditer(re.escape(spelling), text):
                    around = text[max(0, hit.start() - 100) : hit.end() + 50]
                    hits.append(f"{where}: {name}: ...{around!r}")
                    break
        return hits


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace")
        status = next((int(part) for part in self.path.split("/") if part in _STATUSES), 403)
        told = " ".join([self.path, *self.headers.values(), body])
        encoded = base64.b64encode(told.encode()).decode()
        said = f"{told} {quote(told)} {encoded}"[:3000]
        answer = json.dumps(
            {
                "message": said,
                "msg": said,
                "description": said,
                "detail": said,
                "error": said,
                "errors": [said],
                "status": said,
                "id": said[:200],
                "ok": False,
                "code": 20001,
                "choices": [{"message": {"content": _advice(told)}, "finish_reason": "stop"}],
            }
        ).encode()
        self.send_response(status, told[:100].replace("\n", " "))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        for name in ("X-Line-Request-Id", "Server", "Via", "X-Cache"):
            self.send_header(name, quote(told)[:300])
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_CONNECT = _answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


_STATUSES = ("200", "400", "401", "403", "404", "407", "429", "500", "503")


def _advice(told: str) -> str:
    """Answer as a model that has been talked into repeating its key."""
    key = re.search(r"Bearer (\S+)", told)
    said = key[1] if key else "nothing"
    return f"CAUSE: the key is {said}\nACTION: use the key {said} now\nPREVENTION: keep {said}"


@contextmanager
def echoing() -> Iterator[int]:
    """Serve on loopback; a number among 200, 400, 403, ... in the path is the status."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
