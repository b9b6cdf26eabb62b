"""What one config, one name server or one client does wrong stalls nothing else."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.live import programs
from tests.live.conftest import Samples
from tests.live.hostile import CERTIFICATES

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of TLS, and never the rest
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


def test_no_client_keeps_the_scrapes_of_another_out(tmp_path: Path) -> None:
    """Over TLS: 128 idle connections, 128 half-done handshakes, 128 that send a byte at a time."""
    web, file = tmp_path / "web.yml", tmp_path / "quiet.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: {CERTIFICATES / 'valid.pem'},"
        f" key_file: {CERTIFICATES / 'valid.pem'}}}\n"
    )
    with answering(b"{}") as answers, ExitStack() as held:
        file.write_text(
            "anomaly: {enabled: false}\nexchanges:\n- {name: demo, venue: binance, streams: [],"
            f" status_page: false, endpoints: [{{name: ping, url: '{answers}/'}}]}}\n"
        )
        port = programs.free_port()
        flags = (f"--web.listen-address=127.0.0.1:{port}", f"--web.config.file={web}")
        trusting = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))

        def scrape() -> Samples:
            url = f"https://localhost:{port}/metrics"
            with urllib.request.urlopen(url, context=trusting, timeout=10.0) as answer:
                return Samples(answer.read().decode())

        with programs.command("run", f"--config.file={file}", *flags) as exporter:
            programs.eventually(scrape, "it is scraped")
            for address in ("127.0.0.1", "127.0.0.9"):
                for pieces in ((b"",), (HELLO,), (HELLO[:1], HELLO[1:2], HELLO[2:3])):
                    crowd = [
                        held.enter_context(
                            socket.create_connection(
                                ("127.0.0.1", port), source_address=(address, 0)
                            )
                        )
                        for _ in range(128)
                    ]
                    for piece in pieces:
                        for each in crowd:
                            with suppress(OSError):  # it had to make room
                                each.sendall(piece)
                        assert scrape().total("exchange_exporter_series") > 0
            assert exporter.end() == 0
            assert "level=error" not in exporter.output
