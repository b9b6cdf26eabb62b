"""Configs of a rehearsal, derived from the shipped ones: the same, with less time between things.

A factor of 1 changes no rule. Thresholds are never changed, so that "2 minutes old" stays two
minutes; only how far rules look back, how long they wait, and how often they are evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.instrument import Product
from exporter.simulator.rehearsal.talk import RehearsalError
from exporter.venues import load
from exporter.words import why

# A rate needs some samples, and what bridges a lost scrape must bridge one: scrapes are 1 s apart.
SHORTEST_RANGE = 6.0
# Probes come every 3 s instead of every 10: waits shorter than that let a part of an outage be told
# before the whole of it is known. 6 s are two probes.
_PROBES, _TWO_PROBES = 0.3, 6.0
_SHORTEST_KEEP = 5.0  # seconds; what flaps faster than it is looked at would be told twice
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+)(ms|[smhdw])")
_RANGE = re.compile(r"\[([0-9smhdw]+)\]")
_OFFSET = re.compile(r"\boffset ([0-9smhdw]+)")
CONTROL_VENUE = "kraken"  # stands for places outside all exchanges
# Where detectors are to notice something. They learn for minutes here, not for days: by as little
# they rightly call nothing impossible, and twice the sensitivity makes up for it.
JUDGED_VENUE, _SENSITIVITY = "coinbase", 2
# A latency is learnt from probes, and nothing is unusual before a hundred of them: a quarter of an
# hour at the slower venues.
_USUAL_INTERVAL = 10.0
HOSTED = ("okx", "bitstamp")  # share a provider; the second is watched where a scenario asks for it
# The last is there to compare what quote currencies are worth.
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BTC-USDC")


def seconds(text: str) -> float:
    """Read a duration as Prometheus spells it."""
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def shorter(text: str, factor: float, least: float = 0.0) -> str:
    """Divide a duration, to whole milliseconds; never below ``least``, if it was not before."""
    long = seconds(text)
    return f"{round(max(long / factor, min(long, least)) * 1000)}ms"


def wait(text: str, factor: float) -> str:
    """Divide a wait, as far as probes keep pace with it."""
    return shorter(text, factor, least=min(seconds(text) * _PROBES, _TWO_PROBES))


def expression(expr: str, factor: float) -> str:
    """Shorten how far an expression looks back."""
    expr = _RANGE.sub(lambda found: f"[{shorter(found[1], factor, SHORTEST_RANGE)}]", expr)
    return _OFFSET.sub(lambda found: f"offset {shorter(found[1], factor)}", expr)


def rules(folder: Path, to: Path, factor: float, without: Collection[str] = ()) -> list[Path]:
    """Write each file of rules in ``folder`` to ``to``, shortened. Raises RehearsalError."""
    written = []
    for path in sorted(folder.glob("*.yml")):
        document = _yaml(path)
        if "groups" not in document or path.name in without:
            continue
        if factor != 1:
            for group in document["groups"]:
                _shorten(group, factor)
        written.append(to / path.name)
        written[-1].write_text(yaml.safe_dump(document, sort_keys=False))
    if not written:
        raise RehearsalError(f"{folder}: no files of rules (--rules names their folder)")
    return written


def _shorten(group: dict[str, Any], factor: float) -> None:
    group["interval"] = shorter(group.get("interval", "15s"), factor, least=1.0)
    for rule in group["rules"]:
        rule["expr"] = expression(rule["expr"], factor)
        if "for" in rule:
            rule["for"] = wait(rule["for"], factor)
        if "keep_firing_for" in rule:
            rule["keep_firing_for"] = shorter(rule["keep_firing_for"], factor, _SHORTEST_KEEP)


def alertmanager(path: Path, hook: str, factor: float) -> str:
    """Return an Alertmanager config that tells ``hook`` instead of the relay, at any hour."""
    config = _yaml(path)
    for receiver in config["receivers"]:
        for each in receiver.get("webhook_configs", ()):
            each["url"] = f"{hook}/{receiver['name']}"
    for route in (config["route"], *config["route"].get("routes", ())):
        route.pop("mute_time_intervals", None)
        for key in {"group_wait", "group_interval"} & set(route):
            route[key] = wait(route[key], factor)
    return yaml.safe_dump(config, sort_keys=False)


def prometheus(
    files: Iterable[Path],
    exporters: Sequence[tuple[str, Mapping[str, str]]],
    alerts: str,
    factor: float,
) -> str:
    """Return a Prometheus config for these rules and exporters, each with labels of its own.

    ``alerts``, the Alertmanager, and the exporters are HOST:PORT.
    """
    pace = {"scrape_interval": "5s", "evaluation_interval": "15s"}
    return yaml.safe_dump({
        "global": {key: shorter(value, factor, least=1.0) for key, value in pace.items()},
        "rule_files": [str(file) for file in files],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts]}]}]},
        "scrape_configs": [{
            "job_name": "exchange-exporter",
            "static_configs": [
                {"targets": [exporter], "labels": dict(labels)} for exporter, labels in exporters
            ],
        }],
    })  # fmt: skip


def exporter(
    places: Mapping[str, tuple[str, str]],
    watched: Collection[str],
    factor: float,
    *,
    push_to: str | None = None,
    job: str | None = None,
    keen: Collection[str] = (),
    deadlines: Mapping[str, str] | None = None,
) -> str:
    """Return a config that watches simulated exchanges: venue name to its REST and stream URL.

    Of these ``watched`` are watched as exchanges; what is watched beside the usual ones has a gate.
    ``push_to`` is the Alertmanager (HOST:PORT) that is told without waiting for the rules, by
    ``job`` if that is not the usual. At ``keen`` ones detectors are twice as sensitive, and learn
    from a probe every 3 s. ``deadlines`` is that section of the config.
    """
    config: dict[str, Any] = {
        "exchanges": [
            {
                "venue": name,
                "symbols": list(SYMBOLS),
                "rest_url": rest,
                "stream_url": stream,
                "status_page_url": f"{rest}/statuspage",
                "liquidity": {"bps": [10]},
                "instruments": {"watch": True, "interval": shorter("60s", factor, 10.0)},
                **_perpetuals(name, factor),
            }
            for name, (rest, stream) in places.items()
            if name in watched
        ],
        # Not the endpoint whose faults close the gate in a rehearsal: that is no fault of ours.
        "control_targets": [
            {"name": "control", "url": f"{places[CONTROL_VENUE][0]}/0/public/SystemStatus"}
        ],
        "prices": {"reference": "USDT"},
        "pegs": [{"asset": "USDC", "against": "USDT", "low": 0.98, "high": 1.02}],
        "gates": [
            {"name": name, "exchanges": [name], "open_after": shorter("30s", factor, 1.0)}
            for name in watched
            if name == CONTROL_VENUE
        ],
    }
    if deadlines is not None:
        config["deadlines"] = dict(deadlines)
    if push_to is not None:
        config["alertmanagers"] = [{"url": f"http://{push_to}"}]
        config["alerting"] = {"repeat": shorter("1m", factor, 1.0)} | ({"job": job} if job else {})
    for exchange in config["exchanges"]:
        if exchange["venue"] in HOSTED:
            exchange["provider"] = "simulated/zone-a"
            first, second, *_ = (each.name for each in load(exchange["venue"]).endpoints)
            apart = {"name": first, "provider": "simulated/edge-b"}
            exchange["endpoints"] = [apart, {"name": second}]
        if exchange["venue"] in keen:
            latencies = ("probe_latency", "stream_latency")
            exchange["signals"] = {n: {"sensitivity": _SENSITIVITY} for n in latencies}
            if factor == 1:  # else all are probed as often
                exchange["endpoints"] = [
                    {"name": each.name, "interval": "3s", "timeout": "3s"}
                    for each in load(exchange["venue"]).endpoints
                    if each.interval == _USUAL_INTERVAL
                ]
    if factor != 1:
        config["probes"] = {
            "interval": shorter("10s", factor, 3.0),
            "timeout": shorter("5s", factor, 2.0),
            # More probes need more of the allowance; below 3 s it would not be enough at OKX.
            "budget_share": f"{min(100.0, 10 * factor):.0f}%",
        }
        for exchange in config["exchanges"]:
            exchange["breaker"] = {
                "recovery": shorter("10s", factor, 1.0),
                "recovery_cap": shorter("25s", factor, 2.5),
            }
        config["control_targets"][0]["interval"] = "2s"
    return yaml.safe_dump(config, sort_keys=False)


def _perpetuals(name: str, factor: float) -> dict[str, Any]:
    """Have perpetuals watched where a venue has nothing else."""
    if load(name).plain is Product.SPOT:
        return {}
    return {"perpetuals": {"watch": True, "interval": shorter("30s", factor, 5.0)}}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RehearsalError(f"{why(error, path)}") from error
    return document if isinstance(document, dict) else {}
