"""The registry: children, scopes, the cap."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest

from exporter.metrics import families as f
from exporter.metrics.exposition import Exposition
from exporter.metrics.registry import Registry
from exporter.model import Family, Reason


def page(registry: Registry) -> list[str]:
    """Return the page's lines, without what the process says of itself."""
    pieces = asyncio.run(Exposition(registry, process=False).render(openmetrics=False))
    return b"".join(pieces).decode().splitlines()


def samples(registry: Registry, name: str) -> list[str]:
    """Return the lines of one family's samples."""
    return [line for line in page(registry) if line.startswith((f"{name}{{", f"{name} "))]


def test_counter_shows_what_was_counted() -> None:
    """A counter is published from 0 on, and shows the sum of what was added."""
    registry = Registry()
    child = registry.counter(f.PROBES, "acme", "ping", "success")
    name = 'exchange_probes_total{exchange="acme",endpoint="ping",outcome="success"}'
    assert samples(registry, "exchange_probes_total") == [f"{name} 0"]
    child.inc()
    child.inc(2.5)
    assert samples(registry, "exchange_probes_total") == [f"{name} 3.5"]


def test_gauge_is_absent_until_set_and_after_none() -> None:
    """A frozen line is a lie: what is not known has no line, and no heading either."""
    registry = Registry()
    child = registry.gauge(f.MID_PRICE, "acme", "BTC-USDT")
    assert not any("exchange_mid_price" in line for line in page(registry) if line[0] != "e")
    child.set(64123.5)
    line = 'exchange_mid_price{exchange="acme",symbol="BTC-USDT"} 64123.5'
    assert samples(registry, "exchange_mid_price") == [line]
    child.set(None)
    assert samples(registry, "exchange_mid_price") == []
    child.inc(2)
    assert samples(registry, "exchange_mid_price")[0].endswith(" 2")


def test_histogram_counts_a_bound_in_its_own_bucket() -> None:
    """``le`` means less or equal; buckets are cumulative; count and sum follow."""
    registry = Registry()
    child = registry.histogram(f.SCHEDULE_LAG)
    child.observe(0.001)
    for value in (0.0011, 0.05, 7.0):
        child.observe(value)
    name = "exchange_exporter_schedule_lag_seconds"
    counts = [int(line.split()[-1]) for line in samples(registry, f"{name}_bucket")]
    assert counts == [1, 2, 2, 3, 3, 3, 3, 3, 4]
    assert samples(registry, f"{name}_count") == [f"{name}_count 4"]
    assert float(samples(registry, f"{name}_sum")[0].split()[1]) == pytest.approx(7.0521)
    assert child.count == 4


def test_configured_buckets_replace_the_family_s() -> None:
    """Users choose their own bounds by family name."""
    registry = Registry(buckets={"exchange_exporter_schedule_lag_seconds": (0.5, 2.0)})
    registry.histogram(f.SCHEDULE_LAG)
    found = samples(registry, "exchange_exporter_schedule_lag_seconds_bucket")
    assert [line.split('"')[1] for line in found] == ["0.5", "2.0", "+Inf"]


@pytest.mark.parametrize(
    ("value", "spelling"),
    [(float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN"), (True, "1.0"),
     (1e-7, "1e-07"), (1700000000.123456, "1700000000.123456"), (3, "3"), (-0.25, "-0.25")],
)  # fmt: skip
def test_values_are_spelled_as_scrapers_read_them(value: float, spelling: str) -> None:
    """Infinities, NaN and booleans have their own spelling; floats are shortest."""
    registry = Registry()
    registry.gauge(f.SERIES_LIMIT).set(value)
    assert samples(registry, "exchange_exporter_series_limit")[0].split()[1] == spelling


def test_closed_set_is_complete_from_the_start() -> None:
    """Every value of an enum has its series at 0 before anything happened."""
    registry = Registry()
    children = registry.counters(f.PROBE_FAILURES, "acme", "ping", values=Reason)
    assert set(children) == set(Reason)
    assert len(samples(registry, "exchange_probe_failures_total")) == len(Reason)
    assert all(line.endswith(" 0") for line in samples(registry, "exchange_probe_failures_total"))


def test_closed_scope_takes_its_series_away() -> None:
    """An exchange that leaves the config leaves the page; the others stay."""
    registry = Registry()
    before = registry.series
    acme, umbrella = registry.scope(), registry.scope()
    acme.gauge(f.PROBE_SUCCESS, "acme", "ping").set(1)
    acme.histogram(f.QUEUE_WAIT, "acme").observe(1.0)
    umbrella.gauge(f.PROBE_SUCCESS, "umbrella", "ping").set(1)
    acme.close()
    left = 'exchange_probe_success{exchange="umbrella",endpoint="ping"} 1'
    assert samples(registry, "exchange_probe_success") == [left]
    assert not any("acme" in line for line in page(registry))
    umbrella.close()
    acme.close()  # twice does no harm
    # What remains are the two rows that count each of the two families' series and drops.
    assert registry.series == before + 4


def test_series_that_survives_a_reload_keeps_its_value() -> None:
    """A new scope that asks for the same series before the old one closes takes it over."""
    registry = Registry()
    old, new = registry.scope(), registry.scope()
    old.counter(f.PROBES, "acme", "ping", "success").inc(5)
    child = new.counter(f.PROBES, "acme", "ping", "success")
    old.close()
    child.inc()
    assert samples(registry, "exchange_probes_total")[0].endswith(" 6")
    new.close()
    assert samples(registry, "exchange_probes_total") == []


def test_cap_refuses_and_counts_but_callers_go_on() -> None:
    """Beyond the limit a child works and is not published; its family's refusals are counted."""
    registry = Registry(series_limit=60)
    for number in range(100):
        registry.counter(f.PROBES, "acme", f"endpoint{number}", "success").inc()
    published = len(samples(registry, "exchange_probes_total"))
    dropped = samples(registry, "exchange_exporter_series_dropped_total")
    assert registry.series == 60
    family = 'exchange_exporter_series_dropped_total{family="exchange_probes_total"}'
    assert f"{family} {100 - published}" in dropped
    child = registry.histogram(f.QUEUE_WAIT, "acme")
    child.observe(1.0)
    assert child.count == 1
    assert samples(registry, "exchange_queue_wait_seconds_count") == []


def test_series_gauge_agrees_with_the_page() -> None:
    """`exchange_exporter_series` counts exactly the lines that a family has on the page."""
    registry = Registry()
    registry.histogram(f.QUEUE_WAIT, "acme")
    registry.counters(f.PROBE_FAILURES, "acme", "ping", values=Reason)
    lines = [line for line in page(registry) if not line.startswith("#")]
    published = Counter(re.sub(r"_(bucket|sum|count)?[{ ].*|[{ ].*", "", line) for line in lines)
    said = {
        line.split('"')[1]: int(line.split()[-1])
        for line in samples(registry, "exchange_exporter_series")
    }
    assert said == published
    assert registry.series == len(lines)


def test_refreshers_run_before_each_scrape_until_their_scope_closes() -> None:
    """What is sampled is sampled when the page is asked for."""
    registry = Registry()
    scope = registry.scope()
    depth = registry.gauge(f.QUEUE_DEPTH, "acme", "frames")
    scope.refresh(depth.inc)
    page(registry)
    assert samples(registry, "exchange_queue_depth")[0].endswith(" 2")
    scope.close()
    assert samples(registry, "exchange_queue_depth")[0].endswith(" 2")


def test_mistakes_of_ours_are_told_at_once() -> None:
    """Wrong kind, wrong labels, two meanings of one name: ValueError, not a broken page."""
    registry = Registry()
    with pytest.raises(ValueError, match="is a counter"):
        registry.gauge(f.PROBES, "acme", "ping", "success")
    with pytest.raises(ValueError, match="has the labels"):
        registry.counter(f.PROBES, "acme")
    registry.counter(f.PROBES, "acme", "ping", "success")
    with pytest.raises(ValueError, match="declared twice"):
        registry.counter(Family(name=f.PROBES.name, kind="counter", help="other"))
    with pytest.raises(ValueError, match="ends in _total"):
        registry.counter(Family(name="exchange_things", kind="counter", help="?"))
    with pytest.raises(ValueError, match="no legacy"):
        registry.gauge(Family(name="exchange.things", kind="gauge", help="?"))
    with pytest.raises(ValueError, match="buckets"):
        registry.histogram(Family(name="x", kind="histogram", help="?", buckets=(2.0, 1.0)))


def test_removed_child_is_gone() -> None:
    """One series can be taken away by its labels; what was never made cannot."""
    registry = Registry()
    registry.info(f.CONFIG, "abc")
    registry.remove(f.CONFIG, "abc")
    assert samples(registry, "exchange_exporter_config_info") == []
    with pytest.raises(KeyError):
        registry.remove(f.CONFIG, "abc")
