"""The files that `init` writes: texts with comments, by what was chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.cli._receiver import Chosen
from exporter.words import quoted

_HERE, _RELAY = "127.0.0.1:9717", "127.0.0.1:9719"
_ETC, _STATE = "/etc/exchange-exporter", "/var/lib/exchange-exporter"
RULES = "rules"  # directory of the shipped rules, beside the files
KEPT = "--storage.tsdb.retention.time=31d"  # by Prometheus: the error budget looks back over 30 d
_MORE = "https://github.com/exchange-exporter/exchange-exporter/blob/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for: venues and their symbols, where to page, the place, how it is run."""

    symbols: Mapping[str, Sequence[str]]  # by venue
    chosen: Chosen | None
    language: str
    site: str | None
    target: str  # plain, docker, systemd or helm


def files(wish: Wish) -> dict[str, str]:
    """Return what to write, by file name. The secret is not in it."""
    if wish.target == "helm":
        return {"values.yaml": values(wish)}
    found = {"exchanges.yml": exporter(wish), "prometheus.yml": prometheus(wish)}
    if wish.chosen is not None:
        found["relay.yml"] = relay(wish)
    if wish.target == "docker":
        found["compose.yaml"] = compose(wish)
    if wish.target == "systemd":
        found["install.sh"] = install(wish)
    return found


def exporter(wish: Wish) -> str:
    """Return the exporter's config."""
    lines = [
        "# What is watched. Every key: exchange-exporter schema config, or",
        f"# {_MORE}/examples/full.yml",
        "# Mistakes, cost, limits:  exchange-exporter check exchanges.yml [--online]",
        "# A change is taken over by SIGHUP, without a reconnect of what stays the same.",
        "",
        "exchanges:  # each venue brings its endpoints, their intervals and its streams",
    ]
    for venue, symbols in wish.symbols.items():
        # A pattern would be the name of an anchor to YAML.
        names = [name if name[0].isalnum() else quoted(name) for name in symbols]
        lines += [f"  - venue: {venue}", f"    symbols: [{', '.join(names)}]"]
    lines += [
        "",
        "# Places that are no exchanges: when they fail too, the fault is on our side, and",
        "# nobody is paged for an exchange. Any URL that answers 200 or 204.",
        "control_targets:",
        '  - {name: cloudflare, url: "https://www.cloudflare.com/cdn-cgi/trace"}',
    ]
    if wish.chosen is not None and wish.target != "helm":
        lines += [
            "",
            "# What is seen here is pushed at once; Prometheus' rules say the same a little later.",
            "alertmanagers:",
            "  - url: http://127.0.0.1:9093",
        ]
    if wish.site is not None:
        lines += ["", "alerting:", f"  site: {json.dumps(wish.site)}  # as in prometheus.yml"]
    return "\n".join(lines) + "\n"


def relay(wish: Wish) -> str:
    """Return the relay's config. Raises TypeError without a receiver."""
    if wish.chosen is None:
        raise TypeError("a relay needs a receiver")
    state = {"docker": f"{_STATE}/relay.db", "systemd": f"{_STATE}-relay/relay.db"}
    lines = [
        "# Who is told. More receivers, budgets, storms, templates, triage by a model:",
        f"# {_MORE}/docs/relay.md",
        "# Check:  exchange-exporter relay --check relay.yml",
        "# Test:   exchange-exporter relay --config.file=relay.yml test oncall",
        "",
        *wish.chosen.section(wish.language),
        "    levels: [critical, warning]  # info is left out",
        "",
        "# Messages wait there until the service has confirmed them.",
        "spool:",
        f"  path: {state.get(wish.target, 'relay.db')}",
    ]
    return "\n".join(lines) + "\n"


def prometheus(wish: Wish) -> str:
    """Return a whole config of Prometheus, of which an existing one takes the parts it needs."""
    site = f"\n        labels: {{site: {json.dumps(wish.site)}}}" if wish.site else ""
    told = wish.chosen is not None
    alerting = f"""
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:9093"]  # with {RULES}/alertmanager/alertmanager.yml
"""
    relay_job = f"""\
  - job_name: alert-relay
    static_configs:
      - targets: ["{_RELAY}"]
"""
    return f"""\
# A Prometheus that has only this to do: prometheus --config.file=prometheus.yml {KEPT}
# One that you have: start it with that flag, for the error budget looks back over 30 d, and copy
# rule_files{", alerting" if told else ""} and the jobs, whose names the rules know.
global:
  scrape_interval: 5s  # the alerts' times are promised for 5 s; 15 s works, later
  evaluation_interval: 15s

rule_files:
  - {RULES}/*.yml
{alerting if told else ""}
scrape_configs:
  - job_name: exchange-exporter
    static_configs:
      - targets: ["{_HERE}"]{site}
{relay_job if told else ""}"""


def compose(wish: Wish) -> str:
    """Return services for Docker that share one network, as on one host."""
    told = wish.chosen is not None
    relay_service = f"""
  relay:
    <<: *ours
    command: [relay, --config.file={_ETC}/relay.yml]
    env_file: [relay.env]
    environment: {{HEALTH_URL: "http://{_RELAY}/-/healthy"}}
    volumes:
      - ./relay.yml:{_ETC}/relay.yml:ro
      - relay:{_STATE}

  alertmanager:
    image: prom/alertmanager:v0.28.1
    command: [--config.file=/etc/alertmanager/alertmanager.yml, --cluster.listen-address=]
    volumes:
      - ./{RULES}/alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro
    network_mode: service:prometheus
    restart: unless-stopped
"""
    return (
        f"""\
# docker compose up --detach
# The image is made from a clone: docker build --tag exchange-exporter CLONE
# All services share one network, as on one host, so that the configs are those of a host.
name: exchanges

x-ours: &ours
  image: exchange-exporter
  network_mode: service:prometheus
  read_only: true
  cap_drop: [ALL]
  security_opt: [no-new-privileges:true]
  restart: unless-stopped

services:
  prometheus:
    image: prom/prometheus:v3.5.0
    command:
      - --config.file=/etc/prometheus/prometheus.yml
      - --storage.tsdb.path=/prometheus
      - {KEPT}  # the error budget looks back over 30 d
    volumes:
      - ./prometheus.yml:/etc/prometheus/prometheus.yml:ro
      - ./{RULES}:/etc/prometheus/{RULES}:ro
      - prometheus:/prometheus
    ports:  # of all services here
      - 127.0.0.1:9090:9090
      - 127.0.0.1:9717:9717  # the exporter's status page
    restart: unless-stopped

  exporter:
    <<: *ours
    command: [run, --config.file={_ETC}/exchanges.yml, --storage.path={_STATE}]
    volumes:
      - ./exchanges.yml:{_ETC}/exchanges.yml:ro
      - exporter:{_STATE}
{relay_service if told else ""}
volumes:
  prometheus:
  exporter:
{"  relay:" if told else ""}
""".rstrip("\n")
        + "\n"
    )


def install(wish: Wish) -> str:
    """Return a script that installs programs and units; run by root, from the directory."""
    told = wish.chosen is not None
    units = (
        "exchange-exporter.service exchange-exporter-relay.service"
        if told
        else ("exchange-exporter.service")
    )
    configs = f"""\
install --mode=644 exchanges.yml {_ETC}/config.yml
"""
    if told:
        configs += f"""\
install --mode=644 relay.yml {_ETC}/relay.yml
install --mode=600 relay.env /etc/default/exchange-exporter-relay
"""
    return f"""\
#!/bin/sh
# As root, in this directory: sh install.sh CLONE
# CLONE is the directory that `git clone` made. Safe to run again.
set -eu
test -f "${{1:?the directory of the clone}}/pyproject.toml"
test -x /opt/exchange-exporter/bin/python || python3 -m venv /opt/exchange-exporter
/opt/exchange-exporter/bin/python -m pip install --quiet "$1[fast]"
install --directory {_ETC}
{configs}for unit in {units}; do
  install --mode=644 "$1/systemd/$unit" /etc/systemd/system/
done
systemctl daemon-reload
systemctl enable {units}
systemctl restart {units}
"""


def values(wish: Wish) -> str:
    """Return values of the chart."""
    lines = [
        "# helm upgrade --install exchanges CLONE/helm/exchange-exporter \\",
        "#   --namespace exchanges --create-namespace --values values.yaml",
        "# Every value: helm show values CLONE/helm/exchange-exporter",
        "# Until a release is published, the image is one that you built and pushed:",
        "# image: {registry: registry.example, repository: exchange-exporter, tag: local}",
        "# The labels are those by which kube-prometheus-stack selects.",
        "config:",
        *_indented(exporter(wish)),
        "serviceMonitor: {enabled: true, additionalLabels: {release: kube-prometheus-stack}}",
        "prometheusRule: {enabled: true, additionalLabels: {release: kube-prometheus-stack}}",
        "dashboards: {enabled: true}",
    ]
    if wish.site is not None:
        lines.append(f"site: {json.dumps(wish.site)}")
    if wish.chosen is not None:
        lines += [
            "relay:",
            "  enabled: true",
            "  # Secret with the key `token`, which Alertmanager shows, and the receiver's secret:",
            "  # see the commands that init has printed.",
            "  token: {existingSecret: relay}",
            "  extraEnvFrom:",
            "    - secretRef: {name: relay}",
            "  config:",
            *(f"    {line}" for line in wish.chosen.section(wish.language)),
            "        levels: [critical, warning]",
            "alertmanagerConfig: {enabled: true}",
        ]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> list[str]:
    """Return the config's lines without its head comment, indented by two."""
    body = text[text.index("exchanges:") :].splitlines()
    return [f"  {line}".rstrip() for line in body]
