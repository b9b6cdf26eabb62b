"""The chart on a real cluster with a real operator: `make test-cluster`, on what KUBECONFIG names.

Needs kubectl, the CRDs of prometheus-operator, for the way from a fault to a receiver also
kube-prometheus-stack (release and namespace as below), and an image that the nodes have, named by
EXPORTER_IMAGE. Makes namespaces of its own and removes them.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.helm.engine import CHART, EXAMPLES, helm, manifests, values_of
from tests.live.conftest import config
from tests.live.programs import eventually, program

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

STACK: Final = "kube-prometheus-stack"
MONITORING: Final = "monitoring"
IMAGE: Final = os.environ.get("EXPORTER_IMAGE", "exchange-exporter/exchange-exporter:test")
# Takes webhooks and prints them, from the exporter's own image.
HOOK: Final = """
import http.server
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print("TOLD", self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 8080), Hook).serve_forever()
"""
FAULT: Final = """
import json, urllib.request
body = {"fault": "error", "venue": "binance", "status": 500, "endpoint": "*time*"}
urllib.request.urlopen(urllib.request.Request(
    "http://127.0.0.1:9718/control/faults", json.dumps(body).encode(),
    {"Content-Type": "application/json"}))
"""


def kubectl(*words: str, given: str | None = None, fails: bool = False) -> str:
    """Run kubectl; gives what it prints. Fails the test with what it complains of."""
    done = subprocess.run(
        [program("kubectl", "kubernetes-client"), *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert fails or done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def kubeconfig() -> str:
    """Return the path of the kubeconfig; skips where there is none, no server, or no operator."""
    path = os.environ.get("KUBECONFIG")
    if not path:
        pytest.skip("KUBECONFIG names no cluster: see `make test-cluster` in CONTRIBUTING.md")
    if "Server Version" not in kubectl("version", fails=True):
        pytest.skip(f"no API server answers at what {path} names")
    if "servicemonitors" not in kubectl("api-resources", "--api-group=monitoring.coreos.com"):
        pytest.skip("the cluster has no prometheus-operator: install kube-prometheus-stack")
    return path


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """Make a namespace that lets only restricted pods in, for the length of a ``with``."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubectl("apply", "--filename=-", given=json.dumps(made))
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false", fails=True)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_installs_upgrades_and_rolls_back(example: Path, kubeconfig: str) -> None:
    """The API server and the operator's webhook take every example, twice, and once backwards.

    The secrets that examples name are not there: whether pods start is another test's matter.
    """
    space = f"ee-{example.stem.removesuffix('-values')}"[:50]
    values = values_of(example) | {"namespaceOverride": ""}
    # What examples put into the monitoring namespace stays in the one that goes with the test.
    for section in ("serviceMonitor", "prometheusRule", "dashboards"):
        values[section] = values.get(section, {}) | {"namespace": ""}
    with namespace(space):
        release = helm().Config(kubeconfig_path=kubeconfig, namespace=space)
        release.install(str(CHART), "rel", values)
        try:
            release.upgrade(str(CHART), "rel", values | {"image": {"tag": "v9.9.9"}})
            release.rollback("rel", version=1)
            got = kubectl("--namespace", space, "get", "deployment,statefulset", "--output=yaml")
            assert len(yaml.safe_load(got)["items"]) >= 1
        finally:
            release.uninstall("rel")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_strict_validation(example: Path, kubeconfig: str) -> None:
    """No object of any example has a field that the server does not know."""
    with namespace("ee-strict") as space:
        found = manifests(values_of(example))
        for each in found:
            each["metadata"]["namespace"] = space
        text = yaml.safe_dump_all(found)
        kubectl("apply", "--dry-run=server", "--validate=strict", "--filename=-", given=text)


def _pod(name: str, arguments: list[str], port: int) -> list[dict[str, Any]]:
    """Return a pod of the exporter's image and its Service."""
    context = {
        "runAsNonRoot": True, "runAsUser": 10001, "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {
        "name": name, "image": IMAGE, "command": arguments, "securityContext": context,
        "ports": [{"containerPort": port}],
    }  # fmt: skip
    labels = {"app": name}
    return [
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": port}]},
        },
    ]  # fmt: skip


def _values() -> dict[str, Any]:
    """Return values for an exporter that watches the simulator, and a relay that tells the hook."""
    repository, _, tag = IMAGE.rpartition(":")
    selected = {"enabled": True, "additionalLabels": {"release": STACK}}
    simulate = ["exchange-exporter", "simulate", "--listen-address=0.0.0.0:9718"]
    return {
        "image": {"registry": "", "repository": repository, "tag": tag},
        "config": yaml.safe_load(config({"binance": "http://simulator:9718/binance"})),
        "serviceMonitor": selected,
        "prometheusRule": selected,
        "alertmanagerConfig": {"enabled": True},
        "relay": {
            "enabled": True,
            "token": {"existingSecret": "relay"},
            "config": {"receivers": [{"name": "a", "type": "webhook", "url": "http://hook:8080/"}]},
        },
        "extraManifests": [
            *_pod("simulator", [*simulate, "--venues=binance", "--no-limits"], 9718),
            *_pod("hook", ["python", "-u", "-c", HOOK], 8080),
        ],
    }


def _query(expression: str) -> list[dict[str, Any]]:
    """Ask the stack's Prometheus, through the API server."""
    service = f"/api/v1/namespaces/{MONITORING}/services/prometheus-operated:9090/proxy"
    asked = f"{service}/api/v1/query?query={urllib.parse.quote(expression)}"
    found: list[dict[str, Any]] = json.loads(kubectl("get", "--raw", asked))["data"]["result"]
    return found


def test_a_fault_reaches_a_receiver(kubeconfig: str) -> None:
    """Scraped through the operator `endpoint` is the exchange's; its alert alone is told."""
    if not kubectl("--namespace", MONITORING, "get", "prometheus", "--output=name", fails=True):
        pytest.skip(f"no Prometheus of {STACK} in the namespace {MONITORING}")
    with namespace("ee-way") as space:
        here = ("--namespace", space)
        kubectl(*here, "create", "secret", "generic", "relay", "--from-literal=token=secret")
        release = helm().Config(kubeconfig_path=kubeconfig, namespace=space)
        release.install(str(CHART), "rel", _values(), wait="watcher", timeout=300)
        try:
            mine = f'namespace="{space}"'
            series = f"exchange_probe_success{{{mine}}} == 1"
            found = eventually(lambda: _query(series), "scraped", within=180)
            assert {"time"} <= {each["metric"]["endpoint"] for each in found}
            assert {each["metric"]["endpoint"] for each in found}.isdisjoint({"http"})
            kubectl(*here, "exec", "simulator", "--", "python", "-c", FAULT)
            alert = f'ALERTS{{alertname="ExchangeEndpointDown",alertstate="firing",{mine}}}'
            eventually(lambda: _query(alert), "it fires", within=420)
            told = eventually(lambda: _told(here), "the receiver is told", within=180)
            assert all("ExchangeEndpointDown" in each for each in told), told
        finally:
            release.uninstall("rel")


def _told(here: tuple[str, ...]) -> list[str]:
    lines = kubectl(*here, "logs", "hook").splitlines()
    return [line for line in lines if line.startswith("TOLD ")]
