"""Binance.US: Binance's wire under its own addresses."""

from __future__ import annotations

import pytest

from exporter.venues import load
from tests.venues.truth import assert_understood

VENUE = load("binance_us")


@pytest.mark.shared
def test_recorded_traffic_is_understood() -> None:
    """All frames recorded in October 2021 give the messages, trades, prices and times expected."""
    assert_understood(VENUE, "binance/ws_us.txt")


def test_nothing_is_asked_of_binance() -> None:
    """It is another company's site: no address, and no signed endpoint, is shared."""
    urls = (VENUE.rest_url, *VENUE.stream_urls)
    assert all(".binance.us" in url for url in urls)
    assert not any("/sapi/" in endpoint.path for endpoint in VENUE.endpoints)
