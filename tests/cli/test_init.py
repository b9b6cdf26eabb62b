"""`exchange-exporter init`: what it writes is taken by the programs that it is for."""

from __future__ import annotations

import io
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.__main__ import main
from exporter.relay import settings as relay_settings
from tests.conftest import ROOT
from tests.live import programs
from tests.relay import fakes

HOOK = "https://discord.com/api/webhooks/1/token-of-the-hook"
WHAT = ("--exchanges=binance,kraken", "--symbols=BTC-USDT,ETH-USDT", "--site=tokyo-1")


def written(folder: Path, *more: str) -> dict[str, str]:
    """Run the command, which succeeds; return every text that it wrote, by path."""
    assert main(["init", f"--out={folder}", *WHAT, *more]) == 0
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_what_it_writes_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check`, the relay and promtool take every file; the secret is in a file of its own."""
    texts = written(tmp_path, f"--discord={HOOK}", "--language=th")
    printed = capsys.readouterr().out
    assert main(["check", str(tmp_path / "exchanges.yml")]) == 0
    config = relay_settings.load(tmp_path / "relay.yml")
    [receiver] = config.receivers
    assert (receiver.type, receiver.language) == ("discord", "th")
    assert relay_settings.plain(receiver.url) == HOOK
    holding = [name for name, text in texts.items() if "token-of-the-hook" in text]
    assert holding == ["discord.url"]
    assert stat.S_IMODE((tmp_path / "discord.url").stat().st_mode) == 0o600
    assert "token-of-the-hook" not in printed
    promtool = programs.program("promtool")
    command = (promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    jobs = yaml.safe_load(texts["prometheus.yml"])["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["exchange-exporter", "alert-relay"]
    assert jobs[0]["static_configs"][0]["labels"] == {"site": "tokyo-1"}
    # Every command that it names is one of ours or of Prometheus, and names a file that is there.
    for line in printed.partition("Next")[2].splitlines()[1:]:
        [file] = [word for word in line.split() if word.startswith("--config.file=")]
        assert Path(file.removeprefix("--config.file=")).is_file()


def test_nobody_to_page_leaves_out_the_relay(tmp_path: Path) -> None:
    """Without a service there is no relay, and nothing is pushed to an Alertmanager."""
    texts = written(tmp_path)
    assert "relay.yml" not in texts
    assert "alertmanagers" not in yaml.safe_load(texts["exchanges.yml"])
    assert "alerting" not in yaml.safe_load(texts["prometheus.yml"])


def test_docker(tmp_path: Path) -> None:
    """Every file that a service mounts is there; the relay finds its secret in the environment."""
    texts = written(tmp_path, "--for=docker", "--telegram=123:abc", "--to=-1001")
    services = yaml.safe_load(texts["compose.yaml"])["services"]
    assert set(services) == {"prometheus", "exporter", "relay", "alertmanager"}
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (tmp_path / source).exists(), volume
    assert texts["relay.env"] == "TELEGRAM_TOKEN=123:abc\n"
    config = relay_settings.load(tmp_path / "relay.yml", {"TELEGRAM_TOKEN": "123:abc"})
    assert config.receivers[0].to == ("-1001",)
    assert config.spool.path.startswith("/var/lib/exchange-exporter/")


def test_systemd(tmp_path: Path) -> None:
    """The script is shell, and brings each unit the files that the unit names."""
    texts = written(tmp_path, "--for=systemd", f"--slack={HOOK}")
    script = texts["install.sh"]
    subprocess.run(["sh", "-n", str(tmp_path / "install.sh")], check=True)
    for unit, file in (
        ("exchange-exporter", "config.yml"),
        ("exchange-exporter-relay", "relay.yml"),
    ):
        text = (ROOT / "systemd" / f"{unit}.service").read_text()
        assert f"/etc/exchange-exporter/{file}" in text
        assert f"/etc/exchange-exporter/{file}" in script
        assert f"{unit}.service" in script
    assert "EnvironmentFile=-/etc/default/exchange-exporter-relay" in text
    assert "relay.env /etc/default/exchange-exporter-relay" in script
    config = relay_settings.load(tmp_path / "relay.yml", {"SLACK_URL": HOOK})
    assert config.spool.path.startswith("/var/lib/exchange-exporter-relay/")


def merged(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a chart's values as Helm merges them."""
    tables = {
        key: merged(defaults[key], value)
        for key, value in values.items()
        if isinstance(value, dict) and isinstance(defaults.get(key), dict)
    }
    return {**defaults, **values, **tables}


def test_helm(tmp_path: Path) -> None:
    """The values fit the chart's schema, and hold the same configs."""
    from jsonschema import Draft7Validator

    texts = written(tmp_path, "--for=helm", f"--discord={HOOK}")
    values: dict[str, Any] = yaml.safe_load(texts["values.yaml"])
    chart = ROOT / "helm/exchange-exporter"
    schema = json.loads((chart / "values.schema.json").read_text())
    whole = merged(yaml.safe_load((chart / "values.yaml").read_text()), values)
    assert [error.message for error in Draft7Validator(schema).iter_errors(whole)] == []
    assert [each["venue"] for each in values["config"]["exchanges"]] == ["binance", "kraken"]
    assert values["relay"]["config"]["receivers"][0]["url"] == {"env": "DISCORD_URL"}
    assert set(texts) == {"values.yaml", "relay.env"}


def test_it_asks_where_flags_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answers become the configs; the words of a list may have spaces."""
    answers = "okx, bybit\nBTC-USDT\ndiscord\n" + HOOK + "\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert main(["init", f"--out={tmp_path}"]) == 0
    config = yaml.safe_load((tmp_path / "exchanges.yml").read_text())
    assert [each["venue"] for each in config["exchanges"]] == ["okx", "bybit"]
    assert (tmp_path / "discord.url").read_text().strip() == HOOK
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["init", f"--out={tmp_path}"]) == 2
    assert "--exchanges is required" in capsys.readouterr().err


def test_an_answer_that_cannot_be_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said at once, not after the last question; patterns are markets, too."""
    answers = "webex\nokx\nbtcusdt\n*-USDT\ndisord\nnothing\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert main(["init", f"--out={tmp_path / 'o'}"]) == 0
    said = capsys.readouterr().out
    assert 'unknown exchange "webex"' in said
    assert (
        'found "btcusdt", expected an instrument such as BTC-USDT; did you mean BTC-USDT?' in said
    )
    assert 'unknown service "disord"; did you mean "discord"?' in said
    text = (tmp_path / "o" / "exchanges.yml").read_text()
    assert "venue: okx" in text
    assert "*-USDT" in text


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--exchanges=binanse"], 2, 'did you mean "binance"?'),
        (["--exchanges=binance", "--symbols=BTCUSDT"], 1, 'did you mean "BTC-USDT"'),
        (["--exchanges=binance", "--discord=discord.com/x"], 2, "expected a URL"),
        (["--exchanges=binance", "--discord=http: //x"], 2, "--discord: expected a url without"),
        (["--exchanges=binance", "--line=token"], 2, "--line requires --to=RECIPIENT"),
        (["--exchanges=binance", "--line=token", "--to=me"], 2, "found no recipient of line"),
        (["--exchanges=binance", "--discord=env:NOT_SET"], 2, "NOT_SET is not set"),
        (["--exchanges=binance", f"--discord={HOOK}", f"--slack={HOOK}"], 2, "one service at a"),
        (["--exchanges=binance", "--to=x"], 2, "--to requires a service"),
    ],
    ids=lambda each: str(each)[-40:],
)
def test_what_it_cannot_write_is_said(
    words: list[str], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the flag; nothing is written, and no secret is repeated."""
    folder = tmp_path / "new"
    assert main(["init", f"--out={folder}", *words]) == status
    complaint = capsys.readouterr().err
    assert said in complaint
    assert "token-of-the-hook" not in complaint
    assert not folder.exists()


def test_it_replaces_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays, unless --force says else."""
    written(tmp_path)
    assert main(["init", f"--out={tmp_path}", "--exchanges=okx"]) == 2
    assert "exchanges.yml, prometheus.yml exists" in capsys.readouterr().err
    assert "kraken" in (tmp_path / "exchanges.yml").read_text()
    assert main(["init", f"--out={tmp_path}", "--exchanges=okx", "--force"]) == 0
    assert "kraken" not in (tmp_path / "exchanges.yml").read_text()


def test_online_sends_a_test_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an exchange that cannot be reached, and a service that can, make of `--online`."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with fakes.serving() as services:
        hook = f"{services.url}/discord/api/webhooks/1/token-of-the-hook"
        words = ("--exchanges=binance", f"--discord={hook}", "--online", "--for=docker")
        assert main(["init", f"--out={tmp_path}", *words]) == 3
        assert len(services.of("discord")) == 1
    assert "could not be checked: binance" in capsys.readouterr().err
