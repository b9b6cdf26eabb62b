"""The chart renders every example alike, whatever the engine, the version and the APIs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.helm.engine import (
    CHART,
    EXAMPLES,
    OPERATOR,
    SOME_VERSIONS,
    Manifest,
    RefusedError,
    files,
    helm,
    manifests,
    one,
    parse,
    second_engine,
    values_of,
)


def _key(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_lints_strictly(example: Path) -> None:
    """`helm lint --strict` finds nothing of weight, not even a warning, in any example."""
    report = helm().lint(str(CHART), values_of(example), strict=True)
    assert [each for each in report["messages"] if each["severity"] >= 2] == []


@pytest.mark.parametrize("version", SOME_VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_says_the_same_to_every_cluster(example: Path, version: str) -> None:
    """No version and no list of APIs changes what is rendered, as GitOps tools know neither.

    A ServiceMonitor that is asked for is there even where the engine has not heard of the operator.
    """
    values = values_of(example)
    for apis in ((), OPERATOR):
        assert files(values, version, apis) == files(values), apis


@pytest.mark.chart
@pytest.mark.timeout(900)  # half a minute on a machine that has nothing else to do
def test_two_engines_agree(tmp_path: Path) -> None:
    """Helm 3 and Helm 4 render every example like the library does, and lint it clean."""
    with second_engine(tmp_path) as engine:
        for example in EXAMPLES:
            # The engine cuts its answers at 256 KiB, which the dashboards are beyond.
            values = values_of(example) | {"dashboards": {"enabled": False}}
            whole = manifests(values, "1.29", OPERATOR)
            # The engine leaves hooks, which is the test's pod, out of what it gives.
            expected = sorted((each for each in whole if each["kind"] != "Pod"), key=_key)
            for version in ("v3", "v4"):
                text = engine.call(
                    "helm_template",
                    helm_version=version,
                    release_name="rel",
                    chart=str(CHART),
                    namespace="ns",
                    values=values,
                    kube_version="1.29.0",
                    api_versions=list(OPERATOR),
                )
                assert sorted(parse(text), key=_key) == expected, (example.name, version)
                linted = engine.call(
                    "helm_lint",
                    helm_version=version,
                    paths=[str(CHART)],
                    values_files=[str(example)],
                    strict=True,
                )
                assert "[ERROR]" not in linted, linted
                assert "[WARNING]" not in linted, linted


@pytest.mark.chart
def test_refuses_an_older_cluster(tmp_path: Path) -> None:
    """Kubernetes 1.24 is refused by its number; a provider's suffix on 1.25 is not."""
    with second_engine(tmp_path) as engine:
        for version in ("v3", "v4"):
            ask = partial(
                engine.call,
                "helm_template",
                helm_version=version,
                release_name="rel",
                chart=str(CHART),
            )
            with pytest.raises(RefusedError, match=r">=1\.25\.0-0"):
                ask(kube_version="1.24.17")
            assert "kind: Deployment" in ask(kube_version="1.25.3-gke.100")


def test_names_fit() -> None:
    """Whatever the release is called, names stay within what the cluster and its labels allow."""
    values = values_of(CHART / "ci" / "everything-values.yaml") | {"fullnameOverride": "x" * 63}
    found = manifests(values)
    for each in found:
        # Of these two the names may be 253 long, and need no cut.
        if each["kind"] not in ("PrometheusRule", "ConfigMap"):
            assert len(each["metadata"]["name"]) <= 63
    assert len({(each["kind"], each["metadata"]["name"]) for each in found}) == len(found)
    for each in found:
        if each["kind"] == "StatefulSet":  # its pods' label: name, ordinal and a hash
            assert len(each["metadata"]["name"]) <= 52


def test_every_feature_has_its_manifest() -> None:
    """What a switch promises is there, and by default there is nothing but the exporter."""
    kinds = {each["kind"] for each in manifests({})}
    assert kinds == {"ConfigMap", "Deployment", "Pod", "Service", "ServiceAccount"}
    found = manifests(values_of(CHART / "ci" / "everything-values.yaml"))
    assert {each["kind"] for each in found} == {
        "AlertmanagerConfig",
        "ConfigMap",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    }


def test_a_shard_a_pod() -> None:
    """Above one shard each pod of a StatefulSet takes its number from its name's end."""
    found = manifests({"shards": 4})
    workload = one(found, "StatefulSet")
    container = workload["spec"]["template"]["spec"]["containers"][0]
    assert workload["spec"]["replicas"] == 4
    assert workload["spec"]["podManagementPolicy"] == "Parallel"
    assert container["command"][2].endswith('--shard="${HOSTNAME##*-}/4"')
    assert one(found, "Service", workload["spec"]["serviceName"])["spec"]["clusterIP"] == "None"
    assert "Deployment" not in {each["kind"] for each in found}
    assert "--shard" not in str(manifests({"shards": 1}))


def test_the_shell_line_hands_the_shard_over(tmp_path: Path) -> None:
    """The command of a sharded pod, run by a real shell, starts the program with its shard."""
    import os
    import subprocess

    container = one(manifests({"shards": 4}), "StatefulSet")["spec"]["template"]["spec"][
        "containers"
    ][0]
    program = tmp_path / "exchange-exporter"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOSTNAME": "rel-exchange-exporter-2"},
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "run",
        "--config.file=/etc/exchange-exporter/config/config.yml",
        "--web.listen-address=:9717",
        "--shard=2/4",
    ]


def test_flags_only_where_asked_for() -> None:
    """A web config, storage and further flags are passed when their values are set, else not."""

    def flags(kind: str, values: Manifest) -> list[str]:
        spec = one(manifests(values), kind)["spec"]["template"]["spec"]
        found: list[str] = spec["containers"][0]["args"][3:]
        return found

    assert flags("Deployment", {}) == []
    values = {
        "webConfig": {"existingSecret": "web"},
        "persistence": {"enabled": True},
        "extraArgs": ["--log.level=debug"],
    }
    assert flags("StatefulSet", values) == [
        "--web.config.file=/etc/exchange-exporter/web/web.yml",
        "--storage.path=/var/lib/exchange-exporter",
        "--log.level=debug",
    ]


def test_monitors_give_job_and_site() -> None:
    """Alerts find the exporter and the relay by job, and compare sites by label."""
    relay = values_of(CHART / "ci" / "relay-values.yaml")
    found = manifests(relay | {"site": "tokyo"})
    jobs = {}
    for each in found:
        if each["kind"] == "ServiceMonitor":
            rules = each["spec"]["endpoints"][0]["relabelings"]
            labels = {rule["targetLabel"]: rule["replacement"] for rule in rules[1:]}
            assert labels["site"] == "tokyo"
            jobs[labels["job"]] = each["spec"]["selector"]["matchLabels"]
    assert set(jobs) == {"exchange-exporter", "alert-relay"}
    # Each monitor selects one Service, and not the one that only names pods.
    for selector in jobs.values():
        services = [each for each in found if each["kind"] == "Service"]
        hits = [each for each in services if selector.items() <= each["metadata"]["labels"].items()]
        assert len(hits) == 1
        assert hits[0]["spec"]["selector"] == selector


def test_policies_open_the_pods_port() -> None:
    """The policy lets in on the port of the pod, which a Service's other port does not change."""
    values = {"networkPolicy": {"enabled": True}, "service": {"port": 80}}
    rule = one(manifests(values), "NetworkPolicy")["spec"]["ingress"][0]
    assert rule["ports"] == [{"port": 9717, "protocol": "TCP"}]
    closed = {"networkPolicy": {"enabled": True, "allowMonitoringNamespace": False}}
    policy = one(manifests(closed | {"tests": {"enabled": False}}), "NetworkPolicy")["spec"]
    assert policy["ingress"] == []


def test_notes_warn() -> None:
    """The notes say what is missing, and what is open."""
    assert "serviceMonitor.enabled=true" in files({})["NOTES.txt"]
    http = files({"configReloader": {"enabled": True, "method": "http"}})["NOTES.txt"]
    assert "WARNING: POST /-/reload" in http
    relay = files(values_of(CHART / "ci" / "existing-secret-values.yaml"))["NOTES.txt"]
    assert "/api/v1/alertmanager" in relay
    assert "pending messages are lost" in relay


def test_users_labels_never_collide() -> None:
    """The same label from several values stands there once, and selectors' labels cannot be taken.

    (A key twice in one manifest is an error of the tests' own reader.)
    """
    theirs = {"app.kubernetes.io/name": "theirs", "release": "mine", "team": "a"}
    values = {
        "commonLabels": theirs,
        "releaseLabel": True,
        "podLabels": theirs,
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "side"},
        "service": {"labels": theirs},
        "serviceMonitor": {"enabled": True, "additionalLabels": theirs},
        "dashboards": {"enabled": True, "additionalLabels": {"grafana_dashboard": "2"}},
    }
    found = manifests(values)
    template = one(found, "Deployment")["spec"]["template"]["metadata"]
    assert template["labels"]["app.kubernetes.io/name"] == "exchange-exporter"
    assert template["annotations"]["kubectl.kubernetes.io/default-container"] == "side"
    assert one(found, "ServiceMonitor")["metadata"]["labels"]["release"] == "mine"


def test_installs_dry() -> None:
    """A client-side install of the packaged chart gives a release, as `helm install --dry-run`."""
    engine = helm()
    config = engine.Config(kubeconfig_content="", storage_driver="memory", namespace="ns")
    release = config.install(str(CHART), "rel", {}, dry_run="client")
    assert "kind: Deployment" in str(release)


def test_package_is_small(tmp_path: Path) -> None:
    """The packaged chart fits many times into the 1 MiB Secret that Helm keeps a release in."""
    package = Path(helm().package(str(CHART), destination=str(tmp_path)))
    assert package.stat().st_size < 200 * 1024
