"""The command line as people and scripts meet it, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__, cli
from exporter.cli import _build as build

ROOT = Path(__file__).parent.parent
MINIMAL = str(ROOT / "examples" / "minimal.yml")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


def test_help_lists_every_command_and_teaches() -> None:
    """Each command with its own first line, examples, and how to learn more."""
    done = _run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name in cli.names():
        assert f"  {name} " in done.stdout
        assert cli.summary(name) in done.stdout
    assert "exchange-exporter run --config.file=exchanges.yml" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    """A list of commands must not cost what the commands cost."""
    script = (
        "import sys; from exporter.__main__ import main; main(['--help'])\n"
        "heavy = {'numpy', 'scipy', 'aiohttp', 'asyncio', 'yaml', 'websockets', 'msgspec'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_version() -> None:
    """First name, version, interpreter; then what it was built from and runs on."""
    done = _run("--version")
    assert done.returncode == 0
    head, *facts = done.stdout.splitlines()
    assert head.startswith(f"exchange-exporter {__version__} (Python 3.")
    names = [fact.split(":")[0].strip() for fact in facts]
    assert names == ["revision", "installed", "platform", "event loop", "TLS", "packages"]


def test_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit of the checkout as git says it, or what the image was built with."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.revision() == asked.stdout.strip()
    monkeypatch.setenv("EXCHANGE_EXPORTER_REVISION", "f" * 40)
    assert build.revision() == "f" * 40


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["chekc"], "exchange-exporter: unknown command 'chekc'; did you mean check? (try --help)"),
        (
            ["--verison"],
            "exchange-exporter: unknown flag '--verison'; did you mean --version? (try --help)",
        ),
        (
            ["--config.file=a.yml"],
            "exchange-exporter: unknown flag '--config.file=a.yml'; a command comes first "
            "(try --help)",
        ),
        (
            ["check", "--hepl"],
            "exchange-exporter check: unknown flag '--hepl'; did you mean --help? (try --help)",
        ),
        (
            ["check"],
            "exchange-exporter check: the following arguments are required: FILE (try --help)",
        ),
        (
            ["check", "a", "b"],
            "exchange-exporter check: unrecognized arguments: b (try --help)",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_mistakes_are_one_line(words: list[str], line: str) -> None:
    """Status 2, the nearest right word, no traceback and no wall of text."""
    done = _run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line + "\n")


def test_no_command_is_a_usage_mistake_that_teaches() -> None:
    """The overview goes to standard error, so that a script's pipe stays empty."""
    done = _run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: exchange-exporter COMMAND")


def test_every_command_keeps_the_contract() -> None:
    """Each file offers HELP, arguments and run, and explains itself without an error."""
    for name in cli.names():
        command = cli.load(name)
        assert command.HELP
        assert cli.summary(name)
        assert callable(command.run)
        done = _run(name, "--help")
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout.startswith(f"usage: exchange-exporter {name} ")


def test_a_closed_pipe_ends_quietly() -> None:
    """Piping into `head` leaves no traceback, whether the reader left early or late."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "check", MINIMAL],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupt_ends_quietly(tmp_path: Path) -> None:
    """Ctrl-C gives the shell's own status for it, and no traceback."""
    fifo = tmp_path / "config.yml"  # reading it waits for a writer, so the moment is known
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "check", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        writer = fifo.open("wb")  # returns when the program has opened the other end
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        writer.close()
    assert (process.returncode, out, err) == (130, b"", b"")
