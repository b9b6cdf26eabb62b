"""What the operator makes of the chart, in a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.alert_rules.rules import alerts
from tests.conftest import ROOT
from tests.helm.engine import CHART, Manifest, manifests, one, values_of
from tests.helm.generated_config import STACK, STRATEGIES, alertmanager_config, scrape_config
from tests.live import programs
from tests.live.conftest import make_world
from tests.live.test_alertmanager import CASES, CONFIG, Labels, Receiver, fire, inhibited
from tests.relay.programs import receiver, relay, write

RELAY: Final = values_of(CHART / "ci" / "relay-values.yaml")
MONITORS: Final[dict[str, Manifest]] = {
    "ServiceMonitor": {"serviceMonitor": {"enabled": True, "interval": "1s"}},
    "PodMonitor": {
        "serviceMonitor": {"enabled": False, "interval": "1s"},
        "podMonitor": {"enabled": True},
    },
}
Series = frozenset[tuple[str, str]]

# Seconds in which all is well and nobody may be told anything; `make test-chart` can wait longer.
QUIET = float(os.environ.get("CHART_QUIET_SECONDS", "130"))


def _scraped(url: str) -> set[Series]:
    """Return the series of a page, as the page names them. An empty label is none."""
    families = text_string_to_metric_families(programs.get(f"{url}/metrics", accept="text/plain"))
    return {
        frozenset(
            (key, value)
            for key, value in {"__name__": sample.name, **sample.labels}.items()
            if value
        )
        for family in families
        for sample in family.samples
    }


def _stored(prometheus: str, job: str) -> list[dict[str, str]]:
    url = f"{prometheus}/api/v1/series?match[]=%7Bscrape_job=%22{job}%22%7D"
    found: list[dict[str, str]] = programs.get_json(url)["data"]
    return found


@pytest.mark.live
@pytest.mark.timeout(240)
def test_every_label_of_ours_survives(tmp_path: Path) -> None:
    """No label of a target takes the place of one of ours, on neither page, by neither monitor.

    Without the step that drops the operator's `endpoint` it would: that is tried beside it.
    """
    programs.program("prometheus")
    with ExitStack() as stack:
        world = stack.enter_context(make_world(tmp_path, "--no-limits", "--venues=binance"))
        hook = receiver("webhook", "http://127.0.0.1:9")
        _, relay_url = stack.enter_context(relay(write(tmp_path, [hook])))
        jobs, plain = [], {"exchange-exporter": world.url, "alert-relay": relay_url}
        pages: dict[str, set[Series]] = {}
        for kind, values in MONITORS.items():
            for monitor in manifests(RELAY | values):
                if monitor["kind"] != kind:
                    continue
                part = "alert-relay" if "relay" in monitor["metadata"]["name"] else ""
                url = plain[part or "exchange-exporter"]
                job = scrape_config(monitor, url.removeprefix("http://"))
                jobs.append(_marked(job, f"{kind} {part}"))
                pages[f"{kind} {part}"] = _scraped(url)
        spoilt = json.loads(json.dumps(jobs[0]).replace('"labeldrop"', '"labelkeep"'))
        spoilt["relabel_configs"] = [
            step for step in spoilt["relabel_configs"] if step.get("action") != "labelkeep"
        ]
        jobs.append(_marked(spoilt | {"job_name": "spoilt"}, "spoilt"))
        text = yaml.safe_dump({"global": {}, "scrape_configs": jobs})
        _, prometheus = stack.enter_context(programs.prometheus(tmp_path, text))
        for name in (*pages, "spoilt"):
            query = f'count_over_time(up{{scrape_job="{name}"}}[1m]) >= 3'
            programs.eventually(lambda: programs.query(prometheus, query), name)  # noqa: B023
        for name, page in pages.items():
            stored = _stored(prometheus, name.replace(" ", "%20"))
            overwritten = {key for each in stored for key in each if key.startswith("exported_")}
            assert overwritten == set(), name
            there = {frozenset(each.items()) for each in stored}
            names = {key for each in page for key, _ in each}
            kept = {frozenset(pair for pair in each if pair[0] in names) for each in there}
            assert len(page) > 20
            assert page - kept == set(), name
            target = programs.query(prometheus, f'up{{scrape_job="{name}"}} == 1')[0]["metric"]
            assert target["namespace"] == "ns"
            assert target["job"] == ("alert-relay" if "relay" in name else "exchange-exporter")
        lost = {key for each in _stored(prometheus, "spoilt") for key in each}
        assert {key for key in lost if key.startswith("exported_")} == {"exported_endpoint"}


def _marked(job: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the series of a scrape config a label that tells it from the others."""
    step = {"target_label": "scrape_job", "replacement": name}
    return job | {"relabel_configs": [*job["relabel_configs"], step]}


# --- AlertmanagerConfig ---------------------------------------------------------------------------


def routed(**values: Any) -> Manifest:
    """Render the AlertmanagerConfig."""
    switched = RELAY | {"alertmanagerConfig": {"enabled": True} | values}
    return one(manifests(switched), "AlertmanagerConfig")


def _amtool(file: Path, *command: str) -> str:
    done = subprocess.run(
        [programs.program("amtool", "prometheus-alertmanager"), *command, f"--config.file={file}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _written(folder: Path, config: dict[str, Any]) -> Path:
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    checked = subprocess.run(
        [programs.program("amtool", "prometheus-alertmanager"), "check-config", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return file


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_alerts_take_the_ways_of_the_shipped_config(strategy: str, tmp_path: Path) -> None:
    """Under both strategies each alert goes to the receiver that the shipped config names.

    An alert of another namespace goes to none of them, nor does one whose namespace is lost.
    """
    file = _written(tmp_path, alertmanager_config(routed(), strategy))
    for rule in alerts():
        labels = {"alertname": rule.name, **rule.labels, "job": "j", "exchange": "okx"}
        pairs = [f"{name}={value}" for name, value in labels.items()]
        expected = _amtool(CONFIG, "config", "routes", "test", *pairs)
        ours = _amtool(file, "config", "routes", "test", *pairs, "namespace=ns")
        first, *rest = ours.split(",")
        assert first == f"ns/rel-exchange-exporter-relay/{expected}", rule.variant
        # The stack's own tree goes on behind ours; it has a route for a watchdog.
        assert rest == (["null"] if rule.name == "Watchdog" else [])
    for other in ("namespace=other", "pod=p"):
        asked = ("config", "routes", "test", "alertname=X", "severity=critical", other)
        assert _amtool(file, *asked) == "null"


def test_every_alert_carries_the_namespace() -> None:
    """Rules, the user's own ones, and what the exporter pushes: the route knows all of them."""
    group = {"name": "g", "rules": [{"alert": "Mine", "expr": "vector(1)"}]}
    pushing = {
        "alertmanagers": [{"url": "http://alertmanager:9093"}],
        "exchanges": [{"venue": "binance", "symbols": ["BTC-USDT"]}],
    }
    values = RELAY | {
        "alertmanagerConfig": {"enabled": True},
        "prometheusRule": {"enabled": True, "extraGroups": [group]},
        "config": pushing,
        "namespaceOverride": "elsewhere",
    }
    found = manifests(values)
    rules = [
        rule
        for each in found
        if each["kind"] == "PrometheusRule"
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]
    assert {rule["labels"]["namespace"] for rule in rules if "alert" in rule} == {"elsewhere"}
    assert not any("namespace" in rule.get("labels", {}) for rule in rules if "record" in rule)
    config = yaml.safe_load(one(found, "ConfigMap", "rel-exchange-exporter")["data"]["config.yml"])
    assert config["alerting"]["external_labels"] == {"namespace": "elsewhere"}
    [first] = one(found, "AlertmanagerConfig")["spec"]["route"]["matchers"]
    assert first == {"name": "namespace", "matchType": "=", "value": "elsewhere"}
    plain = manifests(values | {"alertmanagerConfig": {"enabled": False}})
    assert "elsewhere" not in str(
        [each["spec"] for each in plain if each["kind"] == "PrometheusRule"]
    )


def test_further_integrations_reach_their_receivers() -> None:
    """What is wrong with the relay has a way of its own; the relay stays told of the rest."""
    pager = {"pagerdutyConfigs": [{"routingKey": {"name": "pd", "key": "key"}}]}
    ping = {"webhookConfigs": [{"url": "https://hc-ping.com/uuid", "sendResolved": False}]}
    spec = routed(receivers={"pipeline": pager, "heartbeat": ping})["spec"]
    receivers = {each["name"]: each for each in spec["receivers"]}
    assert receivers["pipeline"] == {"name": "pipeline"} | pager
    relay_hook, own = receivers["heartbeat"]["webhookConfigs"]
    assert own == ping["webhookConfigs"][0]
    assert relay_hook["httpConfig"]["authorization"]["credentials"]["name"] == "relay-token"
    assert (relay_hook["sendResolved"], receivers["nobody"]) == (False, {"name": "nobody"})


def _in_the_namespace(name: str, labels: Labels) -> Series:
    """Return an alert of one of the shipped config's cases; each case has jobs of its own."""
    return frozenset({**labels, "job": f"{labels['job']} {name}", "namespace": "ns"}.items())


@contextmanager
def _cases(folder: Path, config: dict[str, Any]) -> Iterator[Callable[[], set[Series]]]:
    """Fire all cases at a real Alertmanager; gives what says which alerts are muted now."""
    port = programs.free_port()
    with programs.process(
        programs.program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={_written(folder, config)}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ):
        url = f"http://127.0.0.1:{port}"
        programs.eventually(lambda: programs.get(f"{url}/-/ready"), "Alertmanager")
        world = {
            _in_the_namespace(name, labels)
            for name, (source, muted, heard) in CASES.items()
            for labels in (source, *muted, *heard)
        }
        fire(url, *(dict(each) for each in world))
        yield lambda: {each for each, hit in inhibited(url, len(world)).items() if hit}


def advised() -> dict[str, Any]:
    """Return the stack's own config with the inhibitions that docs/kubernetes.md advises."""
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [block] = [each for each in blocks if "inhibit_rules" in each]
    values = yaml.safe_load(block.replace("namespace != exchanges", "namespace != ns"))
    rules = values["alertmanager"]["config"]["inhibit_rules"]
    assert [set(each) for each in rules] == [set(each) for each in STACK["inhibit_rules"]]
    return STACK | {"inhibit_rules": rules}


@pytest.mark.live
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_alerts_mute_one_another_as_in_the_shipped_config(strategy: str, tmp_path: Path) -> None:
    """A real Alertmanager mutes the same of the same alerts as under alert_rules/alertmanager.yml.

    The cases are those that the shipped file is held to.
    """
    expected = {_in_the_namespace(name, each) for name, case in CASES.items() for each in case[1]}
    assert len(expected) > 20
    with _cases(tmp_path, alertmanager_config(routed(), strategy, advised())) as muted:
        programs.eventually(lambda: muted() == expected, "the same is muted")


@pytest.mark.live
def test_the_stacks_own_inhibitions_mute_too_much(tmp_path: Path) -> None:
    """Why docs/kubernetes.md advises others: a critical mutes another market's warning."""
    name = "the worse variant"
    [heard] = CASES[name][2]
    with _cases(tmp_path, alertmanager_config(routed(), "OnNamespace")) as muted:
        programs.eventually(lambda: _in_the_namespace(name, heard) in muted(), name)


# --- from a fault to a person ---------------------------------------------------------------------


@contextmanager
def serving() -> Iterator[Receiver]:
    """Run a service that a relay tells."""
    hook = Receiver()
    thread = threading.Thread(target=hook.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.shutdown()
        hook.server_close()
        thread.join(5.0)


@contextmanager
def _cluster(folder: Path, strategy: str, hook: str) -> Iterator[tuple[str, str]]:
    """Run a relay and an Alertmanager that the operator configured; gives their URLs."""
    home = folder / strategy
    home.mkdir()
    token = {"bearer_token": {"env": "RELAY_TOKEN"}}
    file = write(home, [receiver("webhook", f"{hook}/{strategy}")], intake=token)
    port = programs.free_port()
    with relay(file, {"RELAY_TOKEN": "token"}) as (_, url):
        manifest = routed()
        text = json.dumps(alertmanager_config(manifest, strategy, advised()))
        [place] = set(re.findall(r"http://[^\"]*:9719", text))
        config = _written(home, json.loads(text.replace(place, url)))
        with programs.process(
            programs.program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={config}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ):
            yield url, f"127.0.0.1:{port}"


@pytest.mark.chart
@pytest.mark.timeout(900 + QUIET)
def test_a_fault_reaches_a_person_and_health_nobody(tmp_path: Path) -> None:
    """One endpoint fails: under either strategy that is told, and nothing else is.

    Exporter, relay, Prometheus and Alertmanager are real, their intervals the shipped ones, and the
    rules are the chart's. It lasts longer than the relay waits for the watchdog;
    ``CHART_QUIET_SECONDS`` lets all be well for longer before the fault.
    """
    programs.program("prometheus")
    with ExitStack() as stack:
        hooks = {each: stack.enter_context(serving()) for each in STRATEGIES}
        world = stack.enter_context(make_world(tmp_path, "--no-limits", "--venues=binance,okx"))
        places = {
            each: stack.enter_context(
                _cluster(tmp_path, each, f"http://127.0.0.1:{hook.server_port}")
            )
            for each, hook in hooks.items()
        }
        found = manifests(
            RELAY
            | {
                "alertmanagerConfig": {"enabled": True},
                "prometheusRule": {"enabled": True},
                "serviceMonitor": {"enabled": True},
            }
        )
        monitors = [each for each in found if each["kind"] == "ServiceMonitor"]
        jobs = []
        for monitor in monitors:
            job = scrape_config(monitor, world.url.removeprefix("http://"))
            if "relay" in monitor["metadata"]["name"]:
                [target] = job["static_configs"]
                target["targets"] = [url.removeprefix("http://") for url, _ in places.values()]
            jobs.append(job)
        names = []
        for each in found:
            if each["kind"] == "PrometheusRule":
                names.append(f"{each['metadata']['name']}.yml")
                (tmp_path / names[-1]).write_text(yaml.safe_dump(each["spec"]))
        text = yaml.safe_dump(
            {
                "global": {"external_labels": {"prometheus": "monitoring/stack"}},
                "rule_files": names,
                "scrape_configs": jobs,
                "alerting": {
                    "alertmanagers": [
                        {"static_configs": [{"targets": [am for _, am in places.values()]}]}
                    ]
                },
            }
        )
        _, prometheus = stack.enter_context(programs.prometheus(tmp_path, text))
        stranger = {"alertname": "Theirs", "severity": "critical", "namespace": "theirs"}
        for _, am in places.values():
            fire(f"http://{am}", stranger)
        time.sleep(QUIET)
        for hook in hooks.values():
            assert _names([], hook) == set()
        world.inject(venue="binance", fault="error", status=500, endpoint="*time*")
        down = 'ALERTS{alertname="ExchangeEndpointDown", alertstate="firing"}'
        [firing] = programs.eventually(
            lambda: programs.query(prometheus, down), "it fires", within=300
        )
        assert firing["metric"]["endpoint"] == "time"
        assert firing["metric"]["namespace"] == "ns"
        told: dict[str, list[str]] = {strategy: [] for strategy in STRATEGIES}
        for strategy, hook in hooks.items():
            programs.eventually(
                lambda: "ExchangeEndpointDown" in _names(told[strategy], hook),  # noqa: B023
                f"told under {strategy}",
                within=90,
            )
        # The watchdog has beaten for longer than its silence would take to be noticed.
        for name in ("AlertRelayHeartbeatMissing", "AlertingPathSilent", "AlertRelayDown"):
            assert not programs.query(prometheus, f'ALERTS{{alertname="{name}"}}')
        # Its breaker opens before the endpoint counts as down. Nothing of others, no heartbeat.
        for strategy, hook in hooks.items():
            assert _names(told[strategy], hook) == {"ExchangeBreakerOpen", "ExchangeEndpointDown"}


def _names(told: list[str], hook: Receiver) -> set[str]:
    """Return the names of the alerts that a service was told of up to now; ``told`` remembers."""
    told += [json.dumps(body) for _, body in hook.drain()]
    return {name for each in told for name in re.findall(r'"alertname": "(\w+)"', each)}
