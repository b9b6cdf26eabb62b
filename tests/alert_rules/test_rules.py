"""The shipped rules: Prometheus takes them, they fire when they should, and name what exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.simulator import faults, venues
from exporter.simulator.rehearsal import load as load_plan
from exporter.simulator.rehearsal.derive import seconds
from tests.alert_rules.catalogue import catalogue
from tests.alert_rules.lint import lint_expression
from tests.alert_rules.rules import (
    FOLDER,
    RULE_FILES,
    RUNBOOKS,
    TEST_FILES,
    Rule,
    alerts,
    load,
    recorded,
    rules,
    unit_tests,
)
from tests.live.programs import program

DASHBOARDS = {
    "exobs-overview",
    "exobs-exchange",
    "exobs-streams",
    "exobs-slo",
    "exobs-trading",
    "exobs-markets",
    "exobs-anomalies",
    "exobs-exporter",
    "exobs-pipeline",
}
SEVERITIES = {"critical", "warning", "info", "none"}
CATEGORIES = {
    "availability", "latency", "stream", "data", "limits", "security", "exporter", "pipeline",
}  # fmt: skip
# Fire when there is nothing at all, which is their point.
UNCONDITIONAL = {"Watchdog", "ExchangeExporterDown"}
# Shares of what happened: they must hold where nothing happened, and where nothing ever went well.
SHARES = {
    "AlertmanagerNotificationsFailing",
    "ExchangeErrorBudgetBurn",
    "ExchangeExporterLoopLag",
    "ExchangeLatencyHigh",
    "ExchangeStreamLatencyHigh",
    "ExchangeStreamParseErrors",
}
ALERTS = alerts()


def run(*command: str) -> str:
    """Run a program and return what it says; fails with that if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def identify(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(getattr(value, "variant", value))


@pytest.mark.usefixtures("generation")
@pytest.mark.parametrize("path", RULE_FILES, ids=identify)
def test_prometheus_takes_the_rules(path: Path) -> None:
    """Each file loads by itself, without a finding of Prometheus' own linter."""
    run(
        program("promtool", "prometheus"), "check", "rules", "--lint=all", "--lint-fatal", str(path)
    )


@pytest.mark.usefixtures("generation")
@pytest.mark.timeout(600)  # hours of samples, every 5 s
@pytest.mark.parametrize("path", TEST_FILES, ids=identify)
def test_rules_do_as_their_tests_say(path: Path) -> None:
    """Every rule fires, waits, keeps, recovers and stays quiet as written in its unit tests."""
    run(program("promtool", "prometheus"), "test", "rules", str(path))


def test_names_in_rules_exist() -> None:
    """Every metric, label and label value in a rule is published by somebody, and used right."""
    known = catalogue(recorded())
    wrong = [
        f"{rule.file}: {rule.name}: {complaint}"
        for rule in rules()
        for complaint in lint_expression(rule.expr, known)
    ]
    assert wrong == []


@pytest.mark.parametrize("alert", ALERTS, ids=identify)
def test_alert_says_what_a_person_needs(alert: Rule) -> None:
    """Each alert is labelled for its route and says what, what to do, and where to look."""
    assert re.fullmatch(r"(Exchange|AlertRelay|Alertmanager|AlertRules|Watchdog)\w*", alert.name)
    assert alert.labels["severity"] in SEVERITIES
    assert alert.labels["category"] in CATEGORIES
    for value in alert.labels.values():
        assert not set("${") & set(value), "labels are identity: no value, time or URL"
    texts = alert.annotations
    assert set(texts) == {"summary", "description", "action", "dashboard_url", "runbook_url"}
    assert texts["summary"].endswith(".") or texts["summary"].endswith(":")
    board = re.fullmatch(
        r"/d/([a-z-]+)(\?var-\w+=\{\{ \$labels\.\w+ \}\})?", texts["dashboard_url"]
    )
    assert board is not None
    assert board[1] in DASHBOARDS
    assert texts["runbook_url"] == f"{RUNBOOKS}{alert.name}.md"
    assert re.search(r"[<>]|==", alert.expr) or alert.name in {
        "Watchdog",
        "ExchangeExporterShardMissing",
    }
    assert alert.hold, "for: is written out, 0s too"


def test_variants_of_one_alert_differ() -> None:
    """Two rules of one name never make one alert: their labels tell them apart."""
    variants = [alert.variant for alert in ALERTS]
    assert len(set(variants)) == len(variants)


def entries(name: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return the unit tests that judge this alert, each with its entries in order of time."""
    found = []
    for test in unit_tests():
        mine = [each for each in test.get("alert_rule_test", []) if each["alertname"] == name]
        if mine:
            found.append((test, mine))
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=identify)
def test_alert_has_all_kinds_of_unit_tests(alert: Rule) -> None:
    """Fires word for word; not yet just before; recovers; quiet when healthy and without data."""
    own = alert.labels.items()

    def fires(entry: dict[str, Any]) -> bool:
        return any(own <= each["exp_labels"].items() for each in entry["exp_alerts"])

    found = entries(alert.name)
    exact = [
        each["exp_annotations"].keys()
        for _, judged in found
        for entry in judged
        for each in entry["exp_alerts"]
    ]
    assert exact
    assert all(keys == alert.annotations.keys() for keys in exact)
    shapes = ["".join("x" if fires(entry) else "." for entry in judged) for _, judged in found]
    assert any("x" in shape for shape in shapes), "never seen firing"
    if alert.name == "Watchdog":
        return
    assert any(re.search(r"\.+x", shape) for shape in shapes), "nothing just before it fires"
    assert any(re.search(r"x\.", shape) for shape in shapes), "never seen to end"
    names = [test["name"] for test, _ in found]
    assert any("healthy" in name for name in names)
    assert any("no data" in name for name in names) or alert.name in UNCONDITIONAL
    if alert.name in SHARES:
        assert any("never any" in name for name in names), "no case without any success"
        assert any("no traffic" in name for name in names)


def test_every_recorded_name_is_read_or_tested() -> None:
    """A recording rule serves an alert, another rule or a unit test; none is for show."""
    texts = [rule.expr for rule in rules()]
    texts += [each["expr"] for test in unit_tests() for each in test.get("promql_expr_test", [])]
    joined = "\n".join(texts)
    for rule in rules():
        if not rule.alert:
            assert re.search(rf"{re.escape(rule.name)}\b", joined), rule.name
            assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule.name)


def test_objective_is_one_number() -> None:
    """The budget is written the same in every burn rule and in the budget that is left."""
    burn = [alert.expr for alert in ALERTS if alert.name == "ExchangeErrorBudgetBurn"]
    assert len(burn) == 4
    assert all(set(re.findall(r"\* (0\.\d+)", expr)) == {"0.001"} for expr in burn)
    left = [
        rule.expr for rule in rules() if rule.name == "exchange:error_budget_remaining:ratio30d"
    ]
    assert left[0].endswith("/ 0.001")


def test_the_budget_counts_every_evaluation_of_its_window() -> None:
    """Divided by what is stored, the first outage after a start would overspend it many times."""
    (over,) = (rule for rule in rules() if rule.name == "exchange:probe_errors:ratio_rate30d")
    (group,) = (
        group for group in load(FOLDER / "recording.yml")["groups"]
        if any(rule.get("record") == "exchange:probe_errors:rate5m" for rule in group["rules"])
    )  # fmt: skip
    evaluations = seconds("30d") / seconds(group["interval"])
    assert re.search(r"\[30d\]\) / (\d+)", over.expr)[1] == f"{evaluations:.0f}"  # type: ignore[index]


def test_what_the_rules_look_back_to_is_kept() -> None:
    """Where we start Prometheus ourselves it keeps what the longest window needs."""
    longest = max(look_back(rule.expr) for rule in rules())
    for file in ("compose.yaml", "scripts/stack.py", "exporter/cli/_begin.py", "README.md",
                 "docs/questions.md", "docs/kubernetes.md"):  # fmt: skip
        text = (FOLDER.parent / file).read_text(encoding="utf-8")
        (kept,) = re.findall(r"--storage\.tsdb\.retention\.time=(\w+)", text)
        assert seconds(kept) >= longest, file


def matches(matcher: str, labels: dict[str, str]) -> bool:
    """Return whether an Alertmanager matcher takes these labels; an absent label is empty."""
    found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
    assert found is not None, matcher
    name, operator, wanted = found.groups()
    value = labels.get(name, "")
    same = bool(re.fullmatch(wanted, value)) if "~" in operator else value == wanted
    return same is not operator.startswith("!")


def labels_of(alert: Rule) -> dict[str, str]:
    """Return the labels of an alert, with those of its series that its texts name."""
    named = re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values()))
    series = dict.fromkeys(("job", *named), "any")
    return {**series, "alertname": alert.name, **alert.labels}


def muted_by() -> list[tuple[Rule, Rule]]:
    """Return each pair of alerts of which the first inhibits the second by its name."""
    config = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    return [
        (source, target)
        for rule in config["inhibit_rules"]
        for source in ALERTS
        if f'alertname="{source.name}"' in rule["source_matchers"]
        for target in ALERTS
        if all(matches(matcher, labels_of(target)) for matcher in rule["target_matchers"])
    ]


def test_what_mutes_a_page_is_kept_longer_than_the_page() -> None:
    """When an outage ends, nobody is paged for what it had muted until then."""
    pairs = {
        f"{source.name} mutes {target.name}": (seconds(source.keep), seconds(target.keep))
        for source, target in muted_by()
        if target.labels["severity"] == "critical"
        # Without an exporter there is no data that could outlive it. Burn rates ask by themselves
        # whether an outage has told of them.
        and source.name != "ExchangeExporterDown"
        # So is a rule that was changed meanwhile.
        and target.name not in {"ExchangeErrorBudgetBurn", "ExchangeMarketRulesChanged"}
    }
    assert {"ExchangeMaintenance mutes ExchangeDown", "ExchangeDown mutes ExchangeStreamDown"} <= (
        pairs.keys()
    )
    assert [pair for pair, (source, target) in pairs.items() if source <= target] == []


def test_aftermath_covers_what_looks_back_into_an_outage() -> None:
    """A warning that an outage mutes ends before that outage's alert, or the aftermath mutes it."""
    pairs = muted_by()
    covered = {target.name for source, target in pairs if source.name == "ExchangeAftermath"}
    (aftermath,) = (alert for alert in ALERTS if alert.name == "ExchangeAftermath")
    outlast = [
        f"{source.name} mutes {target.name}"
        for source, target in pairs
        if source.name in aftermath.expr
        and target.labels["severity"] == "warning"
        and target.name not in covered
        # What an outage left of the budget of days is news after its end, too.
        # So is a rule that was changed meanwhile.
        and target.name not in {"ExchangeErrorBudgetBurn", *CHANGES}
        and look_back(target.expr) + seconds(target.keep) > seconds(source.keep)
    ]
    assert len(covered) > 10
    assert outlast == []


def look_back(expression: str) -> float:
    """Return how far an expression looks back at most, in seconds, through what is recorded."""
    own = [seconds(found) for found in re.findall(r"\[(\w+)\]", expression)]
    inner = [
        look_back(rule.expr)
        for rule in rules()
        if not rule.alert and re.search(rf"(?<![\w:]){re.escape(rule.name)}(?![\w:])", expression)
    ]
    return max(own, default=0.0) + max(inner, default=0.0)


# What a rule of a market became meanwhile is news after an outage, too.
CHANGES = ("ExchangeMarketRulesChanged", "ExchangeFundingChanged")
SECTIONS = (
    "## Meaning", "## Impact", "## Exchange, path or us", "## Queries", "## Actions",
    "## Escalation", "## Rehearsal",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS}))
def test_runbook_answers_every_question(name: str) -> None:
    """Each alert has a runbook with all its sections, and queries that name what exists."""
    text = (FOLDER / "runbooks" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    places = [text.find(f"\n{section}\n") for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    queries = re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in queries for line in block.splitlines() if line.strip()]
    assert lines, "no query to run"
    known = catalogue(recorded())
    assert [wrong for line in lines for wrong in lint_expression(line, known)] == []
    for other in re.findall(r"\]\((\w+)\.md\)", text):
        assert (FOLDER / "runbooks" / f"{other}.md").exists()


@pytest.mark.usefixtures("generation")
def test_runbook_queries_parse(tmp_path: Path) -> None:
    """Prometheus can read every query of every runbook."""
    found = []
    for path in sorted((FOLDER / "runbooks").glob("*.md")):
        blocks = re.findall(r"^```promql\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        found += [line for block in blocks for line in block.splitlines() if line.strip()]
    quoted = [
        f"      - record: runbook:query:n{n}\n        expr: {line!r}"
        for n, line in enumerate(found)
    ]
    file = tmp_path / "queries.yml"
    file.write_text("groups:\n  - name: runbooks\n    rules:\n" + "\n".join(quoted) + "\n")
    run(program("promtool", "prometheus"), "check", "rules", str(file))


def test_runbook_faults_are_the_simulators() -> None:
    """What a runbook says to post is a fault that the simulator knows, and the one rehearsed."""
    posted = [
        (path.stem, json.loads(body))
        for path in sorted((FOLDER / "runbooks").glob("*.md"))
        for body in re.findall(r"/control/faults -d '(.*)'", path.read_text())
    ]
    assert len(posted) > 20
    for _, body in posted:
        faults.read(body, venues.names())
    for name, scenario in load_plan(FOLDER / "rehearsals" / "exchanges.yml").scenarios.items():
        text = (FOLDER / "runbooks" / f"{name}.md").read_text()
        assert f"exchange-exporter rehearse {name}\n" in text
        assert [body for stem, body in posted if stem == name] == list(scenario.faults), name


def test_no_runbook_without_an_alert() -> None:
    """A runbook whose alert is gone is gone, too."""
    names = {path.stem for path in (FOLDER / "runbooks").glob("*.md")}
    assert names == {alert.name for alert in ALERTS}


# --- Alertmanager ------------------------------------------------------------------------------

CONFIG = FOLDER / "alertmanager.yml"


def receiver(alert: Rule) -> str:
    """Say who is to be told, by the conventions rather than by the config."""
    if alert.name == "Watchdog":
        return "heartbeat"
    if alert.labels["severity"] == "none":
        return "nobody"
    if alert.labels["category"] == "pipeline":
        return "pipeline"
    return "page" if alert.labels["severity"] == "critical" else "chat"


@pytest.mark.usefixtures("generation")
def test_alertmanager_takes_the_config() -> None:
    """Alertmanager's own checker loads it."""
    run(program("amtool", "prometheus-alertmanager"), "check-config", str(CONFIG))


@pytest.mark.usefixtures("generation")
@pytest.mark.parametrize("alert", ALERTS, ids=identify)
def test_alert_takes_its_route(alert: Rule) -> None:
    """Every alert goes to whom its severity and category say."""
    labels = {"alertname": alert.name, "exchange": "okx", **alert.labels}
    run(
        program("amtool", "prometheus-alertmanager"),
        "config",
        "routes",
        "test",
        f"--config.file={CONFIG}",
        f"--verify.receivers={receiver(alert)}",
        *(f"{name}={value}" for name, value in labels.items()),
    )


def test_config_keeps_to_what_every_version_knows() -> None:
    """No key that 0.25 refuses, no old matcher, no relay for what is wrong with the relay."""
    text = re.sub(r"#.*", "", CONFIG.read_text())
    for key in ("url_file: ", "webhook_url_file", "msteams", "jira", "bot_token_file", "timeout:"):
        assert key not in text
    assert not re.search(r"\b(match|match_re|source_match|target_match)(_re)?:", text)
    config = load(CONFIG)
    pipeline = next(each for each in config["receivers"] if each["name"] == "pipeline")
    assert "9719" not in str(pipeline)
    for each in config["receivers"]:
        for hook in each.get("webhook_configs", []):
            assert hook["send_resolved"] is (each["name"] != "heartbeat")


def matchers(texts: list[str]) -> dict[str, tuple[str, str]]:
    found = {}
    for text in texts:
        match = re.fullmatch(r'(\w+)(=~|!~|!=|=)"([^"]*)"', text)
        assert match, text
        found[match[1]] = (match[2], match[3])
    return found


def test_inhibition_is_guarded() -> None:
    """A source lacking a label mutes nothing by it; all but site, which is absent where unused."""
    config = load(CONFIG)
    names = {alert.name for alert in ALERTS}
    for rule in config["inhibit_rules"]:
        lists = [rule[f"{side}_matchers"] for side in ("source", "target")]
        for label in set(rule["equal"]) & {"job", "exchange"}:
            if "alertname" not in rule["equal"] or label == "job":
                assert all(f'{label}=~".+"' in texts for texts in lists), (label, rule)
        for texts in lists:
            for text in texts:
                named = re.fullmatch(r'alertname[!=]~?"(.*)"', text)
                assert not named or set(named[1].split("|")) <= names, text
