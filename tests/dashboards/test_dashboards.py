"""The committed dashboards hold what Grafana's linter asks for, and name only what exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafanalib import formatunits

import dashboards
from dashboards import thresholds
from exporter.metrics import families
from exporter.relay import metrics
from tests.alert_rules.catalogue import TARGET
from tests.alert_rules.catalogue import catalogue as exported
from tests.conftest import ROOT
from tests.dashboards.queries import asked, filled, grouped, pages, panels, uses
from tests.live.programs import program

RULES = ROOT / "alert_rules"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PAGES = pages()
ASKED = asked()
each_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def recorded() -> dict[str, set[str]]:
    """Return the labels of each recorded series, as its expression groups them."""
    found: dict[str, set[str]] = {}
    for rule in thresholds.rules():
        if "record" in rule:
            named = set(rule.get("labels", ()))
            found.setdefault(rule["record"], set()).update(grouped(rule["expr"]) | named)
    # A rule made of recorded series has their labels.
    for _ in range(4):
        for rule in thresholds.rules():
            if "record" in rule:
                for name in found.keys() & {use.metric for use in uses(rule["expr"])}:
                    found[rule["record"]] |= found[name]
    return found


def catalogue() -> dict[str, set[str]]:
    """Return every series that there is, with its labels."""
    return {name: set(metric.labels) for name, metric in exported(recorded()).items()}


def test_committed_is_what_the_code_writes() -> None:
    """Nobody edits the JSON by hand, and nobody forgets `make generate`."""
    for path, text in dashboards.written().items():
        assert path.read_text() == text, f"{path.name} is stale: run make generate"
    assert {path.name for path in dashboards.FOLDER.glob("*.json")} == {
        f"{name}.json" for name in dashboards.PAGES
    }


@each_page
def test_a_page_is_found_and_refreshes(page: dict[str, Any]) -> None:
    """Address, tags, time and variables are as every page has them."""
    assert re.fullmatch(r"exobs-[a-z]+", page["uid"])
    assert page["description"]
    assert (page["id"], page["version"], page["schemaVersion"]) == (None, 0, 39)
    assert "exchange-observability" in page["tags"]
    assert page["timezone"] == "browser"
    assert (page["refresh"], page["graphTooltip"], page["editable"]) == ("30s", 1, False)
    names = [variable["name"] for variable in page["templating"]["list"]]
    assert names[:3] == ["datasource", "job", "instance"]
    source, *others = page["templating"]["list"]
    assert (source["type"], source["query"], source["label"]) == (
        "datasource", "prometheus", "Data source",
    )  # fmt: skip
    for variable in others:
        assert variable["datasource"] == SOURCE
        assert variable["multi"]
        assert variable["includeAll"]
        assert (variable["allValue"], variable["refresh"]) == (".+", 2)


@each_page
def test_links_and_annotations(page: dict[str, Any]) -> None:
    """One gets from every page to the others at the same time, and sees when alerts fired."""
    pipeline = page["uid"] == "exobs-pipeline"
    by_tag = page["links"][0]
    assert (by_tag["type"], by_tag["keepTime"], by_tag["includeVars"]) == (
        "dashboards", True, not pipeline,
    )  # fmt: skip
    reached = {
        other["uid"] for other in PAGES.values() if set(by_tag["tags"]) <= set(other["tags"])
    }
    reached |= {link["url"].removeprefix("/d/") for link in page["links"][1:]}
    assert reached | {page["uid"]} == {other["uid"] for other in PAGES.values()}
    notes = {each["name"]: each["expr"] for each in page["annotations"]["list"]}
    assert 'alertstate="firing"' in notes["Alerts"]
    assert pipeline or "anomaly_score" in notes["Anomalies"]
    for each in page["annotations"]["list"]:
        assert each["datasource"] == SOURCE
        assert each["expr"] == each["target"]["expr"]


@each_page
def test_every_panel_says_what_it_means(page: dict[str, Any]) -> None:
    """Title, description, unit, legend, the word for no data, and at least one query."""
    for panel in panels(page):
        if panel["type"] == "row":
            continue
        title = panel["title"]
        assert len(panel["description"]) > 80, title
        assert panel["description"].endswith("."), title
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["noValue"], title
        assert panel["datasource"] == SOURCE
        assert "maxDataPoints" not in panel
        assert panel["targets"], title
        if panel["type"] not in ("state-timeline", "heatmap"):
            assert defaults["unit"] in units(), (title, defaults["unit"])
        if panel["type"] == "state-timeline":
            assert defaults["mappings"][0]["options"], title
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
            assert target["instant"] is (panel["type"] in ("stat", "table"))
            assert target["range"] is not target["instant"]
            assert (target["format"] == "heatmap") is (panel["type"] == "heatmap")
            assert target["legendFormat"] or panel["type"] == "table", title


def units() -> set[str]:
    """Return Grafana's names of units."""
    return {value for value in vars(formatunits).values() if isinstance(value, str)} | {"mps"}


@each_page
def test_layout(page: dict[str, Any]) -> None:
    """Panels have ids of their own, overlap nowhere, fit the width, and are not too many."""
    found = list(panels(page))
    ids = [panel["id"] for panel in found]
    assert len(set(ids)) == len(ids)
    assert sum(panel["type"] != "row" for panel in found) <= 26
    for shown in (page["panels"], *(p["panels"] for p in found if p.get("panels"))):
        taken: dict[tuple[int, int], str] = {}
        for panel in shown:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    first = [panel for panel in page["panels"] if panel["gridPos"]["y"] == 0]
    assert {panel["type"] for panel in first} == {"stat"}
    assert sum(panel["gridPos"]["w"] for panel in first) == 24


def test_every_query_is_filtered_and_rated() -> None:
    """Each series is chosen by job; counters stand under rate or increase, gauges never."""
    counters = {f.name for f in (*families.all_families(), *metrics.all_families())
                if f.kind == "counter"}  # fmt: skip
    for each in ASKED:
        for use in uses(each.query):
            assert use.filters.get("job") == "$job", (each.name, use.metric)
            raw = use.metric.startswith(("exchange_", "process_", "up", "scrape_", "alert_relay"))
            if raw and ":" not in use.metric:
                assert use.filters.get("instance") == "$instance", (each.name, use.metric)
        rated = re.findall(r"\b(?:rate|increase)\(([a-z0-9_]+)", each.query)
        for name in rated:
            histogram = name.endswith(("_bucket", "_sum", "_count"))
            assert name.endswith("_total") or histogram, (each.name, name)
            assert (
                name.startswith(("alertm", "prom", "process", "python"))
                or histogram
                or (name in counters)
            ), (each.name, name)
        for use in uses(each.query):
            if use.metric.endswith(("_total", "_bucket", "_sum", "_count")):
                assert use.metric in rated, (each.name, use.metric)


def test_every_series_and_label_exists() -> None:
    """What a panel asks for is what the exporter, the relay or a rule gives."""
    known = catalogue()
    for each in ASKED:
        labels = set[str]()
        for use in uses(each.query):
            assert use.metric in known, (each.name, use.metric)
            foreign = use.filters.keys() - known[use.metric] - TARGET
            assert not foreign, (each.name, use.metric, foreign)
            labels |= known[use.metric]
        assert grouped(each.query) <= labels | TARGET, each.name


def test_legends_and_keys_exist() -> None:
    """A legend or a table's column names a label that the query leaves."""
    for name, page in PAGES.items():
        for panel in panels(page):
            for target in panel.get("targets", ()):
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                left = grouped(target["expr"]) or set().union(
                    *(catalogue()[use.metric] for use in uses(target["expr"]))
                )
                assert named <= left, (name, panel["title"], named - left)


def test_label_values_exist() -> None:
    """A label is compared only with a value that it can have."""
    closed = exported()
    for each in ASKED:
        for use in uses(each.query):
            for label, value in use.filters.items():
                if "$" in value or use.metric not in closed:
                    continue
                allowed = closed[use.metric].values.get(label)
                assert allowed is None or value in allowed, (each.name, label, value)
    # Of recorded series: what a rule gives the label.
    signals = {rule.get("labels", {}).get("signal") for rule in thresholds.rules()}
    for each in ASKED:
        for use in uses(each.query):
            if "band_" in use.metric and "$" not in use.filters.get("signal", "$"):
                assert use.filters["signal"] in signals, each.name


def test_every_query_parses(tmp_path: Path) -> None:
    """Prometheus itself understands each query."""
    queries = {filled(each.query) for each in ASKED}
    queries |= {
        filled(note["expr"]) for page in PAGES.values() for note in page["annotations"]["list"]
    }
    rules = [{"record": f"q:{place}", "expr": text} for place, text in enumerate(sorted(queries))]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}))
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "rules", "--lint=none", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_alerts_lead_to_pages() -> None:
    """The address that an alert carries is one of ours, and its variable is one of the page's."""
    variables = {
        page["uid"]: {variable["name"] for variable in page["templating"]["list"]}
        for page in PAGES.values()
    }
    alerts = [rule for rule in thresholds.rules() if "alert" in rule]
    assert alerts
    for rule in alerts:
        uid, *given = re.findall(r"/d/([\w-]+)|var-(\w+)=", rule["annotations"]["dashboard_url"])
        assert uid[0] in variables, rule["alert"]
        assert {name for _, name in given} <= variables[uid[0]], rule["alert"]


def test_links_in_panels_lead_to_pages() -> None:
    """What one clicks in a panel opens a page that exists, and keeps variables and time."""
    urls = re.findall(r'"url": "(/d/[^"]*)"', json.dumps(list(PAGES.values())))
    uids = {page["uid"] for page in PAGES.values()}
    assert len(urls) > 10
    for url in urls:
        assert re.split(r"[/?]", url)[2] in uids
        assert url == "/d/exobs-pipeline" or "${__url_time_range}&" in f"{url}&"


def test_thresholds_are_the_alerts_own() -> None:
    """A number on a panel is read from the rule that acts on it."""
    assert thresholds.compared("a / (b > 0) > 7 * 86400") == [0, 604800]
    assert thresholds.compared("x > 0.5 * y") == []
    assert thresholds.compared("abs(x) > 6\nand y offset 12h") == [6]
    with pytest.raises(LookupError, match="2 alerts fit ExchangePriceDivergence"):
        thresholds.limit("ExchangePriceDivergence")
    with pytest.raises(LookupError, match="0 alerts fit Nonsense"):
        thresholds.limit("Nonsense")
    (slow,) = (p for p in panels(PAGES["exchange"]) if p["title"] == "Slow answers")
    steps = slow["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 0.1]
    # What follows an `or` is another quantity: which comparison is meant must be said.
    with pytest.raises(LookupError, match="say at which place the limit stands"):
        thresholds.limit("AlertRelayHeartbeatMissing")
    (beat,) = (p for p in panels(PAGES["pipeline"]) if p["title"] == "Since the last heartbeat")
    steps = beat["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 180]


# The SDK does not model what only the Prometheus source reads of an annotation and a variable.
_UNMODELLED = re.compile(
    r"\.id|\.annotations\.list\[\]\.(step|textFormat|titleFormat|useValueForTime|target\..*)"
    r"|\.templating\.list\[\]\.definition"
)


@each_page
def test_grafana_knows_every_key(page: dict[str, Any]) -> None:
    """No key is lost when Grafana's own types read a page and write it again."""
    wanted = "pip install 'grafana-foundation-sdk==1769699379!11.6.0'"
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=wanted)
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder", reason=wanted)
    again = json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(page)))
    lost = {path for path in _lost(page, again, "") if not _UNMODELLED.fullmatch(path)}
    assert lost == set()


def _lost(before: Any, after: Any, path: str) -> set[str]:
    """Return the paths that were there before and are not after."""
    if isinstance(before, dict) and isinstance(after, dict):
        return set().union(
            *(
                _lost(value, after[key], f"{path}.{key}") if key in after else {f"{path}.{key}"}
                for key, value in before.items()
            )
        )
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return set().union(*(_lost(one, other, f"{path}[]") for one, other in pairs))
    return set() if type(before) is type(after) or before == after else {path}
