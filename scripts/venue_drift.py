"""Compare the venues' addresses, channels and REST paths with the newest ccxt; for a weekly job.

``make venue-drift`` installs that ccxt from PyPI. What differs is listed, unless it has been looked
at and stands in KNOWN with the reason.

exit status: 0 nothing new, 1 differences, 2 ccxt could not be read
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from exporter import venues
from exporter.contracts import Venue

TABLES = Path(__file__).parent / "ccxt_tables.py"
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}

# Differences that were looked at on 2026-11-30, by a pattern of their line, with the reason.
_FURTHER = (
    "the venue's documents name it for failover or a region, and ccxt one address of each kind"
)
KNOWN: Mapping[str, str] = {
    r"^binance: address https://(api[1-4]|api-gcp)\.binance\.com: ccxt names no such": _FURTHER,
    r"^binance: address (https://data-api|wss://data-stream)\.binance\.vision": _FURTHER,
    r"^binance: address wss://stream\.binance\.com:443/": _FURTHER,
    r"^bybit: address https://api\.(bytick|bybit-tr)\.com: ccxt names no such": _FURTHER,
    r"^bybit: address https://api\.bybit\.(ae|eu|id|kz|nl): ccxt names no such": _FURTHER,
    r"^bybit: address wss://stream\.bybit\.(id|kz|tr)/v5/public/spot: ccxt names no": _FURTHER,
    r"^bybit: address (https://api|wss://stream)\.bybitgeorgia\.ge": _FURTHER,
    r"^coinbase: channel level2_batch": "ccxt takes level2, which asks for an account",
    r"^kucoin: address wss://ws-api-spot\.kucoin\.com": "the token's answer names the address",
    r"^kucoin: address https://api\.kucoin\.eu": _FURTHER,
    r"^okx: address https://(openapi|eea|us)\.okx\.com: ccxt names no such": _FURTHER,
    r"^okx: address wss://(wseea|wsus)\.okx\.com/ws/v5: ccxt names no such": _FURTHER,
}


def differences(venue: Venue, table: Mapping[str, Any]) -> list[str]:
    """Return what a venue file says and ccxt does not, one line each."""
    return [f"{venue.name}: {line}" for line in _differences(venue, table)]


def _differences(venue: Venue, table: Mapping[str, Any]) -> Iterator[str]:
    known = {_place(url) for url in (*table["addresses"], *table["paths"])}
    hosts: dict[str, set[int | None]] = {}
    for host, port in known:
        hosts.setdefault(host, set()).add(port)
    for url in _own_addresses(venue):
        host, port = _place(url)
        if host not in hosts:
            yield f"address {url}: ccxt names no such host"
        elif port not in hosts[host]:
            theirs = ", ".join(str(each) for each in sorted(hosts[host], key=str))
            yield f"address {url}: ccxt uses port {theirs} of that host, not {port}"
    paths = [_pattern(urlsplit(url).path) for url in table["paths"]]
    for path in _own_paths(venue):
        if not any(each.fullmatch(path.rstrip("/")) for each in paths):
            yield f"path {path}: ccxt has no such request"
    for word in _own_words(venue):
        if word not in table["source"]:
            yield f"channel {word}: ccxt's source does not name it"


def _place(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches a path, whatever stands where it has a placeholder."""
    parts = re.split(r"\{[^}]*\}", path.rstrip("/"))
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _own_addresses(venue: Venue) -> Iterator[str]:
    yield from (venue.rest_url, *venue.other_rest_urls, *venue.stream_urls)
    for site in venue.regions.values():
        yield from (*site.rest_urls, *site.stream_urls)


def _own_paths(venue: Venue) -> list[str]:
    base = urlsplit(venue.rest_url).path.rstrip("/")
    found = [one.path for one in venue.endpoints if not urlsplit(one.path).netloc]
    found += [venue.markets_path] if venue.markets_path else []
    found += [venue.prelude.path] if venue.prelude else []
    found += [venue.book.snapshot_path] if venue.book and venue.book.snapshot_path else []
    found += [check.path for check in venue.cross_checks.values()]
    return sorted({base + path.partition("?")[0] for path in found})


def _own_words(venue: Venue) -> list[str]:
    """Return the words of the topics that name channels: what is left without the symbol."""
    words: set[str] = set()
    for template in venue.topics.values():
        # Depths, speeds and intervals are put together elsewhere in ccxt's source.
        bare = re.sub(r"\{[^}]*\}|[_.]?\d+(ms|m|min)?\b", " ", template)
        words |= {word.strip("/_") for word in re.findall(r"[A-Za-z/_]+\d?[A-Za-z_]*", bare)}
    return sorted(word for word in words if len(word) > 3)


def new(found: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """Return the differences that nobody has looked at yet."""
    return [line for line in found if not any(re.search(each, line) for each in known)]


def unused(found: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """Return the patterns that fit nothing any more: what they excused is gone."""
    lines = list(found)
    return [each for each in known if not any(re.search(each, line) for line in lines)]


def main(python: str) -> int:
    """Compare all venues with the ccxt of another interpreter; return the exit status."""
    done = subprocess.run([python, str(TABLES)], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        read = json.loads(done.stdout)
    except ValueError:
        sys.stderr.write(f"{python}: ccxt could not be read: {done.stderr[-500:]}\n")
        return 2
    found = [
        line for name, table in read["venues"].items()
        for line in differences(venues.load(name), table)
    ]  # fmt: skip
    fresh, stale = new(found, KNOWN), unused(found, KNOWN)
    looked = len(found) - len(fresh)
    lines = [f"ccxt {read['version']}: {len(found)} differences, {looked} of them looked at"]
    lines += [f"NEW  {line}" for line in fresh]
    lines += [f"GONE {pattern}: {KNOWN[pattern]}" for pattern in stale]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if fresh or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
