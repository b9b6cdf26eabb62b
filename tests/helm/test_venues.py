"""Definitions of venues travel with the release: mounted, read by the program, restarted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporter.cli import _venues
from tests.helm.engine import CHART, manifests, one, values_of

ACME = (Path(__file__).parents[1] / "venues" / "definitions" / "acme.yml").read_text()
VALUES: dict[str, Any] = {
    "config": {"exchanges": [{"venue": "acme", "symbols": ["BTC-USDT"]}]},
    "venues": {"acme.yml": ACME},
}
RELAY: dict[str, Any] = values_of(CHART / "ci" / "relay-values.yaml")


def test_definitions_are_mounted_where_the_program_looks(tmp_path: Path) -> None:
    """Config and folder, as the pod has them, are a good config; the relay has none of it."""
    found = manifests(VALUES | RELAY)
    maps = {each["metadata"]["name"]: each for each in found if each["kind"] == "ConfigMap"}
    (held,) = (each for name, each in maps.items() if name.endswith("-venues"))
    config = maps[held["metadata"]["name"].removesuffix("-venues")]["data"]["config.yml"]
    (tmp_path / "config.yml").write_text(config)
    folder = tmp_path / "venues"
    folder.mkdir()
    for name, text in held["data"].items():
        (folder / name).write_text(text)
    loaded, _ = _venues.load(str(tmp_path / "config.yml"), folder)
    assert [each.name for each in loaded.venue_files] == ["acme"]
    pods = {
        each["kind"] + each["metadata"]["name"]: each["spec"]["template"]
        for each in found
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    flags = {
        name: "--venues.dir=/etc/exchange-exporter/venues" in pod["spec"]["containers"][0]["args"]
        for name, pod in pods.items()
    }
    assert sorted(flags.values()) == [False, True]
    (mine,) = (pod for name, pod in pods.items() if flags[name])
    mounts = {
        each["name"]: each["mountPath"] for each in mine["spec"]["containers"][0]["volumeMounts"]
    }
    volumes = {each["name"]: each for each in mine["spec"]["volumes"]}
    assert mounts["venues"] == "/etc/exchange-exporter/venues"
    assert volumes["venues"]["configMap"]["name"] == held["metadata"]["name"]
    before = mine["metadata"]["annotations"]["checksum/venues"]
    changed = manifests(VALUES | {"venues": {"acme.yml": ACME + "# changed\n"}})
    after = one(changed, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert after["checksum/venues"] != before
