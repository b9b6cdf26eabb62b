"""Every public metric family: name, meaning, labels, buckets; a file a topic.

A name here is a contract with dashboards, rules and users. HELP says which instants a clock
spans. Label values come from the config or from the enums here and in `exporter.model`.
"""

from __future__ import annotations

from exporter.metrics.families import (
    anomaly,
    books,
    deadlines,
    gates,
    markets,
    prices,
    probes,
    process,
    streams,
)
from exporter.metrics.families.anomaly import *  # noqa: F403
from exporter.metrics.families.books import *  # noqa: F403
from exporter.metrics.families.deadlines import *  # noqa: F403
from exporter.metrics.families.gates import *  # noqa: F403
from exporter.metrics.families.markets import *  # noqa: F403
from exporter.metrics.families.prices import *  # noqa: F403
from exporter.metrics.families.probes import *  # noqa: F403
from exporter.metrics.families.process import *  # noqa: F403
from exporter.metrics.families.streams import *  # noqa: F403
from exporter.model import Family

_TOPICS = (probes, gates, streams, books, prices, markets, deadlines, anomaly, process)


def all_families() -> tuple[Family, ...]:
    """Return every family, topic by topic, in the order in which they are written."""
    declared = (value for topic in _TOPICS for value in vars(topic).values())
    return tuple(value for value in declared if isinstance(value, Family))


def markdown_rows() -> list[str]:
    """Return the metric table of the docs, one row a family, without its heading."""
    return [
        f"| `{family.name}` | {family.kind}"
        f"{f', {len(family.buckets)} buckets' if family.buckets else ''} | "
        f"{', '.join(f'`{label}`' for label in family.labels) or '-'} | {family.help} |"
        for family in all_families()
    ]
