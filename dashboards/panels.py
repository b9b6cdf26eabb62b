"""What a page says of a panel, and the JSON that Grafana wants for it.

The only file that knows grafanalib, together with ``page``. Its gaps are closed here by raw JSON:
heatmaps, data links, `range`, legends of timelines, and defaults that Grafana has since changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from grafanalib import core as grafana

Json: TypeAlias = dict[str, Any]
Step: TypeAlias = tuple[float | None, str]  # from this value on (None: from below), this colour
# What a value is called, and its colour.
Words: TypeAlias = Mapping[int, tuple[str, str]]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
GOOD, WARN, BAD, PLAIN, IDLE = "green", "orange", "red", "blue", "#808080"

# What stands for the labels that every query must filter by: raw series of an exchange, raw series
# of the process, recorded series (instance is summed away), and whatever has a job only.
SELECTORS = {
    "@exchange": 'job=~"$job",instance=~"$instance",exchange=~"$exchange"',
    "@process": 'job=~"$job",instance=~"$instance"',
    "@recorded": 'job=~"$job",exchange=~"$exchange"',
    "@alerts": 'job=~"$job",exchange=~"$exchange|"',
    "@job": 'job=~"$job"',
}
# Keys of panels and targets that grafanalib still writes and that Grafana has forgotten.
_OBSOLETE = frozenset(
    {"cacheTimeout", "error", "editable", "height", "hideTimeOverride", "minSpan", "span",
     "columns", "fontSize", "metric", "step", "intervalFactor", "query", "target", "hide"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and how the legend calls its series."""

    text: str
    legend: str = ""

    @property
    def expression(self) -> str:
        """The text with its selectors written out."""
        text = " ".join(self.text.split())
        for name, labels in SELECTORS.items():
            text = text.replace(name, labels)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel without its place: JSON, and its size in columns (of 24) and lines."""

    title: str
    body: Json
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: a query with one value a row."""

    title: str
    query: str
    unit: str = "short"
    steps: Sequence[Step] = ()
    words: Words | None = None
    decimals: int | None = None


def rising(warning: float | None = None, critical: float | None = None) -> list[Step]:
    """Colour what is bad when it is high, from these values on."""
    steps: list[Step] = [(None, GOOD)]
    steps += [(warning, WARN)] if warning is not None else []
    return steps + ([(critical, BAD)] if critical is not None else [])


def falling(warning: float | None = None, critical: float | None = None) -> list[Step]:
    """Colour what is bad when it is low: below these values."""
    if warning is None:
        return [(None, BAD), (critical, GOOD)]
    if critical is None:
        return [(None, WARN), (warning, GOOD)]
    return [(None, BAD), (critical, WARN), (warning, GOOD)]


def around(warning: float | None = None, critical: float | None = None) -> list[Step]:
    """Colour what is bad when it is far from zero, on either side."""
    down, up = falling(_minus(warning), _minus(critical)), rising(warning, critical)
    return [*down[:-1], (down[-1][0], GOOD), *up[1:]]


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def stat(
    title: str,
    about: str,
    query: str,
    *,
    legend: str = "",
    unit: str = "short",
    steps: Sequence[Step] = (),
    words: Words | None = None,
    none: str = "no data",
    absent: str = IDLE,
    decimals: int | None = None,
    width: int = 4,
    height: int = 4,
) -> Panel:
    """One number now, coloured by how bad it is; several series give several numbers.

    What is absent is neither good nor bad, as the lowest step would have it: it is ``absent``.
    """
    made = grafana.Stat(
        **_common(title, about),
        targets=_targets([Query(query, legend or title)], instant=True),
        reduceCalc="lastNotNull",
        noValue=none,
        format=unit,
        decimals=decimals,
        colorMode="background",
        graphMode="none",
        textMode="value_and_name" if "{{" in legend else "value",
        mappings=[*_mappings(words), _nothing(none, absent)],
        color={"mode": "thresholds"},
        thresholds=_steps(steps or [(None, PLAIN)]),
        extraJson={"options": {"wideLayout": True}},
    )
    return _panel(title, made, width, height)


def series(
    title: str,
    about: str,
    *queries: Query,
    unit: str = "short",
    limits: Sequence[Step] = (),
    stacked: bool = False,
    bars: bool = False,
    least: float | None = None,
    most: float | None = None,
    log: bool = False,
    none: str = "no data",
    link: Json | None = None,
    styles: Sequence[Json] = (),
    width: int = 8,
    height: int = 8,
) -> Panel:
    """Lines over time; ``limits`` draws the alert's thresholds as dashed lines."""
    made = grafana.TimeSeries(
        **_common(title, about),
        targets=_targets(queries),
        unit=unit,
        drawStyle="bars" if bars else "line",
        fillOpacity=60 if bars else 25 if stacked else 5,
        showPoints="never",
        legendDisplayMode="table" if width > 8 else "list",
        legendPlacement="right" if width > 8 else "bottom",
        legendCalcs=["lastNotNull", "max"] if width > 8 else [],
        tooltipMode="multi",
        tooltipSort="desc",
        stacking={"mode": "normal" if stacked else "none", "group": "A"},
        thresholdsStyleMode="dashed" if limits else "off",
        thresholds=_steps(limits or [(None, GOOD)]),
        scaleDistributionType="log" if log else "linear",
        scaleDistributionLog=10,
        overrides=list(styles),
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "min": least,
                    "max": most,
                    "noValue": none,
                    "links": [link] if link else [],
                }
            },
            "options": {"legend": {"showLegend": True}},
        },
    )
    return _panel(title, made, width, height)


def heat(
    title: str, about: str, query: str, *, none: str = "no data", width: int = 12, height: int = 8
) -> Panel:
    """A heatmap of a classic histogram in seconds: ``query`` gives an increase by ``le``."""
    # grafanalib's Heatmap is the panel of Grafana 8; only its frame is of use.
    made = grafana.TimeSeries(
        **_common(title, about),
        targets=_targets([Query(query, "{{le}}")], form="heatmap"),
    ).to_json_data()
    made["type"] = "heatmap"
    made["fieldConfig"] = {
        "defaults": {
            "noValue": none,
            "custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}},
        },
        "overrides": [],
    }
    made["options"] = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5,
                  "scale": "exponential", "fill": "dark-orange", "reverse": False},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "unit": "s", "reverse": False},
    }  # fmt: skip
    return _panel(title, made, width, height)


def states(
    title: str,
    about: str,
    *queries: Query,
    words: Words,
    none: str = "no data",
    link: Json | None = None,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Coloured bars over time; ``words`` names each value and gives it a colour."""
    made = grafana.StateTimeline(
        **_common(title, about),
        targets=_targets(queries),
        mappings=_mappings(words),
        thresholds=_steps([(None, IDLE)]),
        showValue="never",
        extraJson={
            "fieldConfig": {"defaults": {"noValue": none, "links": [link] if link else []}},
            "options": {"legend": {"showLegend": True}, "tooltip": {"sort": "none"}},
        },
    )
    return _panel(title, made, width, height)


def table(
    title: str,
    about: str,
    columns: Sequence[Column],
    *,
    keys: Mapping[str, str],
    links: Mapping[str, Json] | None = None,
    sort: str = "",
    lowest: bool = False,
    none: str = "no data",
    width: int = 24,
    height: int = 9,
) -> Panel:
    """One row a label set: ``keys`` maps the labels to headings, ``links`` gives some a link.

    ``sort`` names the column that is to come first, the highest on top, or the ``lowest``.
    """
    names = {f"Value #{chr(65 + place)}": each.title for place, each in enumerate(columns)}
    if len(columns) == 1:
        names = {"Value": columns[0].title}
    hidden = {"Time": True, **({"Value": True} if columns[0].title == "" else {})}
    order = {label: place for place, label in enumerate((*keys, *names))}
    made = grafana.Table(
        **_common(title, about),
        targets=_targets([Query(each.query) for each in columns], instant=True, form="table"),
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": hidden,
                    "indexByName": order,
                    "renameByName": {**keys, **{key: name for key, name in names.items() if name}},
                },
            },
        ],
        overrides=[_style(each) for each in columns if each.title]
        + [
            {
                "matcher": {"id": "byName", "options": heading},
                "properties": [{"id": "links", "value": [link]}],
            }
            for heading, link in (links or {}).items()
        ]
        # A row without that label has nothing there; only a table without rows says ``none``.
        + [
            {
                "matcher": {"id": "byName", "options": heading},
                "properties": [{"id": "noValue", "value": "-"}],
            }
            for heading in keys.values()
        ],
        unit="none",
        thresholds=_steps([(None, GOOD)]),
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "noValue": none,
                    "custom": {"cellOptions": {"type": "auto"}, "displayMode": None},
                }
            },
            "options": {"sortBy": [{"displayName": sort, "desc": not lowest}] if sort else []},
        },
    ).to_json_data()
    # Of the old table panel: Grafana keeps colour and mappings under fieldConfig.
    del made["color"], made["mappings"]
    return _panel(title, made, width, height)


def link(title: str, url: str) -> Json:
    """Give a data link; the variables and the time go with it."""
    kept = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
    return {"title": title, "url": f"{url}{'&' if '?' in url else '?'}{kept}"}


def right_axis(name: str, *, unit: str) -> Json:
    """Return the override that draws the series whose names match on an axis of its own."""
    properties = [{"id": "unit", "value": unit}, {"id": "custom.axisPlacement", "value": "right"}]
    return {"matcher": {"id": "byRegexp", "options": f"/{name}/"}, "properties": properties}


def band(lower: str, upper: str) -> list[Json]:
    """Style two series, by their legends, as the edges of a filled band."""
    edge = {"id": "custom.lineWidth", "value": 0}
    return [
        {"matcher": {"id": "byRegexp", "options": f"/{lower}/"}, "properties": [edge]},
        {
            "matcher": {"id": "byRegexp", "options": f"/{upper}/"},
            "properties": [
                edge,
                {"id": "custom.fillBelowTo", "value": lower},
                {"id": "custom.fillOpacity", "value": 15},
            ],
        },
    ]


def tidy(value: Any, obsolete: frozenset[str] = frozenset()) -> Any:
    """Drop what is unset, and the keys that are obsolete. The first step's null is meant."""
    if hasattr(value, "to_json_data"):
        return tidy(value.to_json_data(), obsolete)
    if isinstance(value, Mapping):
        step = value.keys() == {"color", "value"}
        return {
            key: tidy(each, obsolete)
            for key, each in value.items()
            if (each is not None or step) and key not in obsolete
        }
    if isinstance(value, list | tuple):
        return [tidy(each, obsolete) for each in value]
    return value


def _common(title: str, about: str) -> Json:
    return {
        "title": title,
        "description": " ".join(about.split()),
        "dataSource": SOURCE,
        "maxDataPoints": None,
    }


def _targets(queries: Sequence[Query], *, instant: bool = False, form: str = "") -> list[Json]:
    made = []
    for place, each in enumerate(queries):
        target = grafana.Target(
            expr=each.expression,
            refId=chr(65 + place),
            legendFormat=each.legend,
            instant=instant,
            format=form or "time_series",
            datasource=SOURCE,
        )
        made.append({**target.to_json_data(), "range": not instant, "editorMode": "code"})
    return made


def _panel(title: str, made: Any, width: int, height: int) -> Panel:
    return Panel(title=title, body=tidy(made, _OBSOLETE), width=width, height=height)


def _steps(steps: Sequence[Step]) -> list[Json]:
    return [{"color": colour, "value": value} for value, colour in steps]


def _mappings(words: Words | None) -> list[Json]:
    if not words:
        return []
    options = {
        f"{value:g}": {"text": text, "color": colour, "index": place}
        for place, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _nothing(text: str, colour: str) -> Json:
    result = {"text": text, "color": colour, "index": 0}
    return {"type": "special", "options": {"match": "null", "result": result}}


def _style(column: Column) -> Json:
    properties: list[Json] = [{"id": "unit", "value": column.unit}]
    if column.decimals is not None:
        properties.append({"id": "decimals", "value": column.decimals})
    if column.words:
        properties.append({"id": "mappings", "value": _mappings(column.words)})
    if column.steps or column.words:
        steps = {"mode": "absolute", "steps": _steps(column.steps or [(None, "text")])}
        properties += [
            {"id": "thresholds", "value": steps},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ]
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}
