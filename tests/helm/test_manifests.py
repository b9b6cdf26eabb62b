"""What the chart renders is what a cluster takes, the operator reads, and auditors let pass."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from tests.helm.engine import CHART, EXAMPLES, SOME_VERSIONS, Manifest, manifests, pods, values_of
from tests.tools import tool

Finding = tuple[str, str, str]
OPERATED: Final = "monitoring.coreos.com"
# What the examples leave to users, or is meant: everything else is a mistake.
MEANT: Final = {
    "CKV_K8S_8": "the reloader and the pod of `helm test` listen to nobody; the servers' probes are"
    " looked at below",
    "CKV_K8S_9": "the same",
    "CKV_K8S_11": "no CPU limit: throttling would show as an exchange's latency",
}
LEFT_TO_USERS: Final = {
    "CKV_K8S_10": "resources are the user's",
    "CKV_K8S_12": "resources are the user's",
    "CKV_K8S_13": "resources are the user's",
    "CKV_K8S_15": "a tag of a release never moves; Always needs the registry at each start",
    "CKV_K8S_43": "the digest is known once an image is built",
    "CKV2_K8S_6": "the network policy is switched on by the user, who knows the namespaces",
    "CKV_K8S_35": "a secret from the environment is the example",
}
PRODUCTION: Final = CHART / "ci" / "everything-values.yaml"


@functools.lru_cache
def every_manifest() -> tuple[str, ...]:
    """Return each different manifest of all examples once, as JSON."""
    found = chain.from_iterable(manifests(values_of(example)) for example in EXAMPLES)
    return tuple(sorted({json.dumps(each, sort_keys=True) for each in found}))


@pytest.mark.parametrize("version", SOME_VERSIONS)
def test_kubernetes_takes_them(version: str) -> None:
    """Every built-in kind of every example holds to that version's schema, with no other key."""
    checked = 0
    for text in every_manifest():
        manifest = json.loads(text)
        if OPERATED not in manifest["apiVersion"]:
            kubernetes_validate.validate(manifest, version, strict=True)
            checked += 1
    assert checked > 50


def _complaints(found: list[Manifest]) -> list[str]:
    done = subprocess.run(
        [tool("python"), Path(__file__).parent / "crds.py"],
        input=json.dumps(found),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    complaints: list[str] = json.loads(done.stdout)
    return complaints


@pytest.mark.chart
def test_the_operator_reads_them() -> None:
    """Every manifest for the operator has what its model requires, and nothing that it drops."""
    found = [each for each in map(json.loads, every_manifest()) if OPERATED in each["apiVersion"]]
    assert {each["kind"] for each in found} == {
        "AlertmanagerConfig",
        "PodMonitor",
        "PrometheusRule",
        "ServiceMonitor",
    }
    assert _complaints(found) == []


@pytest.mark.chart
@pytest.mark.timeout(900)  # half a minute on a machine that has nothing else to do
def test_the_operators_models_find_mistakes() -> None:
    """A misspelt key, a missing one and a wrong duration are complained of."""
    good = next(json.loads(each) for each in every_manifest() if '"ServiceMonitor"' in each)
    misspelt, missing, wrong = (json.loads(json.dumps(good)) for _ in range(3))
    misspelt["spec"]["endpoints"][0]["intervall"] = "5s"
    del missing["spec"]["selector"]
    wrong["spec"]["endpoints"][0]["interval"] = "soon"
    assert "intervall is unknown" in _complaints([misspelt])[0]
    assert "selector" in _complaints([missing])[0]
    assert "interval" in _complaints([wrong])[0]


def _findings(found: list[Manifest], folder: Path) -> list[Finding]:
    """Let checkov look at manifests: check, resource, what it asks for."""
    (folder / "manifests.yaml").write_text(yaml.safe_dump_all(found), encoding="utf-8")
    done = subprocess.run(
        [
            *(tool("checkov"), "--directory", folder, "--framework", "kubernetes"),
            *("--skip-download", "--compact", "--quiet", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 50, done.stderr
    assert report["summary"]["parsing_errors"] == 0
    return [
        (each["check_id"], each["resource"], each["check_name"])
        for each in report["results"]["failed_checks"]
    ]


@pytest.mark.chart
def test_a_scanner_finds_nothing_in_production(tmp_path: Path) -> None:
    """checkov finds nothing in the example for production but what is meant to be so."""
    found = _findings(manifests(values_of(PRODUCTION)), tmp_path)
    assert _unmeant(found, MEANT) == []


@pytest.mark.chart
def test_a_scanner_finds_only_what_users_fill_in(tmp_path: Path) -> None:
    """In the plainest examples checkov misses what is left to users, and nothing else."""
    for name in ("default", "relay"):
        folder = tmp_path / name
        folder.mkdir()
        found = _findings(manifests(values_of(CHART / "ci" / f"{name}-values.yaml")), folder)
        assert _unmeant(found, MEANT | LEFT_TO_USERS) == []


def _unmeant(found: list[Finding], meant: Mapping[str, str]) -> list[Finding]:
    return [
        each
        for each in found
        # The pod of `helm test` lives for a second and has no port.
        if each[0] not in meant and not (each[0] == "CKV2_K8S_6" and "test-connection" in each[1])
    ]


# --- kube-score's rules, by their names there ---------------------------------------------------
# Source: zegl/kube-score, README_CHECKS.md, the checks that are on by default.


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _pod_labels(manifest: Manifest) -> dict[str, str]:
    holder = manifest if manifest["kind"] == "Pod" else manifest["spec"]["template"]
    labels: dict[str, str] = holder["metadata"]["labels"]
    return labels


def _container_rules(container: Manifest) -> Iterator[str]:
    image = container["image"]
    if ":" not in image.rpartition("/")[2] or image.endswith(":latest"):
        yield "container-image-tag"
    if container["imagePullPolicy"] != "Always":
        yield "container-image-pull-policy"
    resources = container.get("resources", {})
    if set(resources.get("requests", {})) < {"cpu", "memory"} or "memory" not in resources.get(
        "limits", {}
    ):
        yield "container-resources"
    context = container.get("securityContext", {})
    if context.get("runAsUser", 0) <= 10_000 or context.get("runAsGroup", 0) <= 10_000:
        yield "container-security-context-user-group-id"
    if not context.get("readOnlyRootFilesystem"):
        yield "container-security-context-readonlyrootfilesystem"
    if context.get("privileged") or context.get("allowPrivilegeEscalation", True):
        yield "container-security-context-privileged"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "container-seccomp-profile"
    if context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "container-capabilities"
    names = [each["name"] for each in container.get("env", [])]
    if len(names) != len(set(names)):
        yield "environment-variable-key-duplication"
    ready, live = container.get("readinessProbe"), container.get("livenessProbe")
    if ready and ready == live:
        yield "pod-probes-identical"


def _score(found: list[Manifest]) -> Iterator[str]:
    """Yield what kube-score would call critical, as rule: object."""
    by_kind = {kind: [each for each in found if each["kind"] == kind] for kind in
               ("Service", "NetworkPolicy", "PodDisruptionBudget")}  # fmt: skip
    labels = [_pod_labels(each) for each, _ in pods(found)]
    for service in by_kind["Service"]:
        if not any(_selects(service["spec"]["selector"], each) for each in labels):
            yield f"service-targets-pod: {service['metadata']['name']}"
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        for each in by_kind[kind]:
            field = "podSelector" if kind == "NetworkPolicy" else "selector"
            if not any(_selects(each["spec"][field]["matchLabels"], pod) for pod in labels):
                yield f"{kind.lower()}-targets-pod: {each['metadata']['name']}"
    for manifest, spec in pods(found):
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        mine = _pod_labels(manifest)
        for container in _containers(spec):
            for rule in _container_rules(container):
                yield f"{rule}: {name} {container['name']}"
        if spec.get("hostNetwork") or spec.get("hostPID") or spec.get("hostIPC"):
            yield f"host-namespaces: {name}"
        if spec["automountServiceAccountToken"]:
            yield f"service-account-token: {name}"
        if manifest["kind"] == "Pod":
            continue
        if not all(probe in str(spec["containers"][0]) for probe in ("livenessP", "readinessP")):
            yield f"pod-probes: {name}"
        if not any(
            _selects(each["spec"]["podSelector"]["matchLabels"], mine)
            for each in by_kind["NetworkPolicy"]
        ):
            yield f"pod-networkpolicy: {name}"
        services = {each["metadata"]["name"] for each in by_kind["Service"]}
        if manifest["kind"] == "StatefulSet" and manifest["spec"]["serviceName"] not in services:
            yield f"statefulset-has-servicename: {name}"
        if manifest["spec"]["replicas"] > 1:
            if not any(
                _selects(each["spec"]["selector"]["matchLabels"], mine)
                for each in by_kind["PodDisruptionBudget"]
            ):
                yield f"has-poddisruptionbudget: {name}"
            if not (spec.get("affinity") or spec.get("topologySpreadConstraints")):
                yield f"has-host-podantiaffinity: {name}"


def test_scores_well_in_production() -> None:
    """The example for production breaks none of kube-score's rules."""
    assert list(_score(manifests(values_of(PRODUCTION)))) == []


def test_the_rules_find_mistakes() -> None:
    """A pod that is spoilt in one place breaks the rule for that place."""
    spoilt: list[tuple[str, dict[str, Any]]] = [
        ("container-resources", {"resources": {}}),
        ("container-image-pull-policy", {"image": {"pullPolicy": "IfNotPresent"}}),
        ("pod-networkpolicy", {"networkPolicy": {"enabled": False}}),
        ("has-poddisruptionbudget", {"podDisruptionBudget": {"enabled": False}}),
        ("has-host-podantiaffinity", {"affinity": {}}),
        (
            "container-security-context-user-group-id",
            {
                "securityContext": {"runAsUser": 1000},
                "configReloader": {"enabled": True, "securityContext": {"runAsUser": 1000}},
            },
        ),
        ("container-security-context-privileged", {"securityContext": {"privileged": True}}),
    ]
    for rule, values in spoilt:
        found = list(_score(manifests(values_of(PRODUCTION) | values)))
        assert any(each.startswith(rule) for each in found), (rule, found)


def test_nothing_needs_the_api_server() -> None:
    """No pod gets a service-account token, and no role is made."""
    for text in every_manifest():
        manifest = json.loads(text)
        assert "Role" not in manifest["kind"]
        for _, spec in pods([manifest]):
            assert spec["automountServiceAccountToken"] is False
