"""Deliver alerts from Alertmanager to people: LINE, Discord, SMS, webhooks and more.

`relay outbox` and `relay audit` read the spool of a relay that runs, or of one that does not.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from exporter.cli._flags import file_name
from exporter.words import why

if TYPE_CHECKING:
    import sqlite3

    from exporter.notification import Outcome
    from exporter.relay.app import Relay
    from exporter.relay.config import RelayConfig
    from exporter.relay.outbox import OutboxRow

HELP = """\
Receives alerts from Alertmanager (POST /api/v1/alertmanager), Grafana (POST /api/v1/grafana) or by
hand (POST /api/v1/alert), stores them on disk and sends them to the configured receivers: one
message per incident, each confirmed by the service.
  /            recent incidents     /metrics    for Prometheus
  /-/healthy   process is alive     /-/ready    posts are accepted

SIGHUP reloads the config, and so does POST /-/reload if the config has `server: {changes: true}`.
Receivers whose settings did not change keep working; a config with mistakes is rejected, and the
old one stays active.

  relay --check relay.yml                                check the config
  relay --config.file=relay.yml                          run
  relay --config.file=relay.yml test oncall              send one test message; print the response
  relay --config.file=relay.yml outbox list --state=dead
  relay --config.file=relay.yml outbox retry 17          or show, drop; `all` for all dead ones
  relay --config.file=relay.yml triage --from FILE       ask the model of a stored incident or post
  relay --config.file=relay.yml audit                    what was sent to whom and when, JSON lines

exit status: 0 done, 1 the config has mistakes or a delivery failed, 2 it cannot be read or used
"""
FAILED, UNUSABLE = 1, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add(
        "--config.file",
        dest="config",
        type=file_name,
        metavar="FILE",
        help="config file of the relay, YAML",
    )
    add("--check", type=file_name, metavar="FILE", help="check a config file, and do nothing else")
    add(
        "--web.listen-address",
        dest="listen",
        metavar="HOST:PORT",
        default="127.0.0.1:9719",
        help="address to listen on; port 0 picks a free port (default %(default)s); other "
        "addresses than loopback require a login in the config",
    )
    add(
        "--web.config.file",
        dest="web",
        metavar="FILE",
        help="web config file with TLS, logins and headers, in the format of the Prometheus "
        "exporter toolkit; reloaded when it changes",
    )
    add(
        "--storage.path",
        dest="storage",
        metavar="DIR",
        help="base directory of a relative spool.path (default: the config's directory)",
    )
    add("--log.level", dest="log_level", choices=("debug", "info", "warning", "error"))
    add("--log.format", dest="log_format", choices=("logfmt", "json"))
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    test = actions.add_parser("test", help="send one marked test message")
    test.add_argument("receiver", metavar="RECEIVER")
    box = actions.add_parser("outbox", help="list, show, retry or drop deliveries")
    acts = box.add_subparsers(dest="act", metavar="ACT", required=True)
    listed = acts.add_parser("list", help="newest first")
    listed.add_argument(
        "--state",
        action="append",
        choices=("waiting", "sending", "delivered", "dead", "dropped"),
        help="only this state (repeatable; default: all but delivered)",
    )
    listed.add_argument("--receiver", metavar="NAME")
    listed.add_argument("--limit", type=int, default=100, metavar="N")
    for name, what in (
        ("show", "all details of one delivery"),
        ("retry", "try dead deliveries again"),
        ("drop", "drop deliveries"),
    ):
        act = acts.add_parser(name, help=what)
        act.add_argument("id", metavar="ID" if name == "show" else "ID|all")
    audit = actions.add_parser(
        "audit", help="print the audit log: what was sent to whom, when, with which id"
    )
    audit.add_argument("--limit", type=int, default=1000, metavar="N")
    triage = actions.add_parser(
        "triage", help="print what the model is asked about an incident, and its answer"
    )
    triage.add_argument(
        "--from",
        dest="source",
        type=Path,
        required=True,
        metavar="FILE",
        help="a relay's spool, or the JSON of a post of Alertmanager or Grafana",
    )
    triage.add_argument("--incident", metavar="ID", help="of a spool (default: its newest)")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; return the exit status."""
    from exporter.config import ConfigError
    from exporter.relay import settings as relay_settings

    file = args.check or args.config
    if file is None:
        return _fail("--config.file=FILE or --check FILE is needed (try --help)")
    try:
        config = relay_settings.load(file)
    except ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return UNUSABLE if error.unreadable else FAILED
    if args.check:
        print("\n".join(_report(file, config)))
        return 0
    folder = Path(args.storage or Path(file).parent)
    match args.action:
        case "test":
            return _test(config, args.receiver)
        case "triage":
            return _triage(config, args)
        case "outbox":
            return _with_spool(folder / config.spool.path, lambda db: _outbox(db, args))
        case "audit":
            return _with_spool(folder / config.spool.path, lambda db: _audit(db, args.limit))
    return _serve(config, file, args)


def _fail(line: str, status: int = UNUSABLE) -> int:
    print(f"exchange-exporter relay: {line}", file=sys.stderr)
    return status


def _report(file: str, config: RelayConfig) -> Iterable[str]:
    from exporter.config.units import format_duration

    yield f"{file} is valid"
    for each in config.receivers:
        storm = each.storm
        levels = ", ".join(level.value for level in each.levels)
        routes = f" of {', '.join(each.routes)}" if each.routes else ""
        yield (
            f"  {each.name}: {each.type}, {each.language}, {levels}{routes}; more than "
            f"{storm.messages} in {format_duration(storm.window)} become a digest"
        )
    ask = config.triage
    yield f"  triage: {f'{ask.model}, {ask.language}' if ask.enabled else 'off'}"
    if not (config.intake.bearer_token or config.intake.password):
        yield (
            "warning: anyone who can reach the port can post alerts; without --web.config.file "
            "the relay listens on loopback only"
        )


# --- running ------------------------------------------------------------------------------------


def _serve(config: RelayConfig, file: str, args: argparse.Namespace) -> int:
    from exporter import logs
    from exporter.cli import _build as build
    from exporter.config import ConfigError
    from exporter.config.secret import revealed
    from exporter.http import proxy
    from exporter.relay import app as relay
    from exporter.relay import settings as relay_settings
    from exporter.relay.store import StoreError
    from exporter.web.security import WebSecurity
    from exporter.web.server import ListenError, listen_address

    try:
        host, _ = listen_address(args.listen)
    except ValueError as error:
        return _fail(str(error))
    try:
        hidden = [*revealed(config), *proxy.environment().secrets]
        web = None if args.web is None else WebSecurity(args.web)
        if web is not None:
            web.load()
    except proxy.ProxyError as error:
        return _fail(str(error))
    except ConfigError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return UNUSABLE

    def stranger(found: RelayConfig) -> str | None:
        """Complain of a config by which anyone could post from elsewhere."""
        asks = web is not None and web.asks
        if found.intake.bearer_token or found.intake.password or asks:
            return None
        if host in ("127.0.0.1", "::1", "localhost"):
            return None
        return f"{args.listen} is not a loopback address: configure intake.bearer_token or a login"

    def reload() -> RelayConfig:
        found = relay_settings.load(file)
        if wrong := stranger(found):
            raise ConfigError((f"{file}: {wrong}",))
        return found

    if wrong := stranger(config):
        return _fail(wrong)
    json = (args.log_format or config.log.format) == "json"
    logs.setup("json" if json else "logfmt", args.log_level or config.log.level, hidden)

    def ready(port: int) -> None:
        shown = f"[{host}]" if ":" in host else host or "localhost"
        scheme = "http" if web is None or web.security.tls is None else "https"
        print(f"ready {scheme}://{shown}:{port}", flush=True)

    options = relay.RelayOptions(
        folder=Path(args.storage or Path(file).parent),
        listen_address=args.listen,
        revision=build.revision(),
        config_file=file,
        ready=ready,
        reload=reload,
        web=web,
    )
    try:
        asyncio.run(_until_told(relay.Relay(config, options)))
    except* (ListenError, StoreError, relay.InUseError) as errors:
        reasons = "; ".join(str(error) for error in _flat(errors))
    else:
        return 0
    return _fail(reasons)


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error


async def _until_told(relay: Relay) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, relay.read_anew)
    await relay.run(stop)


# --- one message --------------------------------------------------------------------------------


def _test(config: RelayConfig, name: str) -> int:
    from exporter.http.proxy import ProxyError
    from exporter.notification import Delivered
    from exporter.relay.settings import try_receiver

    try:
        results = asyncio.run(try_receiver(config, name))
    except ProxyError as error:
        return _fail(str(error))
    except KeyError:
        known = ", ".join(each.name for each in config.receivers)
        return _fail(f"no receiver {name!r}; known receivers: {known}")
    for each in results:
        to = f" to {each.target}" if each.target else ""
        print(f"{name}{to}: {_outcome(each.outcome)}")
        answer = "no answer" if each.status is None else f"status {each.status}"
        print(f"  {answer}: {_shown(each.answer) or '(empty)'}")
    return 0 if all(isinstance(each.outcome, Delivered) for each in results) else FAILED


def _outcome(outcome: Outcome) -> str:
    """Return what came of a message, in words."""
    from exporter.notification import Delivered, Refused, Retry
    from exporter.web.reasons import in_words

    match outcome:
        case Delivered(id=name):
            return f"delivered{f', message {name}' if name else ''}"
        case Refused(reason=why):
            return f"refused: {_shown(why)}"
        case Retry(reason=why):
            return f"not delivered, would be tried again: {_shown(in_words(why))}"
        case _:
            assert_never(outcome)


def _triage(config: RelayConfig, args: argparse.Namespace) -> int:
    from exporter.cli import _triage as triage
    from exporter.http.proxy import ProxyError
    from exporter.relay.triage_client import TriageOutcome

    try:
        incident = triage.read(args.source, args.incident, datetime.now(UTC).timestamp())
        advice = asyncio.run(triage.ask(config, incident, lambda line: print(_shown(line))))
    except (triage.NoIncidentError, ProxyError) as error:
        return _fail(str(error))
    if advice is None:
        return _fail(f"triage is off: set triage.enabled, base_url and model in {args.config}")
    return 0 if advice.outcome is TriageOutcome.OK else FAILED


def _shown(text: str) -> str:
    """Return foreign text on one line, with nothing that moves a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


# --- the spool ----------------------------------------------------------------------------------


def _with_spool(path: Path, act: Callable[[sqlite3.Connection], int]) -> int:
    import sqlite3

    from exporter.relay import outbox, store

    if not path.exists():
        return _fail(f"{path}: no such spool")
    try:
        db = store.connect(path)
        try:
            outbox.begin(db)
            db.execute("BEGIN IMMEDIATE")
            status = act(db)
            db.execute("COMMIT")
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        return _fail(f"{why(error, path)}")
    return status


def _outbox(db: sqlite3.Connection, args: argparse.Namespace) -> int:
    from exporter.relay import outbox

    if args.act == "list":
        states = [outbox.DeliveryState(name) for name in args.state or ()]
        states = states or [
            each for each in outbox.DeliveryState if each is not outbox.DeliveryState.DELIVERED
        ]
        rows = list(outbox.listed(db, states, max(1, args.limit), args.receiver))
        for row in rows:
            print(_line(row))
        if not rows:
            of = f" of a receiver {args.receiver}" if args.receiver else ""
            names = ", ".join(each.value for each in states)
            print(f"no deliveries{of} that are {names}", file=sys.stderr)
        return 0
    ids = _ids(db, args.id)
    if ids is None:
        return _fail(f"found {args.id[:40]!r}, expected the number of a delivery")
    if args.act == "show":
        found = outbox.one(db, ids[0]) if ids else None
        if found is None:
            return _fail(f"no delivery {args.id}", FAILED)
        print(_all_of(found))
        return 0
    now = datetime.now(UTC).timestamp()
    act = outbox.revive if args.act == "retry" else outbox.drop
    done = [number for number in ids if act(db, number, now)]
    what = "queued again" if args.act == "retry" else "dropped"
    print(f"{len(done)} {what}: {', '.join(map(str, done[:50])) or '-'}")
    return 0 if done or args.id == "all" else FAILED


def _ids(db: sqlite3.Connection, text: str) -> list[int] | None:
    from exporter.relay import outbox

    if text == "all":
        return [row.id for row in outbox.listed(db, [outbox.DeliveryState.DEAD], 1_000_000)]
    return [int(text)] if text.isdecimal() and len(text) < 18 else None


def _line(row: OutboxRow) -> str:
    tail = f"  {_shown(row.detail)}" if row.detail else ""
    return (
        f"{row.id:>8}  {row.state:<9}  {row.receiver}  {_moment(row.created)}  {row.occasion}  "
        f"tries={row.attempts}  {_shown(row.note.title)[:80]}{tail}"
    )


def _all_of(row: OutboxRow) -> str:
    lines = [
        f"id:        {row.id}",
        f"state:     {row.state}",
        f"receiver:  {row.receiver}",
        f"to:        {row.target or '-'}",
        f"incident:  {row.incident}",
        f"occasion:  {row.occasion}",
        f"key:       {row.key}",
        f"tries:     {row.attempts}",
        f"received:  {_moment(row.received)}",
        f"finished:  {_moment(row.finished) if row.finished else '-'}",
        f"provider:  {_shown(row.provider_id) or '-'}",
        f"detail:    {_shown(row.detail) or '-'}",
        f"title:     {_shown(row.note.title)}",
        "text:",
    ]
    lines += [f"  {_shown(line)}" for text in row.note.texts for line in text.splitlines()]
    if row.note.triage:
        lines += ["triage:", *(f"  {_shown(line)}" for line in row.note.triage.splitlines())]
    return "\n".join(lines)


def _audit(db: sqlite3.Connection, most: int) -> int:
    import json

    rows = db.execute("SELECT * FROM audit ORDER BY id DESC LIMIT ?", (max(1, most),)).fetchall()
    for row in reversed(rows):
        print(json.dumps({**dict(row), "at": _moment(row["at"])}, ensure_ascii=True))
    return 0


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
