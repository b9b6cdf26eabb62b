"""Values that cannot be right are refused before anything reaches a cluster, in readable words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.helm.engine import CHART, EXAMPLES, RefusedError, manifests, values_of

RELAY = {"enabled": True, "token": {"existingSecret": "t"}}
RECEIVER = {"name": "a", "type": "webhook", "url": "https://example.com/"}
TOLD = RELAY | {"config": {"receivers": [RECEIVER]}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shards": "four"}, "at '/shards': got string, want integer"),
        ({"shards": 0}, "at '/shards': minimum: got 0, want 1"),
        ({"shard": 2}, "additional properties 'shard' not allowed"),
        ({"image": {"tga": "v1"}}, "at '/image': additional properties 'tga' not allowed"),
        ({"image": {"digest": "sha256:12"}}, "at '/image/digest': 'sha256:12' does not match"),
        ({"image": {"pullPolicy": "Sometimes"}}, "value must be one of 'Always', 'IfNotPresent'"),
        ({"podAnnotations": {"a": 1}}, "at '/podAnnotations/a': got number, want string"),
        ({"extraArgs": "--log.level=debug"}, "at '/extraArgs': got string, want array"),
        ({"extraEnv": [{"nam": "A"}]}, "at '/extraEnv/0': missing property 'name'"),
        ({"serviceMonitor": {"interval": "soon"}}, "at '/serviceMonitor/interval'"),
        ({"config": {"exchanges": []}}, "at '/config/exchanges': minItems: got 0, want 1"),
        ({"config": {"exchanges": [{"venue": "binanse"}]}}, "at '/config/exchanges/0/venue'"),
        (
            {"config": {"exchanges": [{"venue": "okx", "symbls": []}]}},
            "at '/config/exchanges/0': additional properties 'symbls' not allowed",
        ),
        ({"config": {"probes": {"interval": ""}}}, "at '/config/probes/interval'"),
        ({"config": {"alertmanagers": [{"url": "x", "bearer_token": "s"}]}}, "bearer_token"),
        ({"prometheusRule": {"files": {"slos": True}}}, "additional properties 'slos'"),
        ({"prometheusRule": {"overrides": {"A": {"treshold": 1}}}}, "'treshold' not allowed"),
        (
            {"relay": RELAY | {"config": {"receivers": [RECEIVER | {"type": "telegraph"}]}}},
            "at '/relay/config/receivers/0/type'",
        ),
        ({"shards": 2, "replicaCount": 2}, "replicaCount: found more than 1 beside shards"),
        (
            {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            "every series would count twice",
        ),
        (
            {"configExistingSecret": "a", "configExistingConfigMap": "b"},
            "configExistingSecret: found beside configExistingConfigMap",
        ),
        ({"relay": RELAY}, "relay.config.receivers: found none"),
        (
            {"relay": {"enabled": True, "config": {"receivers": [RECEIVER]}}},
            "relay.token.existingSecret: found none",
        ),
        ({"alertmanagerConfig": {"enabled": True}}, "alertmanagerConfig.enabled: found true"),
        (
            {"relay": TOLD | {"webConfig": {"content": {"basic_auth_users": {"a": "hash"}}}}},
            "relay.webConfig.content.basic_auth_users: found beside a token",
        ),
        (
            {"webConfig": {"content": {"tls_server_config": {"cert_file": "c"}}}},
            "webConfig.scheme: found http beside content.tls_server_config",
        ),
        (
            {"relay": TOLD | {"webConfig": {"content": {"tls_server_config": {"cert_file": "c"}}}}},
            "relay.webConfig.scheme: found http beside content.tls_server_config",
        ),
        (
            {
                "relay": TOLD,
                "alertmanagerConfig": {"enabled": True, "basicAuth": {"username": {"name": "a"}}},
            },
            "alertmanagerConfig.basicAuth: found beside relay.token.existingSecret",
        ),
        (
            {"relay": RELAY | {"configReloader": {"method": "http"}}},
            "at '/relay/configReloader': additional properties 'method' not allowed",
        ),
    ],
)
def test_refused_in_readable_words(values: dict[str, Any], words: str) -> None:
    """The message names the value and says what was found or expected."""
    with pytest.raises(RefusedError) as refused:
        manifests(values)
    assert words in str(refused.value)


def test_helms_own_keys_pass() -> None:
    """A parent chart's globals, its switch, and places for YAML anchors are let through."""
    assert manifests({"global": {"theirs": {"a": 1}}, "enabled": True, "x-common": {"a": 1}})


def test_every_value_is_used() -> None:
    """No value is declared that no template reads."""
    templates = "".join(
        file.read_text(encoding="utf-8")
        for file in (CHART / "templates").rglob("*")
        if file.is_file()
    )
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def leaves(node: dict[str, Any]) -> list[str]:
        found = []
        for name, each in node.get("properties", {}).items():
            inner = leaves(each) if "additionalProperties" in each else []
            found += inner or [name]
        return found

    unused = [
        name
        for name in leaves(schema)
        if f".{name}" not in templates and f'"{name}"' not in templates
    ]
    # The switch of a parent is Helm's; the files of rules, and receivers, are looked up by name.
    rules = [path.stem for path in (CHART / "files" / "rules").glob("*.yml")] + ["chat", "page"]
    assert sorted(set(unused) - {"enabled"}) == sorted(set(rules) & set(unused))


def test_every_value_has_an_example() -> None:
    """Every top-level value is set by at least one example in ci/."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    shown = {name for example in EXAMPLES for name in values_of(example)}
    assert set(schema["properties"]) - shown - {"enabled"} == set()


def test_readme_examples_render() -> None:
    """The YAML that the README shows is taken by the chart as it stands there, one on another."""
    text = (CHART / "README.md").read_text(encoding="utf-8")
    blocks = [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]
    assert len(blocks) >= 3
    values: dict[str, Any] = {}
    for block in blocks:
        values |= yaml.safe_load(block)
        assert manifests(values)


def test_documented_values_render() -> None:
    """So are the values of docs/kubernetes.md, and they are whole: the first needs no other."""
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    blocks = [part.partition("```")[0] for part in text.split("```yaml\n# values of the chart")[1:]]
    assert len(blocks) >= 5
    first: dict[str, Any] = {}
    for block in blocks:
        values = yaml.safe_load("#" + block)
        first = first or values
        assert manifests(first | values if "beside those above" in block else values)


def test_versions_agree() -> None:
    """The chart's appVersion is the program's version, and so is the image it names."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["appVersion"] == project["version"]
    assert f"v{project['version']}" in chart["annotations"]["artifacthub.io/images"]
