"""Print what ccxt says of the venues that both know, as JSON: addresses, REST paths, its source.

Run by `scripts/venue_drift.py` in a virtual environment that has ccxt, and nothing of ours.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

import ccxt.pro as ccxt

# Our venues' names, and ccxt's.
IDS = {
    "binance": "binance",
    "binance_coinm": "binancecoinm",
    "binance_futures": "binanceusdm",
    "binance_us": "binanceus",
    "bitstamp": "bitstamp",
    "bybit": "bybit",
    "coinbase": "coinbaseexchange",
    "kraken": "kraken",
    "kraken_v1": "kraken",
    "kucoin": "kucoin",
    "okx": "okx",
}
_PRIVATE = "private"


def _addresses(urls: Any, hostname: str) -> Iterator[str]:
    if isinstance(urls, dict):
        for value in urls.values():
            yield from _addresses(value, hostname)
    elif isinstance(urls, str):
        yield urls.replace("{hostname}", hostname)


def _paths(client: Any, api: Any, group: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the URL of every public request that ccxt can sign, as it would send it."""
    for key, value in api.items() if isinstance(api, dict) else ():
        if key.lower() in ("get", "post"):
            for path in value:
                try:
                    yield client.sign(path, list(group), key.upper(), {})["url"]
                except Exception:  # noqa: BLE001, S112 - one that needs more than a path
                    continue
        elif _PRIVATE not in key.lower():
            yield from _paths(client, value, (*group, key))


def table(name: str) -> dict[str, Any]:
    """Return what ccxt says of one exchange."""
    client = getattr(ccxt, name)()
    hostname = str(getattr(client, "hostname", "") or "")
    kinds = [kind for kind in type(client).__mro__ if kind.__module__.startswith("ccxt.pro.")]
    return {
        "addresses": sorted(set(_addresses(client.urls["api"], hostname))),
        "paths": sorted(set(_paths(client, client.api))),
        "source": "\n".join(inspect.getsource(kind) for kind in kinds),
    }


async def main() -> None:
    """Print the tables; some of ccxt's constructors want a running loop."""
    tables = {ours: table(theirs) for ours, theirs in IDS.items()}
    sys.stdout.write(json.dumps({"version": ccxt.__version__, "venues": tables}))


asyncio.run(main())
