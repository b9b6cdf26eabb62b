"""Combinations that would deploy and not work are refused with what mends them; the rest works."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from exporter import venues
from tests.helm.engine import Manifest, RefusedError, files, manifests, one, pods
from tests.helm.test_configs import check_config, config_of, mounted

Values = dict[str, Any]
RECEIVER: Final = {"name": "audit", "type": "webhook", "url": "https://hooks.example.com:8444/a"}
TOLD: Final = {
    "enabled": True,
    "token": {"existingSecret": "t"},
    "config": {"receivers": [RECEIVER]},
}
USERS: Final = {"content": {"basic_auth_users": {"prometheus": "$2b$12$" + "a" * 53}}}
TLS: Final = {"cert_file": "/run/tls/tls.crt", "key_file": "/run/tls/tls.key"}
CLIENTS: Final = {
    "scheme": "https",
    "content": {"tls_server_config": TLS | {"client_auth_type": "RequireAnyClientCert"}},
}
TCP: Final = {"tcpSocket": {"port": "http"}}
CLOSED: Final = {"livenessProbe": TCP, "readinessProbe": TCP}
LOGIN: Final = {"username": {"name": "l", "key": "u"}, "password": {"name": "l", "key": "p"}}
MONITOR: Final = {"serviceMonitor": {"enabled": True}}
POLICY: Final = {"networkPolicy": {"enabled": True}}
PUSHING: Final = {
    "exchanges": [{"venue": "okx", "symbols": ["BTC-USDT"]}],
    "alertmanagers": [{"url": "http://am.monitoring:9093"}],
}
INGRESS: Final = {"ingress": {"enabled": True, "hosts": [{"host": "a.example.com"}]}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"serviceMonitor": {"enabled": True, "scrapeTimeout": "1m"}},
            "serviceMonitor.scrapeTimeout: found 1m, expected at most interval (5s)",
        ),
        ({"serviceMonitor": {"enabled": True, "interval": "0s"}}, "serviceMonitor.interval: found"),
        ({"webConfig": USERS}, "livenessProbe.httpGet: found beside webConfig.content"),
        ({"webConfig": CLIENTS}, "expected tcpSocket: {port: http}"),
        (
            {"webConfig": USERS, "livenessProbe": TCP},
            "readinessProbe.httpGet: found beside webConfig.content.basic_auth_users",
        ),
        (
            {"relay": TOLD | {"token": {}, "webConfig": USERS}},
            "relay.livenessProbe.httpGet: found beside relay.webConfig.content",
        ),
        (
            CLOSED | {"webConfig": USERS, "configReloader": {"enabled": True, "method": "http"}},
            "configReloader.method: found http beside webConfig.content.basic_auth_users",
        ),
        (CLOSED | MONITOR | {"webConfig": USERS}, "serviceMonitor.basicAuth: found none"),
        (
            CLOSED
            | {"serviceMonitor": {"enabled": True, "tlsConfig": {"serverName": "a"}}}
            | {"webConfig": CLIENTS},
            "serviceMonitor.tlsConfig.cert: found none",
        ),
        (
            MONITOR | {"relay": TOLD | CLOSED | {"token": {}, "webConfig": USERS}},
            "relay.serviceMonitor.basicAuth: found none",
        ),
        ({"ingress": {"enabled": True}}, "ingress.hosts: found none"),
        (INGRESS | POLICY, "networkPolicy.ingressNamespaceName: found none"),
        (
            MONITOR | {"networkPolicy": {"enabled": True, "allowMonitoringNamespace": False}},
            "networkPolicy.allowMonitoringNamespace: found false beside a monitor",
        ),
        (
            {
                "relay": TOLD,
                "alertmanagerConfig": {"enabled": True},
                "networkPolicy": {"enabled": True, "allowMonitoringNamespace": False},
            },
            "Alertmanager could not connect",
        ),
        (
            {"podMonitor": {"enabled": True}, "serviceMonitor": {"tlsConfig": {"caFile": "/ca"}}},
            "serviceMonitor.tlsConfig.caFile: found beside podMonitor.enabled",
        ),
        (
            {
                "podMonitor": {"enabled": True},
                "relay": TOLD | {"serviceMonitor": {"tlsConfig": {"keyFile": "/k"}}},
            },
            "relay.serviceMonitor.tlsConfig.keyFile: found beside podMonitor.enabled",
        ),
        (
            {
                "relay": TOLD,
                "alertmanagerConfig": {"enabled": True, "tlsConfig": {"caFile": "/ca"}},
            },
            "alertmanagerConfig.tlsConfig.caFile: found",
        ),
        (
            {"configReloader": {"enabled": True, "watchInterval": "0s"}},
            "configReloader.watchInterval: found 0s, expected 100ms at least",
        ),
        (
            {"configReloader": {"enabled": True}, "securityContext": {"runAsUser": 1}},
            "configReloader.securityContext.runAsUser: found another user",
        ),
        (
            {"configReloader": {"enabled": True, "method": "http", "containerPort": 9717}},
            "configReloader.containerPort: found the exporter's own port",
        ),
        ({"updateStrategy": {"type": "Recreate"}}, "expected OnDelete or RollingUpdate"),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "strategy.rollingUpdate: found beside type Recreate",
        ),
        ({"dnsPolicy": "None"}, "dnsConfig.nameservers: found none beside dnsPolicy None"),
        (
            {"podDisruptionBudget": {"enabled": True, "maxUnavailable": ""}},
            "podDisruptionBudget.maxUnavailable: found none",
        ),
        (
            {"serviceMonitor": {"enabled": True, "job": "x"}, "prometheusRule": {"enabled": True}},
            "serviceMonitor.job: found x beside prometheusRule.enabled",
        ),
        (
            {"relay": TOLD | {"configExistingSecret": "a", "configExistingConfigMap": "b"}},
            "relay.configExistingSecret: found beside relay.configExistingConfigMap",
        ),
        (
            MONITOR | {"webConfig": {"existingSecret": "web", "scheme": "https"}},
            "serviceMonitor.tlsConfig: found no serverName beside webConfig.scheme https",
        ),
        (
            MONITOR | {"relay": TOLD | {"webConfig": {"existingSecret": "web", "scheme": "https"}}},
            "relay.serviceMonitor.tlsConfig: found no serverName",
        ),
        (
            {"extraSecretMounts": [{"name": "tmp", "secretName": "s", "mountPath": "/s"}]},
            "extraSecretMounts: found a second volume called tmp",
        ),
        (
            {
                "relay": TOLD
                | {
                    "extraConfigmapMounts": [{"name": "a", "configMap": "c", "mountPath": "/c"}],
                    "extraVolumes": [{"name": "a", "emptyDir": {}}],
                }
            },
            "relay.extraVolumes: found a second volume called a",
        ),
        (
            {"persistence": {"enabled": True, "mountPath": "/tmp/"}},
            "persistence.mountPath: found a second mount at /tmp",
        ),
        (
            {
                "relay": TOLD
                | {"extraVolumeMounts": [{"name": "a", "mountPath": "/var/lib/exchange-exporter"}]}
            },
            "relay.a.mountPath: found a second mount at /var/lib/exchange-exporter",
        ),
        (
            {"site": "tokyo", "config": PUSHING | {"alerting": {"site": "osaka"}}},
            "config.alerting.site: found osaka, expected tokyo as in site",
        ),
        (
            MONITOR | {"config": PUSHING | {"alerting": {"job": "exporter"}}},
            "config.alerting.job: found exporter, expected exchange-exporter",
        ),
        (
            {"relay": TOLD, "alertmanagerConfig": {"enabled": True, "route": {"matchers": [{}]}}},
            "alertmanagerConfig.route.matchers: found some",
        ),
    ],
)
def test_what_cannot_work_is_refused(values: Values, words: str) -> None:
    """The sentence names the value, and says what to write instead."""
    with pytest.raises(RefusedError) as refused:
        manifests(values)
    assert words in str(refused.value)
    assert ", expected " in str(refused.value)


# --- every pair of features -----------------------------------------------------------------------

FEATURES: Final[dict[str, Values]] = {
    "shards": {"shards": 3},
    "replicas": {"replicaCount": 2},
    "storage": {"persistence": {"enabled": True, "storageClassName": "-"}},
    "secret config": {"secretConfig": True},
    "own config": {"configExistingSecret": "mine"},
    "signal": {"configReloader": {"enabled": True, "watchInterval": "1m30s"}},
    "http": {"configReloader": {"enabled": True, "method": "http", "watchInterval": "2d"}},
    "users": CLOSED | {"webConfig": USERS},
    "clients": CLOSED | {"webConfig": CLIENTS},
    "web secret": {"webConfig": {"existingSecret": "web", "scheme": "https"}},
    "any user": {"runAsAnyUser": True},
    "other user": {"securityContext": {"runAsUser": 20001}},
    "recreate": {"strategy": {"type": "Recreate"}},
    "on delete": {"updateStrategy": {"type": "OnDelete"}},
    "monitor": MONITOR,
    "monitor elsewhere": {"serviceMonitor": {"enabled": True, "namespace": "monitoring"}},
    "monitor with login": {"serviceMonitor": {"enabled": True, "basicAuth": LOGIN}},
    "pod monitor": {"podMonitor": {"enabled": True}},
    "rules": {"prometheusRule": {"enabled": True, "namespace": "monitoring"}},
    "dashboards": {"dashboards": {"enabled": True}},
    "ingress": INGRESS,
    "policy": POLICY,
    "egress": {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}},
    "controller": {"networkPolicy": {"enabled": True, "ingressNamespaceName": "nginx"}},
    "budget": {"podDisruptionBudget": {"enabled": True}},
    "relay": {"relay": TOLD},
    "relay without volume": {"relay": TOLD | {"persistence": {"enabled": False}}},
    "relay's own config": {"relay": TOLD | {"configExistingSecret": "mine", "config": {}}},
    "relay with users": {"relay": TOLD | CLOSED | {"token": {}, "webConfig": USERS}},
    "relay that reloads": {"relay": TOLD | {"configReloader": {"enabled": True}}},
    "routed": {"relay": TOLD, "alertmanagerConfig": {"enabled": True}},
    "pushing": {"config": PUSHING},
    "site": {"site": "tokyo"},
    "other names": {"fullnameOverride": "Other.Name", "namespaceOverride": "123"},
    "no tests": {"tests": {"enabled": False}},
}  # fmt: skip


def merged(one_of: Values, other: Values) -> Values:
    """Merge as Helm merges values files."""
    result = dict(one_of)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@pytest.mark.chart
@pytest.mark.timeout(900)
def test_every_pair_of_features_works_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is rendered passes the cluster's schemas and `check`; the rest is a sentence.

    Selectors of Services, monitors, policies and budgets find one pod, and names are there once.
    """
    refused, seen, configs = set[tuple[str, str]](), set[str](), set[str]()
    for pair in itertools.combinations(FEATURES, 2):
        try:
            found = manifests(merged(FEATURES[pair[0]], FEATURES[pair[1]]))
        except RefusedError as error:
            words = str(error)
            assert re.search(r"[\w.]+: found .*, expected ", words), (pair, words)
            refused.add(pair)
            continue
        _coherent(found, pair)
        for each in found:
            text = json.dumps(each, sort_keys=True)
            if "monitoring.coreos.com" not in each["apiVersion"] and text not in seen:
                kubernetes_validate.validate(each, "1.36", strict=True)
            seen.add(text)
        for manifest, spec in pods(found):
            if manifest["kind"] != "Pod":
                configs.add(config_of(found, mounted(spec)) or "")
    for text in configs - {""}:
        assert check_config(text, tmp_path, monkeypatch) == 0, capsys.readouterr().err
    pairs = len(FEATURES) * (len(FEATURES) - 1) // 2
    assert 0 < len(refused) < pairs / 8, sorted(refused)


def _coherent(found: list[Manifest], pair: tuple[str, str]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names)), pair
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each, _ in pods(found)
        if each["kind"] != "Pod"
    ]
    services = [each["metadata"]["labels"] for each in found if each["kind"] == "Service"]
    for each in found:
        spec = each.get("spec", {})
        selector = {
            "Service": lambda s: s["selector"],
            "NetworkPolicy": lambda s: s["podSelector"]["matchLabels"],
            "PodDisruptionBudget": lambda s: s["selector"]["matchLabels"],
            "PodMonitor": lambda s: s["selector"]["matchLabels"],
            "ServiceMonitor": lambda s: s["selector"]["matchLabels"],
        }.get(each["kind"])
        if selector:
            among = services if each["kind"] == "ServiceMonitor" else labels
            hits = [one_of for one_of in among if selector(spec).items() <= one_of.items()]
            assert len(hits) == 1, (pair, each["kind"], each["metadata"]["name"])


# --- single promises ------------------------------------------------------------------------------


def _egress(values: Values, name: str) -> set[int]:
    policy = {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    spec = one(manifests(merged(values, policy)), "NetworkPolicy", name)["spec"]
    return {port["port"] for rule in spec["egress"] for port in rule["ports"]}


def test_policies_let_out_to_every_shipped_venue() -> None:
    """Whatever venues a config names, their ports are open; so is OpenShift's DNS."""
    used = set()
    for name in venues.names():
        venue = venues.load(name)
        for url in (venue.rest_url, *venue.stream_urls):
            used.add(urlsplit(url).port or 443)
    assert 9443 in used, "not every venue uses 443"
    assert used | {53, 5353} <= _egress({}, "rel-exchange-exporter")


def test_policies_let_out_to_what_the_configs_name() -> None:
    """Addresses in either config, and a proxy in the environment, bring their ports."""
    values: Values = {
        "config": {
            "exchanges": [{"venue": "okx", "rest_url": "https://okx.example.com:7443"}],
            "control_targets": [{"name": "a", "url": "http://a.example.com/"}],
        },
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.corp:3128"}],
        "venues": {
            "acme.yml": "stream_url: wss://acme.example.com:20443?v=1\n",
            "text.yml": "rest_urls: [https://a.example.com:7001,https://b.example.com:7002]\n",
        },
        "relay": TOLD,
    }
    named = {80, 443, 3128, 7001, 7002, 7443, 20443}
    assert named <= _egress(values, "rel-exchange-exporter")
    relay = _egress(values, "rel-exchange-exporter-relay")
    assert 8444 in relay
    assert 7443 not in relay


def test_the_relay_may_ask_the_exporter() -> None:
    """The relay's `evidence_url` names the exporter's Service; policies see the pods' port."""
    values = {"relay": TOLD, "service": {"port": 80}}
    assert 9717 in _egress(values, "rel-exchange-exporter-relay")
    found = manifests(values | POLICY)
    [rule] = one(found, "NetworkPolicy", "rel-exchange-exporter")["spec"]["ingress"]
    peers = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]
    assert {"exchange-exporter-relay"} <= {each["app.kubernetes.io/name"] for each in peers}


def test_the_ingress_controller_may_connect() -> None:
    """Its namespace is let in where there is an ingress, and only there."""
    policy = {"networkPolicy": {"enabled": True, "ingressNamespaceName": "nginx"}}

    def namespaces(values: Values) -> set[str]:
        [rule] = one(manifests(values), "NetworkPolicy")["spec"]["ingress"]
        peers = [each["namespaceSelector"] for each in rule["from"] if "namespaceSelector" in each]
        return {name for each in peers for name in each["matchLabels"].values()}

    assert namespaces(INGRESS | policy) == {"monitoring", "nginx"}
    assert namespaces(policy) == {"monitoring"}


def test_another_handler_replaces_ours() -> None:
    """What a parent chart can write is enough: it cannot remove httpGet by null."""
    relay = TOLD | {"readinessProbe": {"exec": {"command": ["true"]}}}
    found = manifests({"livenessProbe": TCP | {"periodSeconds": 3}, "relay": relay,
                       "readinessProbe": {"enabled": False}})  # fmt: skip
    container = one(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"] == {
        "tcpSocket": {"port": "http"}, "periodSeconds": 3, "timeoutSeconds": 5,
        "failureThreshold": 3,
    }  # fmt: skip
    assert "readinessProbe" not in container
    container = one(found, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    assert "httpGet" not in container["readinessProbe"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"


def test_any_user() -> None:
    """On OpenShift the namespace says who runs: no pod names a user, a group or an fsGroup."""
    values = {"runAsAnyUser": True, "configReloader": {"enabled": True}, "relay": TOLD}
    for _, spec in pods(manifests(values)):
        contexts = [spec["securityContext"], *(c["securityContext"] for c in spec["containers"])]
        for context in contexts:
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context)
            assert context["runAsNonRoot"] is True


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("1m", "60"), ("500ms", "0.5"), ("1h30m", "5400"), ("2d", "172800"), ("1w1ms", "604800.001")],
)
def test_every_interval_that_the_schema_takes(interval: str, seconds: str) -> None:
    """Both reloaders are given a unit that they know."""

    def arguments(method: str) -> list[str]:
        values = {"configReloader": {"enabled": True, "method": method, "watchInterval": interval}}
        spec = one(manifests(values), "Deployment")["spec"]["template"]["spec"]
        found: list[str] = spec["containers"][1]["args"]
        return found

    assert arguments("signal")[-1] == seconds
    # Go's durations know no day.
    assert f"--watch-interval={round(float(seconds) * 1000)}ms" in arguments("http")


@pytest.mark.parametrize("wrong", ["1m1h", "30s30s", "1.5m", "5", "", "m", "1s 1ms", "-1s"])
def test_durations_that_the_operator_refuses(wrong: str) -> None:
    """Units that stand twice or out of order are refused here, and not by the API."""
    for values in (
        {"serviceMonitor": {"enabled": True, "interval": wrong}},
        {"configReloader": {"enabled": True, "watchInterval": wrong}},
        {"prometheusRule": {"enabled": True, "overrides": {"ExchangeDown": {"for": wrong}}}},
    ):
        with pytest.raises(RefusedError, match="does not match pattern"):
            manifests(values)


def test_what_is_pushed_has_the_labels_of_the_target() -> None:
    """Site and job of the monitor are those of the pushed alerts: else each is told twice."""

    def alerting(values: Values) -> Values | None:
        config = one(manifests(values | {"config": PUSHING}), "ConfigMap")["data"]["config.yml"]
        found: Values | None = yaml.safe_load(config).get("alerting")
        return found

    monitor = {"serviceMonitor": {"enabled": True, "job": "exporters"}}
    assert alerting(monitor | {"site": "tokyo"}) == {"site": "tokyo", "job": "exporters"}
    assert alerting(MONITOR) is None


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("0", "pattern"),
        ("0.0Gi", "pattern"),
        ("0.5Gi", ""),
        ("1Ki", ""),
        ("2E", ""),
        ("1.5Gi", ""),
        ("1ki", "pattern"),
        ("1K", "pattern"),
    ],
)
def test_every_size_that_the_cluster_takes(size: str, words: str) -> None:
    """And no other: Kubernetes writes a thousand as k, 1024 as Ki."""
    values = {"persistence": {"enabled": True, "size": size}}
    if words:
        with pytest.raises(RefusedError, match=words):
            manifests(values)
    else:
        claim = one(manifests(values), "StatefulSet")["spec"]["volumeClaimTemplates"][0]
        assert claim["spec"]["resources"]["requests"]["storage"] == size


def test_a_relay_with_its_own_config_has_a_place_for_its_spool() -> None:
    """An existing Secret need not say where the spool is: a relative one begins on the volume."""
    relay = {"enabled": True, "configExistingSecret": "r"}
    spec = one(manifests({"relay": relay}), "StatefulSet")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "spool"]
    assert f"--storage.path={mount['mountPath']}" in container["args"]


def test_the_notes_count_well() -> None:
    """One pod, two pods."""
    assert "runs as 1 pod." in files({})["NOTES.txt"]
    assert "runs as 2 pods." in files({"replicaCount": 2})["NOTES.txt"]


def test_the_notes_name_the_label_that_the_operator_adds() -> None:
    """Who pushes beside rules is told of it, until the config has it."""
    rules = {"prometheusRule": {"enabled": True}}
    assert "external_labels.prometheus" in files(rules | {"config": PUSHING})["NOTES.txt"]
    labels = {"external_labels": {"prometheus": "monitoring/k8s"}}
    config = PUSHING | {"alerting": labels}
    assert "external_labels.prometheus" not in files(rules | {"config": config})["NOTES.txt"]


def test_another_strategy_takes_the_old_ones_details_away() -> None:
    """The cluster fills `rollingUpdate` in and refuses it beside Recreate: upgrades remove it."""
    strategy = one(manifests({"strategy": {"type": "Recreate"}}), "Deployment")["spec"]["strategy"]
    assert strategy == {"type": "Recreate", "rollingUpdate": None}
