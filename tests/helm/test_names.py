"""Names, labels and numbers stay what a cluster takes, whatever a release or a tag is called."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import kubernetes_validate
import pytest

from tests.helm import engine
from tests.helm.engine import CHART, Manifest, RefusedError, files, manifests, one, pods, values_of

EVERYTHING: Final = {
    key: value
    for key, value in values_of(CHART / "ci" / "everything-values.yaml").items()
    if key != "fullnameOverride"
}
# Source: Kubernetes documentation, "Object Names and IDs" and "Labels and Selectors", 2026-11.
DNS_LABEL: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LABEL: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def released(name: str, namespace: str, values: dict[str, Any]) -> list[Manifest]:
    """Render the chart as a release of that name."""
    native, library = engine.native(), engine.helm()
    options = {"name": name, "namespace": namespace, "kube_version": "v1.30.0", "api_versions": []}
    with library.Chart.load(str(CHART)) as chart:
        found = native.call_string(
            "helm_render", chart._raw(), json.dumps(values), json.dumps(options)
        )
    texts = json.loads(found)
    return engine.parse("\n---\n".join(text for path, text in texts.items() if "NOTES" not in path))


def _check(found: list[Manifest]) -> None:
    for each in found:
        name, kind = each["metadata"]["name"], each["kind"]
        strict = kind in ("Service", "StatefulSet", "Deployment", "Pod")
        assert (DNS_LABEL if strict else SUBDOMAIN).fullmatch(name), (kind, name)
        holders = [each["metadata"]]
        if kind in ("Deployment", "StatefulSet"):
            holders.append(each["spec"]["template"]["metadata"])
        for holder in holders:
            for key, value in holder["labels"].items():
                assert LABEL.fullmatch(value), (kind, name, key, value)


@pytest.mark.parametrize(
    "name", ["rel", "1st", "9", "eu.west.1", "x" * 53, "exchange-exporter", "a" * 45 + ".1234567"]
)
def test_every_release_name_that_helm_takes(name: str) -> None:
    """A digit first, dots, the full 53 characters: every object's name and labels are good."""
    _check(released(name, "ns", EVERYTHING))


@pytest.mark.parametrize("override", ["MyExporter", "a_b", "7", "x" * 90, "-x-", "ends."])
def test_every_override(override: str) -> None:
    """What a user writes into the overrides becomes a name, too."""
    _check(released("rel", "ns", EVERYTHING | {"fullnameOverride": override}))
    _check(released("rel", "ns", EVERYTHING | {"nameOverride": override}))


@pytest.mark.parametrize(
    ("one_name", "other"), [("x" * 52 + "a", "x" * 52 + "b"), ("a.b", "a-b"), ("1st", "x-1st")]
)
def test_two_releases_of_a_namespace_share_nothing(one_name: str, other: str) -> None:
    """Names that differ only where they are cut or cleaned stay apart, in all kinds."""
    both = [
        {(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in found}
        for found in (released(name, "ns", EVERYTHING) for name in (one_name, other))
    ]
    assert both[0] & both[1] == set()


def test_one_release_name_in_two_namespaces() -> None:
    """What both put into the monitoring namespace has their own namespace in its name."""
    there = {"namespace": "monitoring"}
    values = EVERYTHING | {
        "serviceMonitor": {"enabled": True} | there,
        "prometheusRule": {"enabled": True} | there,
        "dashboards": {"enabled": True} | there,
    }
    both = [
        {
            (each["kind"], each["metadata"]["name"])
            for each in released("rel", namespace, values)
            if each["metadata"]["namespace"] == "monitoring"
        }
        for namespace in ("one", "two")
    ]
    assert {kind for kind, _ in both[0]} == {"ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert both[0] & both[1] == set()


@pytest.mark.parametrize(
    ("image", "version", "reference"),
    [
        ({"tag": f"v1.2@sha256:{'a' * 64}"}, "v1.2", f":v1.2@sha256:{'a' * 64}"),
        ({"tag": "_edge"}, "edge", ":_edge"),
        ({"tag": "a" * 62 + "--"}, "a" * 62, ":" + "a" * 62 + "--"),
        ({"tag": "v2", "digest": f"sha256:{'b' * 64}"}, "v2", f"@sha256:{'b' * 64}"),
        ({}, "0.2.0", ":v0.2.0"),
    ],
)
def test_every_tag(image: dict[str, str], version: str, reference: str) -> None:
    """A tag with a digest, with an underscore first or a hyphen last: the label is good."""
    found = manifests({"image": image})
    _check(found)
    workload = one(found, "Deployment")
    assert workload["metadata"]["labels"]["app.kubernetes.io/version"] == version
    assert workload["spec"]["template"]["spec"]["containers"][0]["image"].endswith(reference)


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"tag": "v1+build"}},
        {"image": {"tag": "-v1"}},
        {"image": {"repository": "Own/Exporter"}},
        {"serviceAccount": {"name": "Exporter"}},
        {"namespaceOverride": "my_ns"},
        {"serviceMonitor": {"namespace": "Monitoring"}},
        {"networkPolicy": {"monitoringNamespaceName": "-a"}},
        {"persistence": {"accessModes": ["RWX"]}},
    ],
)
def test_names_that_the_cluster_refuses(values: dict[str, Any]) -> None:
    """What no cluster takes as a name, a tag or a mode is refused before it gets there."""
    with pytest.raises(RefusedError, match=r"does not match pattern|must be one of"):
        manifests(values)


def test_a_registry_may_end_in_a_slash() -> None:
    """The path has one slash before it, whichever of the two registries is taken."""
    for values in (
        {"global": {"imageRegistry": "reg.example.com/"}},
        {"image": {"registry": "reg.example.com/"}},
    ):
        for _, spec in pods(manifests(values)):
            [container] = spec["containers"]
            assert container["image"].startswith("reg.example.com/exchange-exporter/exchange")


def test_hosts_are_written_in_small_letters() -> None:
    """A host's capitals mean nothing, and the cluster refuses them."""
    ingress = {"enabled": True, "hosts": [{"host": "Exchanges.Example.com"}]}
    [rule] = one(manifests({"ingress": ingress}), "Ingress")["spec"]["rules"]
    assert rule["host"] == "exchanges.example.com"


def test_large_numbers_stay_numbers() -> None:
    """A million is not 1e+06, wherever a value may be that large."""
    uid = 1_000_660_000
    context = {"runAsUser": uid, "runAsGroup": uid}
    values = {
        "serviceMonitor": {"enabled": True, "sampleLimit": 100_000_000},
        "securityContext": context,
        "podSecurityContext": context | {"fsGroup": uid},
        "configReloader": {"enabled": True, "securityContext": context},
        "config": {
            "exchanges": [{"venue": "binance", "limits": {"weight": 10_000_000}}],
        },
        "prometheusRule": {
            "enabled": True,
            "overrides": {"AlertRelayStuck": {"threshold": 2_500_000}},
        },
    }
    texts = "".join(files(values).values())
    assert not re.search(r"\d(\.\d+)?e\+\d", texts)
    found = manifests(values)
    assert one(found, "ServiceMonitor")["spec"]["sampleLimit"] == 100_000_000
    for _, spec in pods(found):
        assert spec["securityContext"]["fsGroup"] == uid
        for container in spec["containers"]:
            assert container["securityContext"]["runAsUser"] == uid


def test_no_storage_class_at_all() -> None:
    """`-` waits for volumes that someone made; empty leaves it to the cluster."""

    def classes(name: str) -> list[object]:
        persistence = {"enabled": True, "storageClassName": name}
        found = manifests({"persistence": persistence})
        claims = one(found, "StatefulSet")["spec"]["volumeClaimTemplates"]
        return [each["spec"].get("storageClassName", None) for each in claims]

    assert (classes("-"), classes(""), classes("fast")) == ([""], [None], ["fast"])


def test_a_renamed_key_leaves_no_old_file() -> None:
    """The web config's Secret says what it holds by `data`, from which Helm removes old keys."""
    users = {"basic_auth_users": {"a": "hash"}}
    tcp = {"tcpSocket": {"port": "http"}}
    values = {
        "webConfig": {"content": users, "key": "other.yml"},
        "livenessProbe": tcp,
        "readinessProbe": tcp,
        "secretConfig": True,
    }
    for each in manifests(values):
        assert "stringData" not in each
    web = one(manifests(values), "Secret", "rel-exchange-exporter-web")
    assert set(web["data"]) == {"other.yml"}


def _paths(node: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every value and section that values.yaml describes."""
    found = []
    for name, each in node.get("properties", {}).items():
        if name != "enabled" or path:
            found.append((*path, name))
        described = "description" in each  # an object of its own, not a section
        if not described and (each.get("additionalProperties") is False or name == "global"):
            found += _paths(each, (*path, name))
    return found


def _nulled(path: tuple[str, ...], base: dict[str, Any]) -> dict[str, Any]:
    changed = json.loads(json.dumps(base))
    node = changed
    for name in path[:-1]:
        node = node.setdefault(name, {})
    node[path[-1]] = None
    return dict(changed)


@pytest.mark.chart
@pytest.mark.timeout(900)  # half a minute on a machine that has nothing else to do
def test_null_is_taken_or_refused_in_words() -> None:
    """`key: null` removes a default in Helm: what cannot do without it says which is missing."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    taken, seen = 0, set[str]()
    for path in _paths(schema):
        try:
            found = manifests(_nulled(path, EVERYTHING))
        except RefusedError as refused:
            words = str(refused)
            assert re.search(
                rf"missing propert.*'{path[-1]}'|found .*, expected|found none", words
            ), (
                path,
                words,
            )
            continue
        taken += 1
        for each in found:
            text = json.dumps(each, sort_keys=True)
            if "monitoring.coreos.com" not in each["apiVersion"] and text not in seen:
                kubernetes_validate.validate(each, "1.36", strict=True)
            seen.add(text)
    assert taken > 50
