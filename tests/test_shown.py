"""Every block, path and command that README and docs show is checked, by what it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import cli, venues
from exporter import config as settings
from exporter.__main__ import Parser
from exporter.config import web
from exporter.relay import config as relay_config
from exporter.relay import rendering
from exporter.relay import settings as relay_settings
from tests.conftest import ROOT
from tests.test_readme import FENCED, OTHERS, OURS, PAGES

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TESTS = {
    "any-exchange.md": "tests/test_any_exchange.py",
    "chart": "tests/helm/test_values.py",
    "inhibitions": "tests/helm/test_operator.py",
    "promql": "tests/alert_rules/test_rules.py",
}
# What is made while the docs are followed, and is in no checkout.
MADE = ("dashboards/*.json", "dist/", "build/", "watch/")
FOLDERS = sorted({each.name for each in ROOT.iterdir() if each.is_dir() and each.name[0] != "."})


def ids(page: Path) -> str:
    """Return a page's name within the checkout."""
    return str(page.relative_to(ROOT))


def run(tool: str, *arguments: str, text: str, folder: Path) -> None:
    """Let a tool of Prometheus check a config, the newest that there is; else it is only read."""
    newer = shutil.which(tool, path=Path(sys.prefix) / "newer" / "bin")
    if (program := newer or shutil.which(tool)) is None:
        return
    if newer is None:  # Debian's is built without Kubernetes
        text = re.sub(r"kubernetes_sd_configs: .*", "static_configs: [{targets: [pod:9717]}]", text)
    file = folder / "shown.yml"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [program, *arguments, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check_yaml(page: Path, text: str, folder: Path) -> None:
    """Check a YAML block as the program that reads such a file does."""
    environ = dict.fromkeys(re.findall(r"env: (\w+)", text), "value")
    documents = list(yaml.safe_load_all(text))
    keys: dict[str, Any] = documents[0]

    def exporter(text: str) -> None:
        settings.read(text, page.name, venues.choices(), venues.load, environ)

    match sorted(keys):
        case _ if page.name == "any-exchange.md":
            assert (ROOT / TESTS[page.name]).is_file()
        case _ if "values of the chart" in text or page.parent.name == "exchange-exporter":
            assert "text.split" in (ROOT / TESTS["chart"]).read_text(encoding="utf-8")
        case ["alertmanager"]:
            assert page.name in (ROOT / TESTS["inhibitions"]).read_text(encoding="utf-8")
        case [*names] if "exchanges" in names:
            exporter(text)
        case ["gates"]:
            exporter(text + "exchanges: [{venue: binance, symbols: [BTC-USDT]}]\n")
        case ["receivers"] if "type" not in keys["receivers"][0]:
            route = {"route": {"receiver": keys["receivers"][0]["name"]}}
            run("amtool", "check-config", text=yaml.safe_dump(route | keys), folder=folder)
        case [*names] if "receivers" in names:
            read = relay_config.read
            read(text, page.name, relay_settings.all_notifiers(), rendering.languages(), environ)
        case [*names] if "scrape_configs" in names:
            run("promtool", "check", "config", "--syntax-only", text=text, folder=folder)
        case [*names] if "tls_server_config" in names:
            web.read(text.replace("$2y$10$...", "$2y$10$" + "a" * 53), page.name)
        case [*names] if {"apiVersion", "kind", "metadata", "spec"} <= set(names):
            chart = yaml.safe_load((ROOT / "helm/exchange-exporter/Chart.yaml").read_bytes())
            assert all(each["metadata"]["name"] for each in documents)
            assert chart["name"] in text
            assert f"{chart['version'].partition('.')[0]}." in text
        case names:
            pytest.fail(f"nothing checks a block of {names}")


def check_python(page: Path, text: str, folder: Path) -> None:
    """Check that it compiles, and that what it imports of ours is among the examples."""
    compile(text, page.name, "exec")
    for name in re.findall(r"^from (\w+) import", text, re.MULTILINE):
        assert list((ROOT / "examples").rglob(f"{name}.py"))


def check_plain(page: Path, text: str, folder: Path) -> None:
    """A drawing: a command or a config in it would be checked by nobody."""
    for line in text.splitlines():
        assert line.partition(" ")[0] not in {*OTHERS, *OURS, "make"}, line
        assert not re.fullmatch(r"[a-z_]+:", line), line


def check_shell(page: Path, text: str, folder: Path) -> None:
    """Its commands are read in tests/test_readme.py; here only that one is there."""
    assert text.strip()


def check_promql(page: Path, text: str, folder: Path) -> None:
    """Queries of the runbooks are parsed by promtool in their own test."""
    assert page.parent.name == "runbooks"
    assert "promql" in (ROOT / TESTS["promql"]).read_text(encoding="utf-8")


CHECKS: dict[str, Callable[[Path, str, Path], object]] = {
    "": check_plain,
    "bash": check_shell,
    "console": check_shell,
    "json": lambda page, text, folder: json.loads(text),
    "promql": check_promql,
    "python": check_python,
    "sh": check_shell,
    "toml": lambda page, text, folder: tomllib.loads(text),
    "yaml": check_yaml,
    "yml": check_yaml,
}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_block_is_checked(page: Path, tmp_path: Path) -> None:
    """No config, query or program stands on a page that nothing reads."""
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        CHECKS[kind](page, text, tmp_path)


def quoted(page: Path) -> Iterator[str]:
    """Yield what stands between backticks in a page's sentences and tables."""
    yield from re.findall(r"`([^`\n]+)`", FENCED.sub("", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_named_exists(page: Path) -> None:
    """A path of this project that a sentence names is there."""
    pattern = rf"({'|'.join(FOLDERS)})/[\w./*-]*"
    for path in quoted(page):
        if re.fullmatch(pattern, path) and not path.startswith(MADE) and page.stem != "CHANGELOG":
            assert list(ROOT.glob(path.rstrip("/"))), path


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_named_is_taken(page: Path) -> None:
    """A command or make target within a sentence exists, and so do the flags that it shows."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for text in quoted(page):
        words = text.split()
        if words[0] == "make" and len(words) > 1 and re.fullmatch("[a-z-]+", words[1]):
            assert re.search(f"^{words[1]}:", makefile, re.MULTILINE), text
        elif words[0] in OURS and len(words) > 1 and re.fullmatch("[a-z-]+", words[1]):
            parser = Parser(prog=words[1], allow_abbrev=False)
            cli.load(words[1]).arguments(parser)
            flags = {flag for action in parser._actions for flag in action.option_strings}
            shown = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
            assert shown <= flags, text
