"""Write the first configs: exporter, relay, Prometheus; for a host, Docker, systemd or Helm."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from exporter import cli
from exporter.cli import _begin as begin
from exporter.cli import _flags as flags
from exporter.cli import _receiver, _shipped
from exporter.cli._begin import Wish
from exporter.cli._receiver import Chosen, ReceiverError
from exporter.words import quoted, why

HELP = """\
Writes to a directory: exchanges.yml for `run`, relay.yml for `relay`, prometheus.yml and the rules
for Prometheus and Alertmanager; with --for also what Docker, systemd or Helm need. Without
--exchanges it asks questions.

  init --out=watch --exchanges=binance,okx --symbols=BTC-USDT,ETH-USDT
  init --out=watch --exchanges=binance --discord=https://discord.com/api/webhooks/ID/TOKEN --online

Secrets are not written to a config, but to a separate file that only you can read.

exit status: 0 written and, with --online, everything is as documented and the test message was
delivered; 1 mistakes, or the message was not delivered; 2 wrong flags, or the directory cannot be
written; 3 written, but an exchange did not answer, or a fact was different
"""
USAGE, MISTAKES = 2, 1
TARGETS = ("plain", "docker", "systemd", "helm")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("watch"), metavar="DIR",
        help="directory to write to; created if missing (default: %(default)s)")  # fmt: skip
    add("--exchanges", type=flags.names, metavar="A,B", help="venues to watch; `venues` lists them")
    add("--symbols", type=flags.names, default=["BTC-USDT"], metavar="A,B",
        help="instruments to watch at each of them (default: BTC-USDT)")  # fmt: skip
    add("--site", metavar="NAME", help="name of the place where the exporter runs, such as tokyo-1")
    add("--for", dest="target", choices=TARGETS, default="plain",
        help="also write the files to run it there (default: %(default)s)")  # fmt: skip
    add("--online", action="store_true",
        help="check the configs: test the exchanges, and send one test message")  # fmt: skip
    add("--force", action="store_true", help="replace files that exist")
    _receiver.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write; return the exit status."""
    try:
        chosen = _receiver.chosen(args)
        if args.exchanges is None:
            chosen = _ask(args) or chosen
        wish = _wish(args, chosen)
        if mistakes := _mistakes(wish):
            print("\n".join(mistakes), file=sys.stderr)
            return MISTAKES
        _write(args.out, wish, force=args.force)
    except (ReceiverError, OSError) as error:
        print(f"exchange-exporter init: {why(error)}", file=sys.stderr)
        return USAGE
    if wish.target != "helm" and (status := _shipped.write("alert_rules", args.out / begin.RULES, {
        "alertmanager.yml": "alertmanager/alertmanager.yml"})):  # fmt: skip
        return status
    status = _check_online(args.out, wish) if args.online else 0
    print("\n".join(_next(args.out, wish)))
    return status


# --- what is wished -----------------------------------------------------------------------------


def _ask(args: argparse.Namespace) -> Chosen | None:
    """Ask what the flags leave open. Raises ReceiverError where nobody answers."""
    from exporter import venues

    try:
        print(f"Exchanges: {', '.join(venues.choices())}")
        args.exchanges = _answer("which of them, separated by commas", "binance", _exchanges)
        args.symbols = _answer("symbols, separated by commas", ",".join(args.symbols), _symbols)
        known = _receiver.kinds()
        print(f"Where to page: {', '.join(known)}, or nothing for now")
        name = _answer("which", "nothing", partial(_receiver_kind, known))
        if name is None:
            return None
        secret = getpass.getpass if sys.stdin.isatty() else input
        value = secret(f"its {known[name]} (not shown): ").strip()
        needs = name in ("line", "telegram")
        to = flags.names(input("recipients, separated by commas: ")) if needs else []
        return _receiver.receiver(name, value, tuple(to))
    except EOFError as error:
        raise ReceiverError("--exchanges is required without a terminal") from error
    except argparse.ArgumentTypeError as error:
        raise ReceiverError(str(error)) from error


T = TypeVar("T")


def _answer(question: str, default: str, read: Callable[[str], T]) -> T:
    """Ask until the answer can be read; what is wrong with one is said at once."""
    while True:
        try:
            return read(input(f"  {question} [{default}]: ").strip() or default)
        except argparse.ArgumentTypeError as error:
            print(f"  {error}")


def _exchanges(text: str) -> list[str]:
    """Return the names of exchanges. Raises ArgumentTypeError for one that there is not."""
    names = flags.names(text)
    _require_known(names)
    return names


def _require_known(names: Sequence[str]) -> None:
    """Raise ArgumentTypeError for an exchange that there is not."""
    from exporter import venues
    from exporter.config.kinds import did_you_mean

    known = venues.choices()
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise argparse.ArgumentTypeError(
                f"unknown exchange {quoted(name[:40])}{near}; `venues` lists all, and "
                "docs/any-exchange.md shows how to watch one that is not listed"
            )


def _symbols(text: str) -> list[str]:
    """Return names of instruments and patterns. Raises ArgumentTypeError for what is neither."""
    from exporter.instrument import meant, parse

    names = flags.names(text)
    for name in names:
        if parse(name) is None and not {"*", "?"} & {*name}:
            near = f"; did you mean {meant(name)}?" if meant(name) else ""
            raise argparse.ArgumentTypeError(
                f"found {quoted(name[:40])}, expected an instrument such as BTC-USDT{near}"
            )
    return names


def _receiver_kind(known: Collection[str], word: str) -> str | None:
    from exporter.config.kinds import did_you_mean

    if word in known:
        return word
    if word != "nothing":
        near = did_you_mean(word, known)
        raise argparse.ArgumentTypeError(f"unknown service {quoted(word[:40])}{near}")
    return None


def _wish(args: argparse.Namespace, chosen: Chosen | None) -> Wish:
    """Return what is to be written. Raises ReceiverError for a venue that there is not."""
    try:
        _require_known(args.exchanges)
    except argparse.ArgumentTypeError as error:
        raise ReceiverError(str(error)) from error
    if chosen is not None and args.target != "plain":
        chosen = chosen.by_environment()
    return Wish(
        symbols=dict.fromkeys(args.exchanges, tuple(args.symbols)),
        chosen=chosen,
        language=args.language,
        site=args.site,
        target=args.target,
    )


def _mistakes(wish: Wish) -> tuple[str, ...]:
    """Return what `check` would complain of in the exporter's config."""
    from exporter import config as settings
    from exporter import venues

    try:
        settings.read(begin.exporter(wish), "exchanges.yml", venues.choices(), venues.load)
    except settings.ConfigError as error:
        return error.complaints
    return ()


# --- what is written ----------------------------------------------------------------------------


def _write(out: Path, wish: Wish, *, force: bool) -> None:
    """Write all files. Raises OSError, and ReceiverError if one is there already."""
    texts = begin.files(wish)
    if there := [name for name in texts if (out / name).exists() and not force]:
        raise ReceiverError(f"{out}: {', '.join(there)} exists; --force replaces it")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    if wish.chosen is not None:
        wish.chosen.keep(out)
    print(f"{len(texts)} files written to {out}: {', '.join(texts)}")


def _next(out: Path, wish: Wish) -> list[str]:
    """Return the lines that say what to do now."""
    told = wish.chosen is not None
    if wish.target == "docker":
        return ["Next:", "  docker build --tag exchange-exporter CLONE",
                f"  docker compose --project-directory {out} up --detach"]  # fmt: skip
    if wish.target == "systemd":
        return ["Next, as root:", f"  cd {out} && sh install.sh CLONE"]
    if wish.target == "helm":
        secret = [
            "  kubectl create namespace exchanges",
            "  kubectl --namespace exchanges create secret generic relay "
            f'--from-env-file={out / "relay.env"} --from-literal=token="$(openssl rand -hex 24)"',
        ]
        release = (
            "  helm upgrade --install exchanges CLONE/helm/exchange-exporter "
            f"--namespace exchanges --create-namespace --values {out / 'values.yaml'}"
        )
        return ["Next:", *(secret if told else ()), release]
    relay = [
        f"  exchange-exporter relay --config.file={out / 'relay.yml'}",
        f"  alertmanager --config.file={out / begin.RULES / 'alertmanager/alertmanager.yml'}",
    ]
    return [
        "Next, each in a terminal of its own:",
        f"  exchange-exporter run --config.file={out / 'exchanges.yml'}    # http://localhost:9717",
        f"  prometheus --config.file={out / 'prometheus.yml'} {begin.KEPT}",
        *(relay if told else ()),
    ]


def _check_online(out: Path, wish: Wish) -> int:
    """Check what was written as `check --online` and `relay test` do; return the worst status."""
    chosen, statuses = wish.chosen, list[int]()

    def command(words: Sequence[str]) -> None:
        print(f"\n$ exchange-exporter {' '.join(words)}", flush=True)
        found, parser = cli.load(words[0]), argparse.ArgumentParser()
        found.arguments(parser)
        statuses.append(found.run(parser.parse_args(words[1:])))

    with tempfile.TemporaryDirectory() as kept:
        folder = out
        if wish.target == "helm":  # the same configs, which stand inside the values there
            folder = Path(kept)
            (folder / "exchanges.yml").write_text(begin.exporter(wish), encoding="utf-8")
            if chosen is not None:
                (folder / "relay.yml").write_text(begin.relay(wish), encoding="utf-8")
        command(["check", "--online", str(folder / "exchanges.yml")])
        if chosen is not None:
            if chosen.variable is not None:
                os.environ[chosen.variable] = chosen.secret
            command(["relay", f"--config.file={folder / 'relay.yml'}", "test", "oncall"])
    return next((status for status in (1, 2, 3) if status in statuses), 0)
