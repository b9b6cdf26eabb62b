"""What prometheus-operator makes of the chart's monitors and of its AlertmanagerConfig.

Derived from its documentation and from its source as of 0.87 (pkg/prometheus/promcfg.go,
pkg/alertmanager/amcfg.go; read 2026-11-30), as no operator runs where these tests do. Prometheus
and Alertmanager, which are fed with it, are the real ones.
"""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm.engine import Manifest

STEPS: Final = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
STRATEGIES: Final = ("OnNamespace", "None")
# What kube-prometheus-stack brings as Alertmanager's own config: everything goes to nobody.
# Source: alertmanager.config of its values.yaml, in public copies of no named version, 2026-11-30.
STACK: Final = {
    "global": {"resolve_timeout": "5m"},
    "inhibit_rules": [
        {
            "source_matchers": ["severity = critical"],
            "target_matchers": ["severity =~ warning|info"],
            "equal": ["namespace", "alertname"],
        },
        {
            "source_matchers": ["severity = warning"],
            "target_matchers": ["severity = info"],
            "equal": ["namespace", "alertname"],
        },
        {
            "source_matchers": ["alertname = InfoInhibitor"],
            "target_matchers": ["severity = info"],
            "equal": ["namespace"],
        },
        {"target_matchers": ["alertname = InfoInhibitor"]},
    ],
    "route": {
        "group_by": ["namespace"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "12h",
        "receiver": "null",
        "routes": [{"receiver": "null", "matchers": ['alertname = "Watchdog"']}],
    },
    "receivers": [{"name": "null"}],
}


def snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def snaked(node: Any) -> Any:
    """Turn the keys of an object of the operator into those of a config."""
    if isinstance(node, list):
        return [snaked(each) for each in node]
    if isinstance(node, dict):
        return {snake(key): snaked(value) for key, value in node.items()}
    return node


def scrape_config(monitor: Manifest, address: str) -> dict[str, Any]:
    """Return the scrape config of a monitor, with one discovered pod at this address."""
    kind, spec = monitor["kind"], monitor["spec"]
    [endpoint] = spec["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
    name, namespace = monitor["metadata"]["name"], monitor["metadata"]["namespace"]
    known = {
        "PORT": endpoint["port"], "NAMESPACE": namespace, "NAME": name,
        "SERVICE": name, "POD": f"{name}-0",
    }  # fmt: skip
    text = yaml.safe_dump({"steps": STEPS[kind], "labels": STEPS["discovered"]})
    found = yaml.safe_load(
        re.sub(r"\b(PORT|NAMESPACE|NAME|SERVICE|POD)\b", lambda hit: known[hit[0]], text)
    )
    role = "service" if kind == "ServiceMonitor" else "pod"
    labels, keeps = dict(found["labels"]), []
    for key, value in sorted(spec["selector"]["matchLabels"].items()):
        clean = re.sub(r"\W", "_", key)
        meta = f"__meta_kubernetes_{role}_label_{clean}"
        present = f"__meta_kubernetes_{role}_labelpresent_{clean}"
        labels |= {meta: value, present: "true"}
        keeps.append(
            {"action": "keep", "source_labels": [meta, present], "regex": f"({value});true"}
        )
    before, after = found["steps"]["before"], found["steps"]["after"]
    own = snaked(endpoint.get("relabelings", []))
    return {
        "job_name": f"{kind[0].lower()}{kind[1:]}/{namespace}/{name}/0",
        "honor_labels": endpoint.get("honorLabels", False),
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint.get("scrapeTimeout", endpoint["interval"]),
        "metrics_path": endpoint["path"],
        "relabel_configs": [before[0], *keeps, *before[1:], *own, *after],
        "metric_relabel_configs": snaked(endpoint.get("metricRelabelings", [])),
        "static_configs": [{"targets": [address], "labels": labels}],
    }


def alertmanager_config(
    manifest: Manifest, strategy: str, base: dict[str, Any] = STACK
) -> dict[str, Any]:
    """Return Alertmanager's config, with an AlertmanagerConfig in it under a matcher strategy."""
    spec, metadata = manifest["spec"], manifest["metadata"]
    prefix = f"{metadata['namespace']}/{metadata['name']}/"
    enforced = f'namespace="{metadata["namespace"]}"' if strategy == "OnNamespace" else ""

    def matchers(found: list[dict[str, str]], top: bool) -> list[str]:
        texts = [f'{each["name"]}{each["matchType"]}"{each["value"]}"' for each in found]
        return texts + ([enforced] if top and enforced and enforced not in texts else [])

    def route(node: dict[str, Any], top: bool = False) -> dict[str, Any]:
        given = {key: value for key, value in node.items() if key not in ("matchers", "routes")}
        result: dict[str, Any] = snaked(given) | {"receiver": prefix + node["receiver"]}
        if texts := matchers(node.get("matchers", []), top):
            result["matchers"] = texts
        if "routes" in node:
            result["routes"] = [route(each) for each in node["routes"]]
        if "mute_time_intervals" in result:
            result["mute_time_intervals"] = [prefix + name for name in node["muteTimeIntervals"]]
        return result

    config = deepcopy(base)
    # Continue: an alert of ours takes its way through the rest of the tree, too.
    first = route(spec["route"], top=True) | {"continue": True}
    config["route"]["routes"] = [first, *config["route"].get("routes", [])]
    config["receivers"] = [
        *config["receivers"],
        *(snaked(each) | {"name": prefix + each["name"]} for each in spec["receivers"]),
    ]
    config["inhibit_rules"] = [
        *config.get("inhibit_rules", []),
        *(
            {
                "source_matchers": matchers(each["sourceMatch"], top=True),
                "target_matchers": matchers(each["targetMatch"], top=True),
                "equal": each["equal"],
            }
            for each in spec["inhibitRules"]
        ),
    ]
    config["time_intervals"] = [
        snaked(each) | {"name": prefix + each["name"]} for each in spec["muteTimeIntervals"]
    ]
    # The operator reads the Secret and writes the token down.
    for receiver in config["receivers"]:
        for hook in receiver.get("webhook_configs", []):
            if "authorization" in hook.get("http_config", {}):
                hook["http_config"]["authorization"]["credentials"] = "token"
    return config
