"""What is pinned is hashed, its licences are known, and the bill of materials names all of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tools import tool

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def _pins(lock: Path) -> set[str]:
    text = lock.read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+==[^ ;\\\n]+)", text, re.MULTILINE))


def _script(name: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    tools = tool("pip-audit").parent.parent
    environment = os.environ | {"VENV": sys.prefix, "EXCHANGE_EXPORTER_TOOLS": str(tools)} | more
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments],
        env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_is_hashed(lock: Path) -> None:
    """A changed file on a registry is noticed, whatever is installed."""
    text = lock.read_text(encoding="utf-8")
    pins = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(pins) == len(_pins(lock)) > 10
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in re.sub(r"#[^\n]*", "", text)


def test_locks_agree() -> None:
    """What the tests run with is what users run: richer locks hold the poorer ones' pins."""
    by_name = {lock.stem: _pins(lock) for lock in LOCKS}
    assert by_name["runtime"] <= by_name["image"] <= by_name["dev"] <= by_name["chart"]


def test_every_dependency_has_its_reason() -> None:
    """Runtime dependencies are few, and each says in one line why it is there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = text.partition("\ndependencies = [\n")[2].partition("\n]")[0].splitlines()
    assert 0 < len(lines) <= 13
    assert [line for line in lines if not re.search(r'",? +# \w', line)] == []


@pytest.mark.chart
def test_bill_of_materials(tmp_path: Path) -> None:
    """It names every pinned package with its hashes, and is the same each time."""
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for file in (first, second):
        done = _script("sbom", file)
        assert done.returncode == 0, done.stderr
    assert first.read_bytes() == second.read_bytes()
    bill = json.loads(first.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "exchange-exporter"
    found = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    assert found == _pins(ROOT / "requirements" / "image.lock")
    assert all(each["purl"] for each in bill["components"])


@pytest.mark.chart
def test_licences_are_allowed() -> None:
    """Every package of the container has a licence that asks for no more than being named."""
    done = _script("audit", "licences")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "aiohttp" in done.stdout


@pytest.mark.chart
def test_no_database_is_no_all_clear() -> None:
    """Without the network the audit says that it knows nothing, and does not pass."""
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    done = _script("audit", **proxies, NO_PROXY="", no_proxy="")
    assert done.returncode == 3, done.stdout
    assert "nothing is known" in done.stderr
