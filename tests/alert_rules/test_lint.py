"""The linter finds what promtool cannot, and leaves good expressions alone."""

from __future__ import annotations

import pytest

from tests.alert_rules.catalogue import catalogue, published
from tests.alert_rules.lint import Matcher, lint_expression, read

KNOWN = catalogue({"exchange:probe_errors:ratio_rate5m": {"exchange"}})


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("exchange_probe_succes", "exchange_probe_succes: no such metric"),
        ("sum(rate(exchange_probe_total[5m]))", "exchange_probe_total: no such metric"),
        ('exchange_probe_success{venue="okx"}', "exchange_probe_success: no label venue"),
        (
            'rate(exchange_probes_total{outcome="ok"}[5m])',
            "exchange_probes_total: label outcome is never 'ok'",
        ),
        (
            'rate(exchange_stream_disconnects_total{reason!~"planned|shutdwn"}[5m])',
            "exchange_stream_disconnects_total: label reason is never 'shutdwn'",
        ),
        (
            'rate(exchange_probe_duration_seconds_bucket{le="1"}[5m])',
            "exchange_probe_duration_seconds_bucket: label le is never '1'",
        ),
        (
            'rate(exchange_probe_duration_seconds_bucket{le="2.0"}[5m])',
            "exchange_probe_duration_seconds_bucket: label le is never '2.0'",
        ),
        ("rate(exchange_probe_success[5m])", "exchange_probe_success: rate of a gauge"),
        (
            "sum by (exchange) (increase(exchange_mid_price[5m])) > 0",
            "exchange_mid_price: increase of a gauge",
        ),
        (
            "sum by (exchange) (exchange_probes_total) > 10",
            "exchange_probes_total: a bare counter, expected rate or increase",
        ),
        (
            "exchange_probe_duration_seconds_count > 5",
            "exchange_probe_duration_seconds_count: a bare counter, expected rate or increase",
        ),
        (
            "sum by (exchange, topic) (rate(exchange_probes_total[5m]))",
            "grouped by topic, which no metric of the expression has",
        ),
        (
            "rate(exchange:probe_errors:ratio_rate5m[5m])",
            "exchange:probe_errors:ratio_rate5m: rate of a gauge",
        ),
        (
            'exchange:probe_errors:ratio_rate5m{endpoint="time"}',
            "exchange:probe_errors:ratio_rate5m: no label endpoint",
        ),
    ],
)
def test_finds_what_promtool_cannot(expression: str, complaint: str) -> None:
    """A name, label, value, rate or counter that is wrong is named, and nothing else is."""
    assert lint_expression(expression, KNOWN) == [complaint]


@pytest.mark.parametrize(
    "expression",
    [
        'sum by (job, exchange) (rate(exchange_probes_total{outcome="success",job=~"$job"}[5m]))',
        "max_over_time(exchange_probe_success[2m]) == 0",
        "changes(exchange_stream_connects_total[1h]) > 3",
        "count by (exchange) (exchange_stream_connected_seconds_total)",
        "time() - exchange_probe_last_success_timestamp_seconds > 60",
        "histogram_quantile(0.9, sum by (le) (rate(exchange_probe_duration_seconds_bucket[5m])))",
        'label_replace(exchange_mid_price, "base", "$1", "symbol", "(.+)-.+")',
        'count_values by (job) ("shards", exchange_exporter_shard_info)',
        "avg_over_time(exchange:probe_errors:ratio_rate5m[1h] offset 5m) > 1e-3",
        'exchange_probe_success{exchange=~"o.*"} # a comment with {odd} words',
        "avg_over_time((exchange_probe_success == 1)[5m:1m])",
        'sum(rate(alert_relay_deliveries_total{channel="line", outcome="failed"}[5m]))',
        "exchange_rate_limit_used_ratio * on (exchange) group_left (source) "
        'exchange_maintenance_active{source="venue"}',
        "vector(1)",
    ],
)
def test_leaves_good_expressions_alone(expression: str) -> None:
    """An expression that names only what is published is fine, however it is written."""
    assert lint_expression(expression, KNOWN) == []


def test_reads_selectors_groupings_and_functions() -> None:
    """Each metric is found with its matchers and with the functions around it."""
    reading = read('sum by (a, b) (rate(x_total{c="1", d!~"2|3"}[5m])) / on (a) group_left (e) y')
    x, y = reading.uses
    assert (x.metric, x.ranged, x.around) == ("x_total", True, ("rate", "sum"))
    assert x.matchers == [Matcher("c", "=", "1"), Matcher("d", "!~", "2|3")]
    assert (y.metric, y.matchers, y.around) == ("y", [], ())
    assert (reading.grouped, reading.made) == ({"a", "b"}, {"e"})


def test_every_family_is_in_the_catalogue() -> None:
    """What the exporter and the relay publish can be asked for, and nothing of it twice."""
    names = {family.name for family in published()}
    assert {"exchange_probes_total", "alert_relay_deliveries_total"} <= names
    for family in published():
        spelled = f"{family.name}_bucket" if family.kind == "histogram" else family.name
        assert set(family.labels) <= KNOWN[spelled].labels
