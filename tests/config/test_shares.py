"""What shards watch: everything once, limits never used more than by one process."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from exporter.config import Config, shares, units
from exporter.contracts import Endpoint
from exporter.decoding import ParseError
from tests.config.fakes import VENUES, load_text


def _read_time(body: bytes) -> float:
    raise ParseError


CLOCKED = {
    name: replace(
        venue,
        endpoints=(
            Endpoint(name="time", path="/time", clock=_read_time),
            Endpoint(name="ping", path="/ping"),
        ),
    )
    for name, venue in VENUES.items()
}


def _config(exchanges: int, endpoints: int, more: str = "spread_endpoints: true") -> Config:
    own = "".join(f", {{name: e{number}, path: /{number}}}" for number in range(endpoints))
    return load_text(
        "exchanges:\n"
        + "".join(
            f"- {{venue: binance, name: x{number}, symbols: [BTC-USDT], {more},"
            f" endpoints: [{{name: time}}{own}]}}\n"
            for number in range(exchanges)
        )
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_everything_is_watched_once(count: int) -> None:
    """Each endpoint and each stream is on one shard; streams stay with the clock they need."""
    config = _config(3, 8)
    parts = shares(config, count, CLOCKED.__getitem__)
    found = Counter(
        (each.name, endpoint.name)
        for part in parts
        for each in part
        for endpoint in each.endpoints or ()
    )
    assert found == Counter(
        (each.name, endpoint.name) for each in config.exchanges for endpoint in each.endpoints or ()
    )
    homes = [each for part in parts for each in part if each.streams]
    assert sorted(each.name for each in homes) == ["x0", "x1", "x2"]
    assert all("time" in {one.name for one in each.endpoints or ()} for each in homes)
    assert all(each.status_page for each in homes)
    assert not any(each.status_page for part in parts for each in part if not each.streams)


def test_together_they_use_what_one_process_would() -> None:
    """The parts of an exchange's limits add up to its share, as all may have one address."""
    config = _config(2, 12, "spread_endpoints: true, limits: {share: 30%}")
    parts = shares(config, 4, CLOCKED.__getitem__)
    for name in ("x0", "x1"):
        held = [each.limits.share for part in parts for each in part if each.name == name]
        assert len(held) > 1
        assert sum(share for share in held if share is not None) == pytest.approx(0.3)


def test_only_what_may_part_is_parted() -> None:
    """Without the key an exchange is watched whole, as it stands in the config."""
    config = _config(3, 8, "limits: {}")
    assert set(units(config, 4, CLOCKED.__getitem__)) == {"x0", "x1", "x2"}
    found = [each for part in shares(config, 4, CLOCKED.__getitem__) for each in part]
    assert sorted(found, key=lambda each: each.name) == list(config.exchanges)


def test_the_venues_own_endpoints_part_too() -> None:
    """Endpoints that the config leaves to the venue are spread as if they were written out."""
    config = load_text("exchanges: [{venue: okx, symbols: [BTC-USDT], spread_endpoints: true}]")
    assert set(units(config, 2, CLOCKED.__getitem__)) == {"okx", "okx/ping"}


@pytest.mark.parametrize("count", [2, 4, 8])
def test_adding_a_shard_moves_about_its_share_of_the_endpoints(count: int) -> None:
    """Of 500 endpoints at most a third more move than the new shard must get."""
    config = _config(10, 50)
    before, after = (units(config, n, CLOCKED.__getitem__) for n in (count, count + 1))
    moved = sum(before[name] != after[name] for name in before) / len(before)
    assert 1 / (count + 1) - 0.02 <= moved <= 4 / 3 / (count + 1)
