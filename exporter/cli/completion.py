"""Print a script that completes commands and flags in bash, zsh or fish."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

HELP = """\
Prints a script for your shell, made from the commands and flags of this version:

  bash: source <(exchange-exporter completion bash)    in ~/.bashrc
  zsh:  source <(exchange-exporter completion zsh)     in ~/.zshrc, after compinit
  fish: exchange-exporter completion fish > ~/.config/fish/completions/exchange-exporter.fish

exit status: 0 printed, 2 unknown shell
"""
PROGRAM = "exchange-exporter"


@dataclass(frozen=True, slots=True)
class Flag:
    """One long flag: whether it takes a value, which ones, and what it is for."""

    name: str
    valued: bool
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Completed:
    """One command: its summary, its flags, and the words that may stand alone."""

    name: str
    summary: str
    flags: tuple[Flag, ...]
    words: tuple[str, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument("shell", choices=tuple(SHELLS), help="the shell to complete in")


def run(args: argparse.Namespace) -> int:
    """Print the script; return the exit status."""
    print(SHELLS[args.shell](described()), end="")
    return 0


def described() -> list[Completed]:
    """Return every command with what can be completed after it."""
    from exporter import cli

    found = []
    for name in cli.names():
        parser = argparse.ArgumentParser(prog=name)
        cli.load(name).arguments(parser)
        flags, words = _of(parser)
        found.append(Completed(name, cli.summary(name), tuple(flags), tuple(words)))
    return found


def _of(parser: argparse.ArgumentParser) -> tuple[list[Flag], list[str]]:
    """Return the flags and words of a parser and of those below it, each once."""
    flags: dict[str, Flag] = {}
    words: dict[str, None] = {}
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        choices = [str(each) for each in action.choices or ()]
        what = " ".join((action.help or "").replace("%(default)s", str(action.default)).split())
        for name in names:
            flags[name] = Flag(name, action.nargs != 0, tuple(choices), what)
        if not action.option_strings:
            words.update(dict.fromkeys(choices))
        if isinstance(action.choices, dict):
            for inner in action.choices.values():
                more, below = _of(inner)
                flags.update({flag.name: flag for flag in more})
                words.update(dict.fromkeys(below))
    return list(flags.values()), list(words)


# --- bash ---------------------------------------------------------------------------------------


def bash(commands: list[Completed]) -> str:
    """Return the script for bash. A word ends at ``=``, so a value is a word of its own there."""
    cases, values = [], []
    for each in commands:
        flags = [f"{flag.name}=" if flag.valued else flag.name for flag in each.flags]
        cases.append(f"    {each.name}) words={_quoted(' '.join((*flags, *each.words)))} ;;")
        values += [
            f"    {each.name}:{flag.name}) words={_quoted(' '.join(flag.choices))} ;;"
            for flag in each.flags
            if flag.choices
        ]
    names = " ".join(each.name for each in commands)
    return f"""\
# Completion of {PROGRAM} for bash; printed by `{PROGRAM} completion bash`.
_exchange_exporter() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} words= flag=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {_quoted(f"{names} --help --version")} -- "$cur"))
    return
  fi
  if [ "$cur" = "=" ]; then
    flag=${{COMP_WORDS[COMP_CWORD - 1]}} cur=
  elif [ "${{COMP_WORDS[COMP_CWORD - 1]}}" = "=" ]; then
    flag=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  if [ -n "$flag" ]; then
    case ${{COMP_WORDS[1]}}:$flag in
{chr(10).join(values)}
    esac
    if [ -n "$words" ]; then
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
    else
      COMPREPLY=($(compgen -f -- "$cur"))
    fi
    return
  fi
  case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  case ${{COMPREPLY[0]-}} in
    *=) [ "${{#COMPREPLY[@]}}" -eq 1 ] && compopt -o nospace 2>/dev/null ;;
  esac
}}
complete -o default -F _exchange_exporter {PROGRAM}
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- zsh ----------------------------------------------------------------------------------------


def zsh(commands: list[Completed]) -> str:
    """Return the script for zsh."""
    listed = [_quoted(f"{each.name}:{each.summary}") for each in commands]
    cases = []
    for each in commands:
        specs = [_zsh_flag(flag) for flag in each.flags]
        rest = f"'*:word:({' '.join(each.words)})'" if each.words else "'*:file:_files'"
        lines = [f"    {each.name})", "      _arguments \\", *(f"        {s} \\" for s in specs)]
        cases.append("\n".join([*lines, f"        {rest} ;;"]))
    return f"""\
#compdef {PROGRAM}
# Completion of {PROGRAM} for zsh; printed by `{PROGRAM} completion zsh`.
_exchange_exporter() {{
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(
      {(chr(10) + "      ").join(listed)}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{chr(10).join(cases)}
  esac
}}
if [ "$funcstack[1]" = "_exchange-exporter" ]; then
  _exchange_exporter "$@"
else
  compdef _exchange_exporter {PROGRAM}
fi
"""


def _zsh_flag(flag: Flag) -> str:
    shown = flag.help.translate({ord(char): None for char in "[]:'\\"})
    if not flag.valued:
        return f"'{flag.name}[{shown}]'"
    values = f"({' '.join(flag.choices)})" if flag.choices else "_files"
    return f"'{flag.name}=[{shown}]:value:{values}'"


# --- fish ---------------------------------------------------------------------------------------


def fish(commands: list[Completed]) -> str:
    """Return the script for fish."""
    lines = [
        f"# Completion of {PROGRAM} for fish; printed by `{PROGRAM} completion fish`.",
        f"complete -c {PROGRAM} -n __fish_use_subcommand -f -l version -d 'show the version'",
        f"complete -c {PROGRAM} -n __fish_use_subcommand -f -l help -d 'show the commands'",
    ]
    for each in commands:
        lines.append(
            f"complete -c {PROGRAM} -n __fish_use_subcommand -f -a {each.name} "
            f"-d {_fish(each.summary)}"
        )
        here = f"complete -c {PROGRAM} -n '__fish_seen_subcommand_from {each.name}'"
        for flag in each.flags:
            more = " -r" if flag.valued else ""
            more += f" -f -a {_fish(' '.join(flag.choices))}" if flag.choices else ""
            lines.append(f"{here} -l {flag.name[2:]}{more} -d {_fish(flag.help)}")
        if each.words:
            lines.append(f"{here} -f -a {_fish(' '.join(each.words))}")
    return "\n".join(lines) + "\n"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[list[Completed]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
