"""The rules and dashboards that come with the program: from a checkout and from a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dashboards
from exporter.__main__ import main
from tests.conftest import ROOT


def test_rules_are_written_for_a_prometheus_that_is_there(tmp_path: Path) -> None:
    """Every file in the directory itself is one of rules; promtool runs their tests there."""
    assert main(["rules", f"--out={tmp_path}"]) == 0
    files = sorted(path.name for path in tmp_path.glob("*.yml"))
    shipped = {path.name for path in (ROOT / "alert_rules").glob("*.yml")}
    assert set(files) == shipped - {"alertmanager.yml"}
    assert (tmp_path / "alertmanager/alertmanager.yml").is_file()
    assert len(list((tmp_path / "runbooks").glob("*.md"))) > 40
    assert "rule_files: [../gates.yml]" in (tmp_path / "tests/gates.yml").read_text()


def test_dashboards_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, as JSON; a directory that cannot be written is one line and status 2."""
    assert main(["dashboards", f"--out={tmp_path / 'new'}"]) == 0
    assert len(list((tmp_path / "new").glob("*.json"))) == len(dashboards.PAGES)
    (tmp_path / "file").touch()
    assert main(["dashboards", f"--out={tmp_path / 'file'}"]) == 2
    assert "file" in capsys.readouterr().err


def test_a_wheel_carries_them(tmp_path: Path) -> None:
    """What `rules`, `dashboards` and `rehearse` need is in the wheel, where they look for it."""
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q")
    source = tmp_path / "source"
    clone = ("git", "clone", "-q", "--depth=1", f"file://{ROOT}", str(source))
    if subprocess.run(clone, check=False).returncode:
        pytest.skip("no git, or this is no clone")
    subprocess.run((*command, "-w", str(tmp_path), str(source)), check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    share = next(name.split("alert_rules/")[0] for name in names if name.endswith("/recording.yml"))
    assert share.endswith(".data/data/share/exchange-exporter/")
    for folder in ("alert_rules", "dashboards/json"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".md", ".json"):
                assert f"{share}{path.relative_to(ROOT)}" in names
