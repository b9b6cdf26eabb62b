"""A dashboard: rows of panels, the variables and links that all have, and its JSON."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from grafanalib import core as grafana

from dashboards.panels import SELECTORS, SOURCE, Json, Panel, tidy

TAG = "exchange-observability"
COLUMNS = 24
_EVERYTHING = ".+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under a heading; the first row of a page has none and is never folded."""

    title: str = ""
    panels: Sequence[Panel]
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice of label values; ``query`` is what Grafana asks Prometheus for."""

    name: str
    label: str
    query: str
    regex: str = ""


def _variables(job_of: str) -> tuple[Variable, ...]:
    """Give what a page about exchanges chooses by; ``job_of`` is a series that names the jobs."""
    return (
        Variable(name="job", label="Job", query=f"label_values({job_of}, job)"),
        Variable(
            name="instance",
            label="Instance",
            query=f'label_values({job_of}{{job=~"$job"}}, instance)',
        ),
        Variable(
            name="exchange",
            label="Exchange",
            query='label_values(exchange_maintenance_active{job=~"$job",instance=~"$instance"}, '
            "exchange)",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A dashboard. ``own`` are variables besides those that all pages have."""

    uid: str
    title: str
    about: str
    rows: Sequence[Row]
    own: Sequence[Variable] = ()
    # Pages about exchanges hand their variables to one another. The alert pipeline's jobs are
    # others, so that it takes and gives none: it would open empty.
    exchanges: bool = True
    variables: Sequence[Variable] = field(
        default_factory=lambda: _variables("exchange_exporter_build_info")
    )

    def panels(self) -> list[Panel]:
        """Give all panels in reading order."""
        return [panel for row in self.rows for panel in row.panels]


def document(page: Page) -> Json:
    """Give the dashboard's JSON as Grafana reads it. Raises ValueError for a title used twice."""
    made = grafana.Dashboard(
        title=f"Exchanges / {page.title}",
        uid=page.uid,
        description=" ".join(page.about.split()),
        tags=[TAG, *(["exchange-pages"] if page.exchanges else [])],
        timezone="browser",
        graphTooltip=1,
        editable=False,
        schemaVersion=39,
        refresh="30s",
        time=grafana.Time("now-1h", "now"),
        links=_links(page),
        templating=grafana.Templating(
            list=[_source(), *(_variable(each) for each in (*page.variables, *page.own))]
        ),
        panels=_place(page),
    )
    known: Json = tidy(made)
    for old in ("__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"):
        known.pop(old, None)
    return {
        **known,
        "id": None,
        "timepicker": {},
        "annotations": {"list": _annotations(page)},
    }


def _place(page: Page) -> list[Json]:
    """Let panels flow from left to right, and give each its place and its id."""
    placed: list[Json] = []
    ids: set[int] = set()
    line = 0
    for row in page.rows:
        target = placed
        if row.title:
            heading = {
                "type": "row",
                "title": row.title,
                "collapsed": row.folded,
                "id": _id(f"row {row.title}", ids),
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": line},
                "panels": [],
            }
            placed.append(heading)
            line += 1
            if row.folded:
                target = heading["panels"] = []
        column = tallest = 0
        for panel in row.panels:
            if column + panel.width > COLUMNS:
                line, column, tallest = line + tallest, 0, 0
            target.append(
                {
                    **panel.body,
                    "id": _id(panel.title, ids),
                    "gridPos": {"h": panel.height, "w": panel.width, "x": column, "y": line},
                }
            )
            column += panel.width
            tallest = max(tallest, panel.height)
        line += tallest
    return placed


def _id(title: str, taken: set[int]) -> int:
    """Give an id by the title, so that a link to a panel outlives the panels around it."""
    made = zlib.crc32(title.encode()) % 1_000_000 + 1
    if made in taken:
        raise ValueError(f"two panels called {title!r}, or two titles of one checksum")
    taken.add(made)
    return made


def _source() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "current": {},
    }


def _variable(variable: Variable) -> Json:
    made = grafana.Template(
        name=variable.name,
        label=variable.label,
        query=variable.query,
        regex=variable.regex,
        dataSource=SOURCE,
        allValue=_EVERYTHING,
        includeAll=True,
        multi=True,
        refresh=2,
        sort=1,
    ).to_json_data()
    for old in ("useTags", "tagsQuery", "tagValuesQuery", "auto", "auto_min", "auto_count"):
        del made[old]
    return {
        **made,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": f"variable-{variable.name}"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _links(page: Page) -> list[Json]:
    pages = grafana.DashboardLink(
        title="Exchanges",
        type="dashboards",
        tags=["exchange-pages"],
        asDropdown=True,
        includeVars=page.exchanges,
        keepTime=True,
    ).to_json_data()
    pipeline = grafana.DashboardLink(
        title="Alert pipeline",
        type="link",
        uri="/d/exobs-pipeline",
        icon="bolt",
        includeVars=False,
        keepTime=True,
    ).to_json_data()
    return [pages, *([pipeline] if page.exchanges else [])]


def _annotations(page: Page) -> list[Json]:
    # Watchdog always fires and ExchangeInfoInhibitor only mutes.
    alerts = "@alerts" if page.exchanges else "@job"
    found = [
        _annotation(
            "Alerts",
            "red",
            f'ALERTS{{{alerts},alertstate="firing",severity!="none"}}',
            "{{alertname}} {{exchange}}",
            "{{severity}} {{category}} {{endpoint}}{{stream}}{{channel}} {{symbol}}",
        )
    ]
    if page.exchanges:
        found += [
            _annotation(
                "Maintenance",
                "blue",
                "max by (exchange, source) (exchange_maintenance_active{@exchange}) > 0",
                "Maintenance of {{exchange}}",
                "As the {{source}} says.",
            ),
            _annotation(
                "Declared incidents",
                "orange",
                "max by (exchange, source) (exchange_incident_declared{@exchange}) > 0",
                "{{exchange}} declares an incident",
                "As its {{source}} says.",
            ),
            _annotation(
                "Next maintenance",
                "light-blue",
                "1000 * min by (exchange)"
                " (exchange_maintenance_start_timestamp_seconds{@exchange})",
                "Maintenance of {{exchange}} begins",
                "As it was announced or planned.",
                at_value=True,
            ),
            _annotation(
                "Anomalies",
                "purple",
                "exchange_signal:anomaly_score:avg1m{@recorded} > 1",
                "Unusual {{signal}} of {{exchange}}",
                "The mean score of a minute; 1 is the threshold.",
            ),
        ]
    return found


def _annotation(
    name: str, colour: str, query: str, title: str, text: str, *, at_value: bool = False
) -> Json:
    """Return marks of a query; ``at_value``: at the times that its values name, milliseconds."""
    for selector, labels in SELECTORS.items():
        query = query.replace(selector, labels)
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        # Twice: up to Grafana 10 the first is read, later the second.
        "expr": query,
        "step": "30s",
        "target": {"expr": query, "interval": "30s", "refId": "Anno"},
        "titleFormat": title,
        "textFormat": text,
        **({"useValueForTime": True} if at_value else {}),
        "useValueForTime": False,
    }
