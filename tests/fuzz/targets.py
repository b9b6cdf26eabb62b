"""What is fuzzed: each reader of untrusted bytes, sound inputs for it, and what it may raise."""

from __future__ import annotations

import atexit
import base64
import shutil
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from exporter import config, venues
from exporter.capture.codec import CodecError, Decoder, Encoder
from exporter.capture.rows import Row
from exporter.capture.text_recording import read_line
from exporter.config import placement, web
from exporter.decoding import ParseError
from exporter.flow import segments
from exporter.http.response import ParsedResponse, ResponseError
from exporter.http.tls import not_after
from exporter.model import Quote, Side, Trade
from exporter.relay import webhook
from exporter.web.basic_auth import credentials
from exporter.web.routes import RefusedError, Request, Response, Routes
from exporter.web.server import listen_address
from tests.fuzz import sockets
from tests.venues.checks import survive
from tests.venues.recorded import frames

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, slots=True)
class Target:
    """One reader. ``weight``: its share of the executions; the slow ones get less."""

    name: str
    seeds: Sequence[bytes]
    run: Callable[[bytes], None]
    weight: float = 1.0


def _config(data: bytes) -> None:
    with suppress(config.ConfigError):
        config.read(data.decode("utf-8", "replace"), "fuzz.yml", venues.names(), venues.load)


def _web(data: bytes) -> None:
    with suppress(config.ConfigError):
        web.read(data.decode("utf-8", "replace"), "fuzz.yml")


def _webhook(data: bytes) -> None:
    for read in (webhook.read, webhook.read_plain):
        with suppress(ParseError):
            for alert in read(data, 1_700_000_000.0).alerts:
                assert len(alert.labels) <= 100


def _answer(method: str, data: bytes) -> None:
    """Read an HTTP answer in two pieces; its body stays within the limit."""
    response = ParsedResponse(method, 4096)
    try:
        response.feed(data[: len(data) // 2])
        if not response.done:
            response.feed(data[len(data) // 2 :])
        if not response.done:
            response.end()
    except ResponseError:
        return
    assert len(response.body) <= 4096


def _block(data: bytes) -> None:
    with suppress(CodecError):
        list(Decoder().decode(data).rows())


def _segment(file: Path, content: segments.Content, data: bytes) -> None:
    file.write_bytes(data)
    with suppress(segments.ForeignError, segments.DamagedSegmentError):
        for payload in segments.read(file, content):
            _block(payload)


def _certificate(data: bytes) -> None:
    with suppress(ValueError):
        not_after(data)


def _login(data: bytes) -> None:
    with suppress(RefusedError):
        credentials(data.decode("latin-1"))


def _line(data: bytes) -> None:
    read_line(data)  # gives an item for whatever line


async def _nothing(request: Request) -> Response:
    raise AssertionError


def _path(routes: Routes, data: bytes) -> None:
    text = data.decode("latin-1")
    with suppress(RefusedError):
        routes.find(text)
    with suppress(ValueError):
        listen_address(text)
    with suppress(ValueError):
        placement.shard(text)


def _blocks() -> list[bytes]:
    now = 1_700_000_000.5
    rows = [
        Row(now, "okx", Trade("t", "a", "BTC", now - 0.1, 64000.5, 0.25, Side.BUY, 7, None, False)),
        Row(now, "okx", Quote("q", "b", "BTC", None, 64000.4, 64000.6, 1.5, 0.2, 9)),
    ]
    return [Encoder().encode(rows[:n] * 3) for n in (1, 2)]


def _segments(folder: Path, content: segments.Content) -> list[bytes]:
    with closing(segments.Writer(folder, content)) as writer:
        for block in _blocks():
            writer.append(block)
    return [segments.segments(folder)[-1].read_bytes()]


_POSTS = (
    msgspec.json.encode(
        {
            "version": "4",
            "groupKey": '{}:{alertname="A"}',
            "status": "firing",
            "receiver": "relay",
            "groupLabels": {"alertname": "A"},
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "A", "severity": "critical", "exchange": "okx"},
                    "annotations": {"summary": "down"},
                    "startsAt": "2026-11-20T10:00:00.123Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "fingerprint": "c0ffee",
                }
            ],
        }
    ),
    b'{"title": "by hand", "severity": "warning", "labels": {"a": "b"}}',
)
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 404 No\r\nConnection: close\r\n\r\nbody",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n"
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
)
_LINES = (
    b'1672304486.868: {"e": "trade"}',
    b"1672304486.868: b'abc\\x00'",
    b"wss://a.example/ws <-> 1672304486.868",
    b'wss://a.example/ws <- 1672304486.868: {"op": "x"}',
    b"https://a.example/x -> 1672304486.868: {}",
)
_WEB = (
    b"tls_server_config:\n  cert_file: a\n  key_file: b\n  min_version: TLS12\n"
    b"http_server_config:\n  headers: {X-Frame-Options: deny}\nbasic_auth_users:\n"
    b"  alice: $2y$04$7YzHgb3XfWS8aPv/aU6ufevUQnTk7A6Eg0jVpe4D1JDD9LfVrg9Bq\n"
)


def targets() -> Iterator[Target]:
    """Yield all of them. Found inputs under ``seeds/<name>`` are tried first, and for ever."""
    for name in venues.names():
        yield Target(f"venue_{name}", frames(name), partial(survive, venues.load(name)))
    minimal = (ROOT / "examples" / "minimal.yml").read_bytes()
    full = (ROOT / "examples" / "full.yml").read_bytes()
    yield Target("config", (minimal, full[:4000]), _config, 0.01)
    yield Target("web_config", (_WEB,), _web, 0.05)
    yield Target("webhook", _POSTS, _webhook)
    for method in ("GET", "HEAD"):
        yield Target(f"answer_{method.lower()}", _ANSWERS, partial(_answer, method))
    yield Target("assembler", sockets.seeds(), sockets.assemble)
    yield Target("websocket", sockets.seeds(), sockets.connect, 0.1)
    yield Target("block", _blocks(), _block, 0.5)
    folder = Path(mkdtemp(prefix="fuzz"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    content = segments.Content("fuzz", 1)
    (folder / "made").mkdir()
    made = _segments(folder / "made", content)
    read = partial(_segment, folder / "one", content)
    yield Target("segment", made, read, 0.2)
    yield Target("recording", _LINES, _line)
    pem = (ROOT / "tests" / "http" / "certificates" / "valid.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERT") :])
    yield Target("certificate", (der,), _certificate)
    header = b"Basic " + base64.b64encode(b"alice:secret")
    yield Target("login", (header, b"Basic", b"Bearer x"), _login)
    paths = (b"/api/v1/exchanges/okx", b"/-/reload", b"127.0.0.1:9717", b"[::1]:0", b"0/4")
    routes = Routes({"/api/v1/exchanges/{exchange}": _nothing, "POST /-/reload": _nothing})
    yield Target("path", paths, partial(_path, routes))
