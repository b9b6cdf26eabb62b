"""What the exporter says of itself, and the table of all that is said."""

from __future__ import annotations

import platform
import re

import pytest

from exporter.metrics.families import all_families, markdown_rows
from exporter.metrics.process import ExporterMeter
from exporter.metrics.registry import Registry
from tests.conftest import shared
from tests.metrics.test_registry import samples
from tests.probes.test_meter import value


def test_build_config_and_tasks() -> None:
    """Version, shard, the config in force (one at a time), tasks and their restarts."""
    registry = Registry()
    meter = ExporterMeter(
        registry, version="1.2.3", revision="abc", tasks=["probe", "stream"], shard=(0, 2)
    )
    python = platform.python_version()
    labels = f'version="1.2.3",revision="abc",python_version="{python}"'
    assert value(registry, f"exchange_exporter_build_info{{{labels}}}") == 1
    assert value(registry, 'exchange_exporter_shard_info{shard="0",shards="2"}') == 1
    meter.config_loaded("aaa", 1.7e9)
    meter.config_loaded("bbb", 1.7e9 + 60)
    meter.config_refused()
    assert samples(registry, "exchange_exporter_config_info") == [
        'exchange_exporter_config_info{hash="bbb"} 1'
    ]
    assert value(registry, "exchange_exporter_config_last_reload_successful") == 0
    reloaded = "exchange_exporter_config_last_reload_success_timestamp_seconds"
    assert value(registry, reloaded) == 1.7e9 + 60
    meter.task_started("probe")
    meter.task_started("probe")
    meter.task_ended("probe")
    meter.task_restarted("stream")
    assert value(registry, 'exchange_exporter_tasks{task="probe"}') == 1
    assert value(registry, 'exchange_exporter_tasks{task="stream"}') == 0
    assert value(registry, 'exchange_exporter_task_restarts_total{task="stream"}') == 1
    before = value(registry, "exchange_exporter_memory_blocks")
    kept = [object() for _ in range(100_000)]
    assert value(registry, "exchange_exporter_memory_blocks") - before > 0.9 * len(kept)


@pytest.mark.shared
def test_families_keep_the_contract_s_names_kinds_labels_and_bucket_counts() -> None:
    """Every exchange_ metric of the contract is declared here as the contract has it."""
    declared = {family.name: family for family in all_families()}
    for row in shared("METRICS.md").read_text().splitlines():
        if not row.startswith("| `exchange_"):
            continue
        names, kind, labels, *_ = row.strip("| ").split(" | ")
        found = re.findall(r"`(exchange_\w+)`", names)
        kinds = re.findall(r"gauge|counter|histogram|info", kind)
        for name, kind_of_it in zip(found, kinds * len(found), strict=False):
            family = declared[name]
            assert family.kind == kind_of_it, name
            if bounds := re.search(r"(\d+) b", kind):
                assert len(family.buckets) == int(bounds[1]), name
            if labels != "-" and "series" not in name:
                bare = re.sub(r"\(.*?\)|=[\w/]+", "", labels)
                assert family.labels == tuple(part.strip() for part in bare.split(",")), name


def test_names_tell_unit_and_kind() -> None:
    """Base units only, counters end in _total, and no family's samples clash with another's."""
    families = all_families()
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert not re.search(r"_(ms|milliseconds|percent|minutes)\b", family.name)
        assert family.help.endswith(".")


def test_readme_s_rows() -> None:
    """One row a family, with type, labels and meaning."""
    rows = markdown_rows()
    assert len(rows) == len(all_families())
    wanted = (
        "| `exchange_probe_duration_seconds` | histogram, 14 buckets | `exchange`, `endpoint`, "
    )
    assert any(row.startswith(wanted) for row in rows)
    assert all(row.count(" | ") == 3 for row in rows)
