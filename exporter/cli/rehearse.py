"""Inject faults into simulated exchanges, and check which alerts fire and resolve."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from exporter.cli import _flags as flags
from exporter.cli import _shipped as shipped
from exporter.words import why

if TYPE_CHECKING:
    from exporter.simulator.rehearsal import Plan, RehearsalStage, Result

HELP = """\
Starts simulated exchanges, the exporter, Prometheus and Alertmanager with the shipped rules,
causes each alert by injecting its faults, ends the faults, and prints: the time until the alert
fired and resolved, the time until the notification, and which other alerts fired. The exporter
pushes alerts to Alertmanager as well. A rehearsal fails if a notification is repeated, or sent
within 15 minutes after the end. Time windows and waits of the rules are 20 times shorter than
shipped (--compress=20), in a copy; --compress=1 uses them unchanged.

With --prometheus.url, --alertmanager.url and --simulator.url it uses your staging environment,
whose exporter watches that simulator.

exit status: 0 all passed, 1 at least one failed, 2 it cannot start, 130 Ctrl-C
"""
FAILED, UNUSABLE = 1, 2
_URLS = ("prometheus", "alertmanager", "simulator")
_FILE = "rehearsals/exchanges.yml"
_QUIET = 15.0  # seconds in which the exporter learns what is usual
_UNTIL_QUIET = 60.0
VENUES = ("binance", "bybit", "okx")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("alerts", nargs="*", metavar="ALERT", help="alerts to rehearse (default: all)")
    add("--list", action="store_true", help="list the rehearsals, and why other alerts have none")
    add(
        "--rules",
        type=Path,
        metavar="DIR",
        help="directory with the rules, alertmanager.yml and rehearsals/ (default: as shipped)",
    )
    add(
        "--compress",
        type=partial(flags.number, least=1.0, most=100.0, wanted="a number from 1 to 100"),
        metavar="N",
        help="divide time windows and waits by this factor (default 20; 1 with --prometheus.url)",
    )
    add(
        "--healthy",
        type=_length,
        metavar="TIME",
        help="run healthy traffic with ordinary noise for this time (such as 2h), with the "
        "shipped windows: nothing critical and at most one warning may fire",
    )
    add(
        "--for",
        dest="lasting",
        type=_length,
        metavar="TIME",
        help="end the faults after this time, such as 90s (default: when a notification was sent)",
    )
    add(
        "--times",
        type=_count,
        default=1,
        help="number of repetitions of each rehearsal (default: %(default)s)",
    )
    add("--seed", type=int, default=1, help="seed of the noise of --healthy (default: %(default)s)")
    for name in _URLS:
        add(f"--{name}.url", dest=name, metavar="URL", help=f"use this {name}")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"found {text[:40]!r}, expected a number from 1 to 1000")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Rehearse; return the exit status."""
    # Loaded here, so that other commands and --help do not pay for it.
    from exporter.simulator.rehearsal import RehearsalError, load

    urls = [getattr(args, name) for name in _URLS]
    if any(urls) and not all(urls):
        print("exchange-exporter rehearse: give all three URLs, or none", file=sys.stderr)
        return UNUSABLE
    if args.healthy is not None and (args.alerts or args.compress):
        print(
            "exchange-exporter rehearse: --healthy cannot be combined with alerts or --compress",
            file=sys.stderr,
        )
        return UNUSABLE
    try:
        args.rules = args.rules or shipped.folder("alert_rules")
        plan = load(args.rules / _FILE)
        if args.list:
            return _list(plan)
        if unknown := [name for name in args.alerts if name not in plan.scenarios]:
            reason = plan.left_out.get(unknown[0], "unknown alert; --list prints all")
            raise RehearsalError(f"{unknown[0]}: {reason}")
        signal.signal(signal.SIGTERM, _end)
        if args.healthy is not None:
            return _healthy(args, urls)
        return _rehearse(plan, args, urls)
    except (RehearsalError, FileNotFoundError) as error:
        print(f"exchange-exporter rehearse: {why(error)}", file=sys.stderr)
        return UNUSABLE


def _rehearse(plan: Plan, args: argparse.Namespace, urls: list[str]) -> int:
    from exporter.simulator.rehearsal import at_sites, await_quiet, given, own, rehearse

    factor = args.compress or (1.0 if all(urls) else 20.0)
    # What signs deadlines needs exporters of its own.
    names = args.alerts or [
        name for name, one in plan.scenarios.items() if one.deadline is None or not all(urls)
    ]
    results = []

    def play(stage: RehearsalStage, factor: float, names: list[str]) -> None:
        for name in (name for name in names for _ in range(args.times)):
            played = rehearse(stage, plan.scenarios[name], factor, _say, lasting=args.lasting)
            results.append(played)
            print(_line(played), flush=True)

    if all(urls):
        play(given(*urls), factor, names)
    else:
        for (shorter, sites, more), together in _stages(plan, names, factor).items():
            places = at_sites((*VENUES, *more), sites, shorter)
            with own(args.rules, shorter, places, _say) as stage:
                _say("running without faults")
                time.sleep(_QUIET)
                await_quiet(stage, _UNTIL_QUIET, _say)
                play(stage, shorter, together)
    failed = [result.alert for result in results if not result.passed]
    print(f"{len(results) - len(failed)} of {len(results)} passed, windows 1/{factor:g}")
    return FAILED if failed else 0


_Stage = tuple[float, int, tuple[str, ...]]


def _stages(plan: Plan, names: list[str], factor: float) -> dict[_Stage, list[str]]:
    """Group the rehearsals that can share a stage: by window factor, sites and venues."""
    found: dict[_Stage, list[str]] = {}
    for name in names:
        one = plan.scenarios[name]
        found.setdefault((min(factor, one.compress), one.sites, one.venues), []).append(name)
    return found


def _healthy(args: argparse.Namespace, urls: list[str]) -> int:
    from exporter.simulator.rehearsal import at_sites, clock, given, healthy, kept, own, text

    with ExitStack() as stack:
        stage: RehearsalStage = (
            given(*urls)
            if all(urls)
            else stack.enter_context(own(args.rules, 1.0, at_sites(VENUES, 1, 1.0), _say))
        )
        spells = healthy(stage, args.healthy, args.seed, _say)
        told = None if stage.told is None else len(stage.told())
    for spell in spells:
        end = "the end" if spell.end is None else clock(spell.end)
        print(f"{clock(spell.start)} to {end}: {text(spell)}")
    counts = ", ".join(
        f"{sum(spell.severity == severity for spell in spells)} {severity}"
        for severity in ("critical", "warning", "info")
    )
    people = "" if told is None else f"; {told} notification(s)"
    verdict = "pass" if kept(spells) else "FAIL"
    print(f"{verdict}: {clock(args.healthy)} of healthy traffic: {counts}{people}")
    return 0 if kept(spells) else FAILED


def _line(result: Result) -> str:
    told = "" if result.told is None else f", told after {result.told:.1f} s"
    count = "" if result.notifications is None else f" ({result.notifications} in all)"
    return "; ".join((
        f"{'pass' if result.passed else 'FAIL'} {result.alert}: "
        f"fired after {_seconds(result.fired)}{told}{count if told else ''}",
        f"resolved after {_seconds(result.resolved)}",
        f"heard {', '.join(result.heard) or '-'}",
        f"muted {', '.join(result.muted) or '-'}",
        f"windows 1/{result.factor:g}",
        *result.complaints,
    ))  # fmt: skip


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _list(plan: Plan) -> int:
    for name, scenario in plan.scenarios.items():
        print(f"{name}: {scenario.cause}")
    print("\nnot rehearsed:")
    for name, reason in plan.left_out.items():
        print(f"{name}: {reason}")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _length(text: str) -> float:
    from exporter.simulator.faults import duration

    value = duration(text)
    if value is None or not 1 <= value <= 7 * 86_400:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a duration such as 2h or 90m")
    return value
