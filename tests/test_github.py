"""What the hosting site runs and asks: only commands that a contributor has, and valid forms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


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
