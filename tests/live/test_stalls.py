"""What one config, one name server or one client does wrong stalls nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import Samples

pytestmark = [pytest.mark.live, pytest.mark.timeout(150), pytest.mark.xdist_group("hostile")]


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """Run a server that answers everything with one body; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_pattern_that_backtracks_holds_nothing_up(tmp_path: Path) -> None:
    """A nested repetition and 760 kB that do not match: scrapes and SIGTERM come through."""
    with answering(b"word and " * 84_000 + b"!") as url:
        file = tmp_path / "pattern.yml"
        file.write_text(
            "probes: {interval: 1s, timeout: 1s}\nanomaly: {enabled: false}\nexchanges:\n"
            "- {name: demo, venue: binance, streams: [], status_page: false, endpoints: "
            f"[{{name: ping, url: '{url}/', expect: [{{matches: '^(\\w+\\s?)+$'}}]}}]}}\n"
        )
        port = programs.free_port()
        address = f"--web.listen-address=127.0.0.1:{port}"
        with programs.command("run", f"--config.file={file}", address) as exporter:

            def refused() -> bool:
                page = Samples(programs.get(f"http://127.0.0.1:{port}/metrics", timeout=5.0))
                total = page.total(
                    "exchange_probe_failures_total", exchange="demo", reason="body_invalid"
                )
                return total > 1

            programs.eventually(refused, "the body is found not to match")
            assert exporter.end() == 0
