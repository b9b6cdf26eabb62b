"""What detectors say, on the page: scores while they are known, and none when they are old."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.meter import AnomalyMeter
from exporter.metrics.registry import Registry
from exporter.signals import Scores, Series

ONE, OTHER = Series("okx", "spread"), Series("okx", "stream_latency")


def _lines(registry: Registry, name: str) -> dict[str, float]:
    list(registry.run_refreshers())
    page = "".join(child.text() for table in registry.tables() for child in table.children.values())
    rows = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith(name))
    return {labels.removeprefix(name): float(value) for labels, value in rows}


def _scores(*measured: bool, ready: bool = True) -> Scores:
    return Scores(
        score=np.array([[0.5, 1.5]]),
        ready=np.full((1, 2), ready),
        measured=np.array(measured),
    )


def test_a_score_stays_between_measurements_and_leaves_when_nothing_renews_it() -> None:
    """A probe every 10 s and a tick every second: the score stands, for a while."""
    registry = Registry()
    meter = AnomalyMeter(registry, (ONE, OTHER), ("ensemble",), stale_after=60.0)
    name = "exchange_anomaly_score"
    assert not _lines(registry, name)
    meter.show(_scores(True, True), 100.0)
    assert sorted(_lines(registry, name).values()) == [0.5, 1.5]
    for now in range(101, 161):
        meter.show(_scores(True, False), float(now))
        assert len(_lines(registry, name)) == 2
    meter.show(_scores(True, False), 161.0)
    assert _lines(registry, name) == {'{exchange="okx",signal="spread",detector="ensemble"}': 0.5}
    meter.show(_scores(False, True), 162.0)
    assert len(_lines(registry, name)) == 2


def test_while_learning_there_is_no_score_and_ready_is_0() -> None:
    """Readiness says why the score is missing."""
    registry = Registry()
    meter = AnomalyMeter(registry, (ONE, OTHER), ("ensemble",))
    meter.show(_scores(True, True, ready=False), 1.0)
    assert not _lines(registry, "exchange_anomaly_score")
    assert set(_lines(registry, "exchange_anomaly_ready").values()) == {0.0}
    meter.show(_scores(True, False), 2.0)
    assert sorted(_lines(registry, "exchange_anomaly_ready").values()) == [0.0, 1.0]


def test_the_baseline_is_shown_only_where_asked_for() -> None:
    """Three bounds a signal, less those that do not exist for it."""
    registry = Registry()
    name = "exchange_anomaly_baseline"
    AnomalyMeter(registry, (ONE, OTHER), ("ensemble",)).show(_scores(True, True), 1.0)
    assert not _lines(registry, name)
    meter = AnomalyMeter(registry.scope(), (ONE, OTHER), ("ensemble",), baseline=True)
    band = np.array([[np.nan, 1.0], [0.1, 2.0], [0.2, 3.0]])
    meter.show(_scores(True, True), 1.0, band)
    assert sorted(_lines(registry, name).values()) == [0.1, 0.2, 1.0, 2.0, 3.0]


def test_incidents_are_counted_and_a_closed_scope_leaves_nothing() -> None:
    """The counter of each signal begins at 0; all of it goes with its exchange."""
    registry = Registry()
    scope = registry.scope()
    meter = AnomalyMeter(scope, (ONE, OTHER), ("ensemble",))
    meter.opened(OTHER)
    assert _lines(registry, "exchange_anomaly_events_total") == {
        '{exchange="okx",signal="spread"}': 0.0,
        '{exchange="okx",signal="stream_latency"}': 1.0,
    }
    scope.close()
    assert not _lines(registry, "exchange_anomaly_")


_LOOKS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.0, 0.5, 1.5]), min_size=4, max_size=4),
        st.lists(st.booleans(), min_size=4, max_size=4),
        st.lists(st.booleans(), min_size=2, max_size=2),
        st.sampled_from([1.0, 30.0, 70.0]),
        st.booleans(),
    ),
    max_size=12,
)


@given(_LOOKS)
def test_a_scrape_shows_what_moving_each_gauge_at_each_tick_would(
    looks: list[tuple[list[float], list[bool], list[bool], float, bool]],
) -> None:
    """However many ticks lie between two scrapes, the page is as if every tick had moved it."""
    registry, series, detectors = Registry(), (ONE, OTHER), ("ensemble", "iqr")
    meter = AnomalyMeter(registry, series, detectors, stale_after=60.0)
    scores: dict[str, float] = {}
    ready = {_signal(one): 0.0 for one in series}
    renewed: dict[Series, float] = {}
    now = 0.0
    for score, known, measured, passed, scraped in looks:
        now += passed
        tick = Scores(
            score=np.array(score).reshape(2, 2),
            ready=np.array(known).reshape(2, 2),
            measured=np.array(measured),
        )
        meter.show(tick, now)
        for column, one in enumerate(series):
            if measured[column]:
                renewed[one] = now
                ready[_signal(one)] = float(tick.ready[:, column].all())
            for row, name in enumerate(detectors):
                label = _signal(one)[:-1] + f',detector="{name}"}}'
                if measured[column] and tick.ready[row, column]:
                    scores[label] = tick.score[row, column]
                elif measured[column] or now - renewed.get(one, now) > 60.0:
                    scores.pop(label, None)
        if scraped:
            assert _lines(registry, "exchange_anomaly_score") == scores
            assert _lines(registry, "exchange_anomaly_ready") == ready


def _signal(series: Series) -> str:
    return f'{{exchange="{series.exchange}",signal="{series.signal}"}}'
