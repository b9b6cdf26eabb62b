# ruff: noqa: T201 - printing is what it is for
"""Print every message that the relay delivers, instead of a phone that would ring."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

ADDRESS = ("127.0.0.1", 9720)


class Console(BaseHTTPRequestHandler):
    """Takes a webhook of the relay and prints its text."""

    timeout = 5.0

    def do_POST(self) -> None:
        """Print one message; answered with 200, which the relay takes as delivered."""
        length = min(int(self.headers.get("Content-Length") or 0), 1 << 20)
        body = self.rfile.read(length).decode(errors="replace")
        try:
            told = json.loads(body)
            text = "\n".join(str(told[key]) for key in ("title", "text") if told.get(key)) or body
        except (ValueError, AttributeError, TypeError):
            text = body
        print(f"\n--- told ---\n{text}\n", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay quiet: the messages themselves are the log."""


if __name__ == "__main__":
    HTTPServer(ADDRESS, Console).serve_forever()
