"""The metrics page, in the format that the scraper accepts, rendered in small slices."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from functools import partial
from time import perf_counter

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.flow.workers import Workers
from exporter.metrics.registry import Registry

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_EOF = b"# EOF\n"
_SLICE = 0.002  # seconds of rendering before other tasks get their turn
_BATCH = 64  # children, or calls, between two looks at the clock: 0.3 ms, were all histograms
_PIECE = 1 << 16  # characters
_COMPRESSING = Workers("compression", limit=2, waiting=64)
_COMPRESSION = 1  # of 9; a page shrinks to 4 % as it is, 6 gives 3 % for three times the time


def openmetrics_preferred(accept: str) -> bool:
    """Return whether an Accept header ranks OpenMetrics 1 above text.

    Both formats of a range without a version are meant; `escaping` and other parameters do not
    matter, as our names need no escaping. Equal weights go by the order in the header. Where
    nothing fits (protobuf only), text is given, as `prometheus_client` does.
    """
    best, answer = 0.0, False
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        values = {
            name.strip(): value.strip(' "')
            for name, _, value in (parameter.partition("=") for parameter in parameters)
        }
        version = values.get("version", "")
        if kind == "application/openmetrics-text":
            wanted, fits = True, version == "" or version.split(".")[0] not in ("0", "")
        elif kind in ("text/plain", "text/*", "*/*"):
            wanted, fits = False, True
        else:
            continue
        weight = _weight(values.get("q", "1"))
        if fits and weight > best:
            best, answer = weight, wanted
    return answer


def gzip_accepted(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return _weight(parameter.strip().removeprefix("q=") or "1") > 0
    return False


def _weight(text: str) -> float:
    """Read a quality value; what is none counts as 0, so that it wins nothing."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


class Exposition:
    """Answers scrapes from a registry, with the figures of the Python process at the end."""

    def __init__(
        self, registry: Registry, *, process: bool = True, now: Callable[[], float] = perf_counter
    ) -> None:
        self._registry = registry
        self._now = now
        self._process: CollectorRegistry | None = None
        if process:
            self._process = CollectorRegistry(auto_describe=False)
            for collector in (ProcessCollector, PlatformCollector, GCCollector):
                collector(registry=self._process)

    async def __call__(
        self, accept: str, accept_encoding: str
    ) -> tuple[dict[str, str], list[bytes]]:
        """Return headers and body for a scrape's Accept and Accept-Encoding headers.

        The body comes in pieces of some 64 KiB: joining 4 MB would stall the loop for 3 ms.
        """
        openmetrics = openmetrics_preferred(accept)
        pieces = await self.render(openmetrics)
        headers = {
            "Content-Type": OPENMETRICS if openmetrics else TEXT,
            "Vary": "Accept, Accept-Encoding",
        }
        if gzip_accepted(accept_encoding):
            headers["Content-Encoding"] = "gzip"
            pieces = await _COMPRESSING.run(partial(_compressed, pieces))
        return headers, pieces

    async def render(self, openmetrics: bool) -> list[bytes]:
        """Render the page in pieces. Other tasks run between slices of 2 ms."""
        pieces: list[bytes] = []
        lines: list[str] = []
        length = 0
        until = self._now() + _SLICE
        for number, _ in enumerate(self._registry.run_refreshers()):
            if number % _BATCH == 0 and self._now() > until:
                await asyncio.sleep(0)
                until = self._now() + _SLICE
        for table in self._registry.tables():
            heading = table.openmetrics_heading if openmetrics else table.heading
            children = list(table.children.values())
            for start in range(0, len(children), _BATCH):
                text = "".join([child.text() for child in children[start : start + _BATCH]])
                if text and heading:  # a family without a series is not mentioned
                    lines.append(heading)
                    heading = ""
                lines.append(text)
                length += len(text)
                if length > _PIECE:
                    pieces.append("".join(lines).encode())
                    lines, length = [], 0
                if self._now() > until:
                    await asyncio.sleep(0)
                    until = self._now() + _SLICE
        pieces.append("".join(lines).encode())
        if self._process is not None:
            latest = generate_openmetrics if openmetrics else generate_latest
            pieces.append(latest(self._process).removesuffix(_EOF))
        if openmetrics:
            pieces.append(_EOF)
        return pieces


def _compressed(pieces: list[bytes]) -> list[bytes]:
    """Compress outside the event loop: zlib lets go of the interpreter while it works.

    Piece by piece, because joining 4 MB first would hold the interpreter for 3 ms.
    """
    packer = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # 16: gzip
    return [*(packer.compress(piece) for piece in pieces), packer.flush()]
