"""An upgrade never touches what a cluster forbids to change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.helm.engine import CHART, EXAMPLES, Manifest, helm, manifests, pods, values_of


def _fixed(found: list[Manifest]) -> dict[tuple[str, str], object]:
    """Return what is immutable, by kind and name: selectors, volume claims, the Service's name."""
    return {
        (each["kind"], each["metadata"]["name"]): (
            each["spec"]["selector"],
            each["spec"].get("volumeClaimTemplates"),
            each["spec"].get("serviceName"),
            each["spec"].get("podManagementPolicy"),
        )
        for each, _ in pods(found)
        if each["kind"] != "Pod"
    }


def test_selectors_are_the_ones_of_version_1() -> None:
    """These words stand in clusters since the chart's first version: they must never change."""
    relay = {"enabled": True, "configExistingSecret": "r"}
    found = manifests({"relay": relay, "persistence": {"enabled": True}})
    assert {name: fixed[0] for name, fixed in _fixed(found).items()} == {  # type: ignore[index]
        ("StatefulSet", "rel-exchange-exporter"): {
            "matchLabels": {
                "app.kubernetes.io/name": "exchange-exporter",
                "app.kubernetes.io/instance": "rel",
            }
        },
        ("StatefulSet", "rel-exchange-exporter-relay"): {
            "matchLabels": {
                "app.kubernetes.io/name": "exchange-exporter-relay",
                "app.kubernetes.io/instance": "rel",
            }
        },
    }


def test_no_value_changes_what_is_fixed() -> None:
    """Going from any example's values to other labels, tags, configs and sizes keeps it."""
    changes: dict[str, Any] = {
        "commonLabels": {"team": "other", "app.kubernetes.io/name": "theirs"},
        "podLabels": {"app.kubernetes.io/instance": "theirs"},
        "image": {"tag": "v9.9.9"},
        "config": {"exchanges": [{"venue": "okx", "symbols": ["ETH-USDT"]}]},
        "resources": {"requests": {"cpu": "1"}},
        "releaseLabel": True,
    }
    for example in EXAMPLES:
        values = values_of(example)
        assert _fixed(manifests(values | changes)) == _fixed(manifests(values)), example.name


def test_more_shards_keep_the_first() -> None:
    """Adding shards to a sharded release changes only their number."""
    values = values_of(CHART / "ci" / "shards-values.yaml")
    assert _fixed(manifests(values | {"shards": 8})) == _fixed(manifests(values))


def test_pods_carry_their_selectors() -> None:
    """The labels of every pod template hold its selector's, whatever users add."""
    for example in EXAMPLES:
        for each, _ in pods(manifests(values_of(example))):
            if each["kind"] != "Pod":
                labels = each["spec"]["template"]["metadata"]["labels"]
                assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()


# --- what a cluster refuses is refused beforehand -------------------------------------------------

GROUPS = {
    "apps/v1": {"statefulsets": "StatefulSet", "deployments": "Deployment"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "v1": {"configmaps": "ConfigMap", "services": "Service", "pods": "Pod"},
}


def _resources(version: str) -> Manifest:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
            for name, kind in GROUPS[version].items()
        ],
    }


class Cluster(ThreadingHTTPServer):
    """As much of an API server as Helm's `lookup` asks for; it holds what it was given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        groups = [each.partition("/")[::2] for each in GROUPS if "/" in each]
        listed: list[Manifest] = [
            {"name": name, "versions": [{"groupVersion": f"{name}/{v}", "version": v}]}
            for name, v in groups
        ]
        self.pages: dict[str, Manifest] = {
            "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/api/v1": _resources("v1"),
            "/apis": {"kind": "APIGroupList", "groups": listed},
        }
        for name, v in groups:
            self.pages[f"/apis/{name}/{v}"] = _resources(f"{name}/{v}")

    def hold(self, values: dict[str, Any]) -> None:
        """Hold the workloads that these values make."""
        for each in manifests(values):
            if each["kind"] in ("StatefulSet", "Deployment"):
                plural = f"{each['kind'].lower()}s"
                name = each["metadata"]["name"]
                self.pages[f"/apis/apps/v1/namespaces/ns/{plural}/{name}"] = each


class _Api(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(page or missing).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def upgrade() -> Iterator[Callable[[dict[str, Any], dict[str, Any]], str]]:
    """Yield a function: what Helm says of new values over a release with the old ones."""
    cluster = Cluster()
    thread = threading.Thread(target=cluster.serve_forever, daemon=True)
    thread.start()
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}
        ],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}],
        "current-context": "x",
    }

    def say(old: dict[str, Any], new: dict[str, Any]) -> str:
        cluster.hold(old)
        engine = helm()
        config = engine.Config(
            kubeconfig_content=json.dumps(kubeconfig), storage_driver="memory", namespace="ns"
        )
        with pytest.raises(engine.HelmError) as ended:
            config.install(str(CHART), "rel", new, dry_run="server")
        return str(ended.value)

    yield say
    cluster.shutdown()
    cluster.server_close()
    thread.join(5.0)


# Behind rendering this cluster has no more answers, which is how far a good upgrade gets.
OTHER = "persistence: found other volume claims"
RENDERED = "unable to build kubernetes objects from release manifest"
KEPT = {"persistence": {"enabled": True}}
TOLD = {
    "relay": {
        "enabled": True,
        "token": {"existingSecret": "t"},
        "config": {"receivers": [{"name": "a", "type": "webhook", "url": "https://a.example/"}]},
    }
}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            KEPT,
            {"persistence": {"enabled": True, "size": "2Gi"}},
            OTHER,
        ),
        (KEPT, {"shards": 2}, OTHER),
        ({"shards": 2}, KEPT | {"shards": 2}, OTHER),
        (
            KEPT,
            {"persistence": {"enabled": True, "storageClassName": "fast"}},
            OTHER,
        ),
        (
            TOLD,
            {"relay": TOLD["relay"] | {"persistence": {"enabled": False}}},
            f"relay.{OTHER}",
        ),
        (
            {"fullnameOverride": "same"},
            {"fullnameOverride": "same", "nameOverride": "other"},
            "nameOverride: found other selector",
        ),
        # The cluster writes 1Gi for 1024Mi.
        (KEPT, {"persistence": {"enabled": True, "size": "1024Mi"}}, RENDERED),
        (KEPT, KEPT | {"shards": 4, "image": {"tag": "v2"}}, RENDERED),
        ({}, KEPT, RENDERED),
        (TOLD, TOLD, RENDERED),
    ],
)
def test_an_upgrade_that_the_cluster_refuses_is_refused_before(
    upgrade: Callable[[dict[str, Any], dict[str, Any]], str],
    old: dict[str, Any],
    new: dict[str, Any],
    words: str,
) -> None:
    """Where Helm sees the cluster it names the value, and the command that keeps the volumes."""
    said = upgrade(old, new)
    assert words in said
    if words != RENDERED:
        assert "--cascade=orphan, then upgrade again" in said
