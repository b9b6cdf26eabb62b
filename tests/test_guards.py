"""Nothing is declared that nobody uses: config keys, functions, dependencies, metric families."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from sys import stdlib_module_names
from types import ModuleType

from exporter import config
from exporter.relay import config as relay_config
from tests.alert_rules.catalogue import published
from tests.conftest import ROOT

PYTHON = [
    path
    for folder in ("exporter", "dashboards", "scripts")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and (path.suffix == ".py" or not path.suffix)
]
TEMPLATES = [*(ROOT / "exporter").rglob("*.html"), *(ROOT / "exporter").rglob("*.j2")]

# Called by a library, by the name that the library wants.
CALLED_BY_LIBRARIES = {"do_POST", "log_message", "get_buffer", "buffer_updated"}
# Textual calls what an App names so: on events, and on the keys of its bindings.
CALLED_BY_TEXTUAL = re.compile(r"compose|on_\w+|action_(?P<key>\w+)")
# The ensemble on plain floats is the yardstick of benchmarks/detectors.py and of its tests.
CALLED_BY_BENCHMARKS = {"ScalarEnsemble"}
# Read for the sake of a format that others define.
KEYS_OF_OTHERS = {"http2"}

# Each with the reason why it is on no dashboard and in no rule.
FAMILIES_FOR_QUERIES_ALONE = {
    "alert_relay_outbound_heartbeat_last_success_timestamp_seconds": "whoever takes the heartbeat "
    "says when it stays away; this tells which side failed",
    "exchange_book_audit_divergence_ratio": "opt-in, and empty for who has not switched it on",
    "exchange_book_missed_updates_total": "the size of a hole; the number of holes is on a panel",
    "exchange_circuit_breaker_transitions_total": "a flapping breaker; its state is on a panel",
    "exchange_gate_info": "which exchanges a gate is about: `report` reads it",
    "exchange_incident_lead_seconds": "one value an incident: on the status page and in `report`",
    "exchange_exporter_config_last_reload_success_timestamp_seconds": "since when a config counts; "
    "whether the last reload succeeded is on a panel and in a rule",
    "exchange_exporter_dead_letters_total": "frames kept; why they could not be read is on a panel",
    "exchange_exporter_http_unauthorized_total": "somebody guesses; a security team's own rule",
    "exchange_exporter_jobs": "diagnostics that a person started",
    "exchange_exporter_jobs_ended_total": "diagnostics that a person started",
    "exchange_exporter_state_last_save_timestamp_seconds": "what a crash would forget",
    "exchange_probe_last_success_timestamp_seconds": "absence-proof rules of the user's own",
    "exchange_stream_connection_start_timestamp_seconds": "age, for who watches the rollover",
    "exchange_stream_connects_total": "attempts; disconnects by reason are on a panel",
    "exchange_stream_missed_messages_total": "the size of a hole; the number is on a panel",
    "exchange_stream_received_bytes_total": "bandwidth, for a bill or a change of compression",
    "exchange_stream_unknown_topics_total": "subscriptions that the venue made up by itself",
}


def _trees(paths: list[Path]) -> Iterator[ast.Module]:
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="ignore")
        if path.suffix == ".py" or text.startswith("#!/usr/bin/env python"):
            yield ast.parse(text)


def _used() -> set[str]:
    """Return every name that code outside of tests reads, calls, imports or hands on as text."""
    used: set[str] = set()
    for tree in _trees(PYTHON):
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    used.add(name)
                case ast.alias(name=name):
                    used.add(name.rpartition(".")[2])
                case ast.keyword(arg=str(name)):
                    used.add(name)
                case ast.Constant(value=str(text)) if text.isidentifier():
                    used.add(text)
                case _:
                    pass
    for path in TEMPLATES:
        used.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return used


def test_every_public_function_has_a_caller() -> None:
    """What only tests call is not part of the program."""
    used = _used() | CALLED_BY_LIBRARIES | CALLED_BY_BENCHMARKS
    unused = []
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            called = path.name == "_watch_app.py" and CALLED_BY_TEXTUAL.fullmatch(node.name)
            if called and (called["key"] is None or f'"{called["key"]}' in path.read_text("utf-8")):
                continue
            if not node.name.startswith("_") and node.name not in used:
                unused.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert unused == []


def test_a_class_name_is_one_class() -> None:
    """Whoever searches for a class finds it, and not its namesakes in other files."""
    declared: dict[str, list[str]] = {}
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                declared.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in declared.items() if len(places) > 1} == {}


def _sections(module: ModuleType) -> Iterator[type]:
    for found in pkgutil.iter_modules(config.__path__):
        yield from vars(importlib.import_module(f"exporter.config.{found.name}")).values()
    yield from vars(module).values()


def test_every_config_key_has_a_reader() -> None:
    """A key that changes nothing would be a promise that nobody keeps."""
    reads: set[str] = set()
    for tree in _trees(PYTHON):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                reads.add(node.attr)
    keys = {
        f"{section.__name__}.{field.name}"
        for section in {
            id(each): each for each in _sections(relay_config) if isinstance(each, type)
        }.values()
        if dataclasses.is_dataclass(section)
        for field in dataclasses.fields(section)
        if "key" in field.metadata
    }
    assert keys, "the keys are found by their metadata"
    assert {key for key in keys if key.rpartition(".")[2] not in reads | KEYS_OF_OTHERS} == set()


def test_dependencies_are_what_is_imported() -> None:
    """What is declared is imported, and what is imported is declared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {_project(line) for line in project["dependencies"]}
    optional = {
        _project(line)
        for name in ("fast", "watch", "relay", "plots")
        for line in project["optional-dependencies"][name]
    }
    modules: set[str] = set()
    for tree in _trees(sorted((ROOT / "exporter").rglob("*.py"))):
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    modules.update(each.name.partition(".")[0] for each in names)
                case ast.ImportFrom(module=str(module), level=0):
                    modules.add(module.partition(".")[0])
                case _:
                    pass
    modules -= {*stdlib_module_names, "exporter"}
    owners = packages_distributions()
    imported = {_project(owners.get(module, [module])[0]) for module in modules}
    assert needed <= imported, "declared and not imported"
    assert imported <= needed | optional, "imported and not declared"


def _project(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")


def test_every_metric_family_is_looked_at() -> None:
    """Each is on a dashboard, in a rule, or here with the reason why it is not."""
    texts = [
        path.read_text(encoding="utf-8")
        for pattern in ("dashboards/*.json", "dashboards/**/*.json", "alert_rules/*.yml")
        for path in ROOT.glob(pattern)
    ]
    whole = "\n".join(texts)
    unseen = {
        family.name
        for family in published()
        if not re.search(rf"\b{family.name}(_bucket|_sum|_count)?\b", whole)
    }
    assert unseen - FAMILIES_FOR_QUERIES_ALONE.keys() == set()
    assert FAMILIES_FOR_QUERIES_ALONE.keys() - unseen == set(), "no longer needs its reason"
