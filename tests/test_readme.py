"""README and docs say what the code does: tables, links, commands and configs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exporter import cli, venues
from exporter import config as settings
from exporter.__main__ import Parser, main
from exporter.relay import config as relay_config
from exporter.relay import rendering
from exporter.relay import settings as relay_settings
from tests.conftest import ROOT

README = ROOT / "README.md"
PAGES = sorted((
    README,
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "helm/exchange-exporter/README.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "alert_rules" / "runbooks").glob("*.md"),
))  # fmt: skip
# Programs of others that a page may start; what they take is theirs to say.
OTHERS = frozenset({
    *("alertmanager", "apt-get", "cat", "cd", "curl", "docker", "echo", "export", "git", "helm"),
    *("kubectl", "kill", "pip", "pipx", "prometheus", "promtool", "python3", "sh", "sudo"),
    *("systemctl", "until", "venv/bin/pip"),
})  # fmt: skip
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OURS = ("exchange-exporter", ".venv/bin/exchange-exporter")


def fences(page: Path, *kinds: str) -> Iterator[str]:
    """Yield the text of each fenced block of these kinds."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if found[1] in kinds:
            yield found[2]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield each command of a page's shell blocks as words, without here-documents."""
    for block in fences(page, "sh", "bash", "console"):
        joined = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block, flags=re.DOTALL | re.MULTILINE)
        for line in re.sub(r"(^|\s)#.*", "", joined.replace("\\\n", " ")).splitlines():
            for part in re.split(r"&&|\|\|?|;", line) if "'" not in line else (line,):
                words = shlex.split(part)
                while words and re.fullmatch(r"[A-Z_]+=\S*|sudo|\$", words[0]):
                    words = words[1:]
                if words:
                    yield words


def test_tables_are_those_of_the_code() -> None:
    """The tables of commands, venues and metrics are as the code has them (`make generate`)."""
    script = [sys.executable, str(ROOT / "scripts" / "readme"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"docs are stale: make generate\n{checked.stderr}"


@pytest.mark.parametrize("name", ["README.md", "docs/questions.md", "docs/benchmarks.md"])
def test_figures_are_those_that_were_measured(name: str) -> None:
    """What something costs is taken from benchmarks/RESULTS.md; no other figure stands beside."""
    text = (ROOT / name).read_text(encoding="utf-8")
    marked = r"<!-- (\w+)(?: \w+)? -->.*?<!-- /\1 -->"
    rest = re.sub(marked, "", text, flags=re.DOTALL)
    assert re.findall(r"[\d.,]+ (?:µs|MB|MiB|times as)\b", rest) == []
    assert re.search(marked, text, re.DOTALL)


def test_results_say_where_and_when() -> None:
    """Each figure names its script, its machine, which is described, its commit and a date."""
    text = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
    machines = set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", text, re.MULTILINE))
    rows = re.findall(
        r"^\| `\w+` \|.* \| (\S+) \| `(\w+)` \| (\w+) \| (\S+) \|$", text, re.MULTILINE
    )
    assert len(rows) > 10
    for script, machine, commit, date in rows:
        assert script == "-" or (ROOT / "benchmarks" / script.strip("`")).is_file()
        assert machine in machines
        assert re.fullmatch("[0-9a-f]{7,}", commit)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", date)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file that a page links to exists, and has the heading that the link names."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_shown_are_taken(page: Path) -> None:
    """Each command of ours parses with its flags, each target of make is one; others are known."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands(page):
        if words[0] in OURS:
            if words[1] in ("--version", "--help"):
                continue
            command = cli.load(words[1])
            parser = Parser(prog=words[1], allow_abbrev=False)
            command.arguments(parser)
            end = next((n for n, word in enumerate(words) if word in (">", "&")), None)
            parser.parse_args(words[2:end])
        elif words[0] == "make":
            assert re.search(f"^{words[1]}:", makefile, re.MULTILINE), words
        else:
            assert words[0] in OTHERS or (ROOT / words[0]).is_file(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_configs_shown_are_valid(page: Path) -> None:
    """A YAML block that is a whole config of the exporter or the relay is taken by it."""
    environ = dict.fromkeys(re.findall(r"env: (\w+)", page.read_text("utf-8")), "value")
    for block in fences(page, "yaml", "yml"):
        keys = next(yaml.safe_load_all(block))
        if not isinstance(keys, dict) or "values of the chart" in block or "venue_files" in keys:
            continue  # tests/helm and tests/test_any_exchange.py read these
        if "exchanges" in keys:
            settings.read(block, page.name, venues.choices(), venues.load, environ)
        elif "receivers" in keys and "type" in keys["receivers"][0]:
            notifiers = relay_settings.all_notifiers()
            relay_config.read(block, page.name, notifiers, rendering.languages(), environ)


def test_the_readmes_own_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no network and end by themselves are run, in the order of the text."""
    monkeypatch.chdir(tmp_path)
    ran = []
    for words in commands(README):
        ends = words[0] == OURS[0] and words[1] in ("init", "check", "rules", "dashboards")
        if ends and "--online" not in words:
            assert main(words[1:]) == 0, words
            ran.append(words[1])
    assert ran == ["init", "check", "rules", "dashboards"]
    assert (tmp_path / "watch" / "prometheus.yml").is_file()


@pytest.mark.parametrize("name", cli.names())
def test_every_command_says_its_exit_statuses(name: str) -> None:
    """The help of a command ends with what each status means, from which the table is made."""
    assert re.search(r"exit status: 0 ", cli.load(name).HELP)
