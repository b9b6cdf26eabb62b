"""`exchange-exporter completion`: shells take the scripts, and bash completes by them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from exporter import cli
from exporter.cli import completion


@pytest.fixture(scope="module")
def described() -> list[completion.Completed]:
    """Return every command with what can be completed after it."""
    return completion.described()


def completed(script: str, *words: str) -> set[str]:
    """Return what bash offers for the last of these words, split as bash splits them."""
    line = " ".join(f"'{word}'" for word in ("exchange-exporter", *words))
    script = (
        f"{script}\n"
        f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        'compopt() { :; }; _exchange_exporter; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_commands_flags_and_values(described: list[completion.Completed]) -> None:
    """A command, a flag with and without a value, what a flag may be, words of sub-commands."""
    me = completion.bash(described)
    assert completed(me, "") == {*cli.names(), "--help", "--version"}
    assert completed(me, "re") == {"rehearse", "relay", "replay", "report"}
    assert {"--online", "--format="} <= completed(me, "check", "--")
    assert completed(me, "run", "--log.level", "=", "de") == {"debug"}
    assert completed(me, "run", "--log.level", "=") == {"debug", "info", "warning", "error"}
    assert {"outbox", "retry", "audit"} <= completed(me, "relay", "")
    assert completed(me, "schema", "r") == {"relay"}


@pytest.mark.parametrize("shell", sorted(completion.SHELLS))
def test_the_shell_takes_its_script(shell: str, described: list[completion.Completed]) -> None:
    """Its syntax is right, and it names every command with its summary."""
    script = completion.SHELLS[shell](described)
    assert all(name in script for name in cli.names())
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, "--no-execute" if shell == "fish" else "-n"]
    done = subprocess.run(
        command, input=script, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
