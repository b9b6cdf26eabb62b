"""What `make venue-drift` calls a difference: on small tables in place of ccxt's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter import venues
from scripts.venue_drift import KNOWN, differences, new, unused

OKX = venues.load("okx")


def table(**more: Any) -> dict[str, Any]:
    """Return a table in which OKX is as the venue file has it, but for ``more``."""
    hosts = ["https://www.okx.com", "wss://ws.okx.com:443/ws/v5"]
    hosts += [*OKX.stream_urls, *OKX.other_rest_urls]
    for site in OKX.regions.values():
        hosts += [*site.rest_urls, *site.stream_urls]
    paths = ["public/time", "system/status", "public/instruments", "market/ticker", "market/books",
             "market/candles", "market/trades"]  # fmt: skip
    return {
        "addresses": hosts,
        "paths": [f"https://www.okx.com/api/v5/{path}" for path in paths],
        "source": "channel trades bbo-tbt books tickers candle",
        **more,
    }


def test_a_venue_that_is_as_ccxt_has_it_differs_in_nothing() -> None:
    """Neither in addresses, nor in paths, nor in channels."""
    assert differences(OKX, table()) == []


def test_a_port_that_ccxt_has_left_is_a_difference() -> None:
    """As OKX's 8443 was, which the venue closed on 2026-10-31."""
    old = replace(OKX, stream_urls=("wss://ws.okx.com:8443/ws/v5",))
    hosts = [url for url in table()["addresses"] if ":8443" not in url]
    found = differences(old, table(addresses=hosts))
    assert found == [
        "okx: address wss://ws.okx.com:8443/ws/v5: ccxt uses port 443 of that host, not 8443"
    ]
    assert new(found, KNOWN) == found, "no excuse covers it"


@pytest.mark.parametrize("name", venues.names())
def test_no_excuse_covers_a_venue_s_first_address(name: str) -> None:
    """Where ccxt no longer knows the address that everyone uses, it is told."""
    venue = venues.load(name)
    nothing = {"addresses": [], "paths": [], "source": ""}
    fresh = "\n".join(new(differences(venue, nothing), KNOWN))
    assert f"address {venue.rest_url}: ccxt names no such host" in fresh
    if venue.stream_urls and venue.prelude is None:
        assert f"address {venue.stream_urls[0]}: ccxt names no such host" in fresh
    assert f"{name}: path " in fresh


def test_paths_and_channels_that_ccxt_has_left_are_differences() -> None:
    """Each by itself; a placeholder stands for whatever symbol there is."""
    fewer = [path for path in table()["paths"] if not path.endswith("/time")]
    assert differences(OKX, table(paths=fewer)) == [
        "okx: path /api/v5/public/time: ccxt has no such request"
    ]
    found = differences(OKX, table(source="trades bbo-tbt books"))
    assert found == ["okx: channel candle: ccxt's source does not name it"]
    coinbase = venues.load("coinbase")
    theirs = {
        "addresses": [coinbase.rest_url, *coinbase.other_rest_urls, *coinbase.stream_urls],
        "paths": [f"{coinbase.rest_url}/{path}" for path in
                  ("time", "products", "products/{id}/ticker", "products/{id}/stats",
                   "products/{id}/book", "products/{id}/trades", "products/{id}/candles")],
        "source": "matches ticker level2_batch heartbeat",
    }  # fmt: skip
    assert differences(coinbase, theirs) == []


def test_an_excuse_for_what_no_longer_differs_is_told() -> None:
    """So that it cannot cover something else later."""
    excuses = {r"^okx: path /gone": "it was there once"}
    assert unused(["okx: path /other: ccxt has no such request"], excuses) == list(excuses)
    assert unused(["okx: path /gone: ccxt has no such request"], excuses) == []
