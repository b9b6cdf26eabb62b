"""The page itself: what reference parsers and promtool read from it, and that it never blocks."""

from __future__ import annotations

import asyncio
import gzip
import math
import shutil
import subprocess
from collections.abc import Iterable
from functools import partial

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from exporter.metrics import families as f
from exporter.metrics.exposition import (
    OPENMETRICS,
    TEXT,
    Exposition,
    gzip_accepted,
    openmetrics_preferred,
)
from exporter.metrics.registry import Registry

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
)
PROMETHEUS_3_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    f"q=0.7,{PROMETHEUS_3}"
)

Flat = list[tuple[str, str, tuple[tuple[str, str], ...], float]]


def rendered(registry: Registry, accept: str = "", *, process: bool = False) -> str:
    """Return the page as a scraper with this Accept header gets it."""
    _, pieces = asyncio.run(Exposition(registry, process=process)(accept, ""))
    return b"".join(pieces).decode()


def flat(metrics: Iterable[Metric]) -> Flat:
    """Return every sample in a form that compares: NaN as None, ``le`` as a number."""
    rows: Flat = []
    for metric in metrics:
        for sample in metric.samples:
            labels = {
                name: str(float(value)) if name == "le" else value
                for name, value in sample.labels.items()
            }
            value = math.inf if math.isnan(sample.value) else sample.value
            rows.append((metric.type, sample.name, tuple(sorted(labels.items())), value))
    return sorted(rows)


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['a"b', "a\nb", "a\\nb", "\\", '\\"', "%s %d", "{}", "}", "= 1", "#", "é", "\r", "\x85", " "]
)
values = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.dictionaries(st.tuples(texts, texts), values, max_size=6),
    observed=st.lists(st.floats(0, 20), max_size=30),
    counted=st.floats(0, 1e300),
)
@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_reference_parsers_read_what_the_reference_would_have_written(
    accept: str,
    rows: dict[tuple[str, str], float],
    observed: list[float],
    counted: float,
) -> None:
    """Any label values and numbers: the same samples as from prometheus_client's own registry."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    theirs = prometheus_client.CollectorRegistry()
    gauge = prometheus_client.Gauge(f.SPREAD.name, f.SPREAD.help, f.SPREAD.labels, registry=theirs)
    counter = prometheus_client.Counter(
        f.PROBES.name, f.PROBES.help, f.PROBES.labels, registry=theirs
    )
    histogram = prometheus_client.Histogram(
        f.QUEUE_WAIT.name,
        f.QUEUE_WAIT.help,
        f.QUEUE_WAIT.labels,
        buckets=f.QUEUE_WAIT.buckets,
        registry=theirs,
    )
    info = prometheus_client.Info("exchange_exporter_config", f.CONFIG.help, registry=theirs)
    ours = Registry()
    for labels, value in rows.items():
        gauge.labels(*labels).set(value)
        ours.gauge(f.SPREAD, *labels).set(value)
    for value in observed:
        histogram.labels("acme").observe(value)
        ours.histogram(f.QUEUE_WAIT, "acme").observe(value)
    counter.labels("acme", "ping", "success").inc(counted)
    ours.counter(f.PROBES, "acme", "ping", "success").inc(counted)
    info.info({"hash": "abc"})
    ours.info(f.CONFIG, "abc")
    encode, _ = choose_encoder(accept)
    read = read_openmetrics if accept == OPENMETRICS else read_text
    expected = flat(read(encode(theirs).decode()))
    found = flat(read(rendered(ours, accept)))
    assert [row for row in found if "exporter_series" not in row[1]] == expected


def full_page(registry: Registry) -> None:
    """Make one child of every family that there is."""
    for family in f.all_families():
        labels = tuple(f"a{number}" for number in range(len(family.labels)))
        match family.kind:
            case "counter":
                registry.counter(family, *labels).inc(3)
            case "gauge":
                registry.gauge(family, *labels).set(1.5)
            case "histogram":
                registry.histogram(family, *labels).observe(0.02)
            case "info":
                registry.info(family, *labels)


def test_every_family_is_strict_openmetrics() -> None:
    """The strict parser takes the whole page: no blank line, units, EOF at the end, no clash."""
    registry = Registry()
    full_page(registry)
    text = rendered(registry, OPENMETRICS, process=True)
    families: Iterable[Metric] = read_openmetrics(text)  # type: ignore[no-untyped-call]
    found = {metric.name: metric for metric in families}
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert "\n\n" not in text
    assert found["exchange_probe_duration_seconds"].unit == "seconds"
    assert found["exchange_spread_ratio"].unit == "ratio"
    assert found["exchange_probes"].type == "counter"
    assert found["exchange_exporter_build"].type == "info"
    assert {"process_cpu_seconds", "python_gc_objects_collected", "python_info"} <= set(found)
    assert "_created" not in text
    kinds = {f"{name}{'_total' if m.type == 'counter' else '_info' * (m.type == 'info')}"
             for name, m in found.items()}  # fmt: skip
    assert {family.name for family in f.all_families()} <= kinds


def test_promtool_finds_nothing_to_complain_of() -> None:
    """`promtool check metrics` accepts names, types and help texts of the whole page."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    registry = Registry()
    full_page(registry)
    text = rendered(registry, TEXT)
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        (PROMETHEUS_3_PROTOBUF, True),
        (PROMETHEUS_3_TEXT, False),
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.5", False),
        ("text/plain;q=0.5;version=0.0.4,application/openmetrics-text;q=0.9;version=1.0.0", True),
        ("application/openmetrics-text;version=1.0.0;q=0", False),
        ("application/openmetrics-text;q=nonsense", False),
        (";;;,,=,q=", False),
    ],
)
def test_format_is_the_one_the_scraper_prefers(accept: str, expected: bool) -> None:
    """Content negotiation by version and weight, with the headers real scrapers send."""
    assert openmetrics_preferred(accept) is expected


@pytest.mark.parametrize("accept", [PROMETHEUS_2, PROMETHEUS_3, PROMETHEUS_3_PROTOBUF, "", "*/*"])
def test_real_scrapers_get_the_format_that_prometheus_client_gives(accept: str) -> None:
    """Where weights and order agree, the reference chooses as we do."""
    _, content_type = choose_encoder(accept)
    assert content_type.startswith("application/openmetrics") is openmetrics_preferred(accept)


def test_headers_name_format_and_coding() -> None:
    """The Content-Type is the format's own, gzip or not, and what is zipped is the same page."""
    registry = Registry()
    full_page(registry)
    answer = Exposition(registry, process=False)
    plain, pieces = asyncio.run(answer(PROMETHEUS_3, "deflate"))
    zipped, compressed = asyncio.run(answer(PROMETHEUS_3, "gzip;q=1.0, *;q=0"))
    assert plain["Content-Type"] == zipped["Content-Type"] == OPENMETRICS
    assert "Content-Encoding" not in plain
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(compressed)) == b"".join(pieces)
    assert [gzip_accepted(header) for header in ("", "gzip;q=0", "br, GZIP", "*", "gzip;q=x")] == [
        False, False, True, True, False,
    ]  # fmt: skip


def test_large_page_leaves_the_loop_to_others() -> None:
    """While 36,000 changed lines are rendered, other tasks get a turn after each slice of 2 ms."""
    registry = Registry(series_limit=100_000)
    for exchange in range(30):
        for endpoint in range(36):
            for kind in ("new", "reused"):
                names = (f"exchange{exchange}", f"endpoint{endpoint}", kind)
                registry.histogram(f.PROBE_DURATION, *names).observe(0.1)
    looks, turns = 0, 0

    def now() -> float:
        nonlocal looks
        looks += 1
        return looks * 0.001  # as if each batch of lines took a millisecond

    async def main() -> list[bytes]:
        done = asyncio.Event()

        async def watch() -> None:
            nonlocal turns
            while not done.is_set():
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await asyncio.sleep(0)
            exposition = Exposition(registry, process=False, now=now)
            pieces = await exposition.render(openmetrics=True)
            done.set()
        return pieces

    assert b"".join(asyncio.run(main())).count(b"\n") > 36_000
    assert looks > 30
    assert looks / 5 < turns < looks / 3


def test_others_get_their_turn_while_figures_are_brought_up_to_date() -> None:
    """Thousands of subscriptions bring theirs up to date before a page; who has gone does not."""
    registry, now, turns = Registry(), [0.0], list[int]()
    scope = registry.scope()

    def refreshed() -> None:
        now[0] += 0.001
        called.append(1)

    called: list[int] = []
    callbacks = [partial(refreshed) for _ in range(200)]
    for callback in callbacks[:100]:
        registry.refresh(callback)
    for callback in callbacks[100:]:
        scope.refresh(callback)

    async def other() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(len(called))
            scope.close()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(other())
        await asyncio.sleep(0)
        await Exposition(registry, process=False, now=lambda: now[0]).render(openmetrics=False)
        task.cancel()

    asyncio.run(main())
    assert len(called) == 100
    assert any(0 < each < 100 for each in turns)
