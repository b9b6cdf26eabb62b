"""The guard of the hot paths' cost: it sees a doubling, and what it compares with is there."""

import json
from pathlib import Path

import pytest

from benchmarks import regression


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.3, 0), (2.0, 1)])
def test_a_doubling_is_seen(
    factor: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One path that costs twice as much is named."""
    before = dict.fromkeys(regression.PATHS, 0.5)
    monkeypatch.setattr(regression, "FILE", tmp_path / "regression.json")
    regression.FILE.write_text(json.dumps({regression.VERSION: before}))
    monkeypatch.setattr(regression, "ratios", lambda: before | {"book": 0.5 * factor})
    monkeypatch.setattr("sys.argv", ["regression"])
    assert regression.main() == status
    assert [
        line.split()[0] for line in capsys.readouterr().out.splitlines() if "SLOWER" in line
    ] == (["book"] if status else [])


def test_each_path_has_a_figure() -> None:
    """And each can be run."""
    for figures in json.loads(regression.FILE.read_text()).values():
        assert figures.keys() == regression.PATHS.keys()
    for make in regression.PATHS.values():
        assert make()() > 0.0
