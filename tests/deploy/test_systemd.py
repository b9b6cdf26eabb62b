"""The systemd units are sound, harden what they run, and start it with flags that it knows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

UNITS = sorted((ROOT / "systemd").glob("*.service"))
HIGHEST = 1.5  # of 10; what is left is the network that the program is for


def _settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z]\w+=", line):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _installed(unit: Path, folder: Path) -> Path:
    """Copy a unit, an instance of it where it is a template, with a program that exists."""
    text = unit.read_text(encoding="utf-8")
    program = shutil.which("true") or "/bin/true"
    copy = folder / unit.name.replace("@.", "@2.")
    copy.write_text(text.replace("/opt/exchange-exporter/bin/exchange-exporter", program))
    return copy


def test_there_are_three() -> None:
    """The exporter alone, the exporter in shards, and the relay."""
    assert [unit.name for unit in UNITS] == [
        "exchange-exporter-relay.service",
        "exchange-exporter.service",
        "exchange-exporter@.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_verifies(unit: Path, tmp_path: Path) -> None:
    """systemd understands every line: no unknown key, no value it ignores."""
    done = _analyze("verify", "--man=no", _installed(unit, tmp_path))
    complaints = [line for line in done.stderr.splitlines() if unit.name.partition(".")[0] in line]
    assert complaints == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_is_hardened(unit: Path, tmp_path: Path) -> None:
    """systemd's own measure of exposure stays low."""
    done = _analyze("security", "--offline=yes", _installed(unit, tmp_path))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= HIGHEST


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_starts_what_exists(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands and flags are the program's own, and the config is checked first."""
    from exporter.__main__ import main

    settings = _settings(unit)
    for line in (*settings["ExecStartPre"], *settings["ExecStart"]):
        _, command, *flags = shlex.split(line)
        assert main([command, "--help"]) == 0
        known = capsys.readouterr().out
        for flag in flags:
            assert not flag.startswith("-") or flag.partition("=")[0] in known
    assert len(settings["ExecStartPre"]) == 1


def test_shards_keep_apart() -> None:
    """Each instance has its shard, its address and its own folder."""
    settings = _settings(ROOT / "systemd" / "exchange-exporter@.service")
    [start] = settings["ExecStart"]
    assert "--shard=%i/${EXPORTER_SHARDS}" in start
    assert "--web.listen-address=${EXPORTER_ADDRESS}" in start
    assert settings["StateDirectory"] == ["exchange-exporter-%i"]
    assert settings["Environment"] == ["EXPORTER_SHARDS=1 EXPORTER_ADDRESS=:972%i"]
