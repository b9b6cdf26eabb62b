"""What the chart writes into ConfigMaps and Secrets is a config that the program takes."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

import pytest
import yaml

from exporter.__main__ import main
from tests.helm.engine import EXAMPLES, Manifest, manifests, pods, values_of


def config_of(found: list[Manifest], name: str) -> str | None:
    """Return the config.yml of an object, whatever its kind."""
    for each in found:
        if each["kind"] in ("ConfigMap", "Secret") and each["metadata"]["name"] == name:
            text: str = each["data"]["config.yml"]
            return b64decode(text).decode() if each["kind"] == "Secret" else text
    return None


def mounted(spec: Manifest) -> str:
    volume = next(each for each in spec["volumes"] if each["name"] == "config")
    name: str = (
        volume["configMap"]["name"] if "configMap" in volume else volume["secret"]["secretName"]
    )
    return name


def check_config(text: str, folder: Path, patch: pytest.MonkeyPatch) -> int:
    """Run ``check`` on a config with every secret that it names at hand; return the status."""
    for name in re.findall(r"env: (\w+)", text):
        patch.setenv(name, "https://example.com/secret")
    for path in set(re.findall(r"file: (/\S+)", text)):
        secret = folder / path.lstrip("/").replace("/", "-")
        secret.write_text("secret", encoding="utf-8")
        text = text.replace(f"file: {path}", f"file: {secret}")
    file = folder / "config.yml"
    file.write_text(text, encoding="utf-8")
    relay = "receivers" in yaml.safe_load(text)
    return main(["relay", "--check", str(file)] if relay else ["check", str(file)])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_program_takes_them(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`exchange-exporter check` and `relay --check` pass the configs of every example."""
    found = manifests(values_of(example))
    texts = {
        text
        for manifest, spec in pods(found)
        if manifest["kind"] != "Pod" and (text := config_of(found, mounted(spec)))
    }
    for text in texts:
        status = check_config(text, tmp_path, monkeypatch)
        said = capsys.readouterr()
        assert status == 0, said.err
        assert not re.search("^warning:", said.out, re.MULTILINE), said.out


def test_the_relays_spool_is_on_its_volume() -> None:
    """The spool is where the volume is mounted, and the login comes from the token's Secret."""
    example = next(each for each in EXAMPLES if each.stem == "relay-values")
    found = manifests(values_of(example))
    manifest, spec = next(
        each for each in pods(found) if each[0]["metadata"]["name"].endswith("relay")
    )
    config = yaml.safe_load(config_of(found, mounted(spec)) or "")
    mounts = {each["name"]: each["mountPath"] for each in spec["containers"][0]["volumeMounts"]}
    claims = [each["metadata"]["name"] for each in manifest["spec"]["volumeClaimTemplates"]]
    assert claims == ["spool"]
    assert config["spool"] == {"path": f"{mounts['spool']}/relay.db", "size": "256MiB"}
    assert config["intake"] == {"bearer_token": {"file": f"{mounts['token']}/token"}}


def test_the_reloader_by_http_opens_reload() -> None:
    """POST /-/reload is opened only where the reloader needs it."""
    values = {
        "configReloader": {"enabled": True, "method": "http"},
        "config": {"server": {"requests": 8}},
    }
    opened = yaml.safe_load(config_of(manifests(values), "rel-exchange-exporter") or "")
    assert opened["server"] == {"changes": True, "requests": 8}
    plain = config_of(manifests({"configReloader": {"enabled": True}}), "rel-exchange-exporter")
    assert "server" not in (plain or "")
