"""Score the detectors on labelled series or captures: precision, recall, delay, false alarms."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from exporter.anomaly import detectors
from exporter.backtest import plots
from exporter.backtest.labelled import LabelledError, Window, read_series, read_windows, windows_of
from exporter.flow.segments import SUFFIX, ForeignError
from exporter.words import why

if TYPE_CHECKING:
    from exporter.backtest.backtest import BacktestOutcome, Subject
    from exporter.signals import Signal

HELP = """\
Runs series through the same detectors and incident rules as the running program, with one setting
for all of them, and compares the alarms with the labels. Every value is scored before the
detectors learn it.

FILE is a CSV file with the columns timestamp and value, and optionally label (1 or 0: the row
belongs to an incident or not); or a capture (a segment or a directory of them), of which every
signal is a series named CAPTURE/EXCHANGE/SIGNAL. --labels gives the incidents of files without
labels, in the format of the Numenta Anomaly Benchmark; files are matched by the end of their path,
and times are ISO 8601 (UTC) or epoch seconds:
  {"folder/name.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"]]}

An incident is found if an alarm starts within its window; an alarm outside of all windows is
false. Precision is found incidents divided by found incidents plus false alarms.

exit status: 0 scored, 1 a file cannot be used, 2 the flags are wrong
"""
_PROGRESS_EVERY = 1.0  # seconds between two lines of progress
_QUIET_FOR = 3.0  # seconds that a run may take without any


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", nargs="*", type=Path, metavar="FILE", help="CSV file or capture")
    parser.add_argument(
        "--labels", type=Path, metavar="JSON", help="file with the windows of the incidents"
    )
    parser.add_argument(
        "--own-incidents",
        action="store_true",
        help="score the built-in cases: 880 generated labelled cases, half of them healthy, and "
        "160 healthy series with realistic tails and autocorrelation, some as the simulator sends",
    )
    parser.add_argument(
        "--days",
        type=float,
        metavar="DAYS",
        help="length of the healthy series, in days (default 1)",
    )
    parser.add_argument(
        "--detector",
        choices=detectors.every(),
        default="ensemble",
        help="detector that decides (default ensemble, as in the running program)",
    )
    parser.add_argument(
        "--signal",
        metavar="NAME",
        help="signal that the CSV files contain, for its smallest relevant deviation (default: "
        "any deviation counts)",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="time after an incident in which an alarm still counts for it (default 0)",
    )
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="print settings for anomaly.signals that would have avoided the alarms of a capture "
        "without incidents",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--plots",
        type=Path,
        metavar="DIR",
        help="write a PNG plot of each series (needs the extra `plots`)",
    )


def run(args: argparse.Namespace) -> int:
    """Print what was found; return the exit status."""
    if bool(args.file) == args.own_incidents:
        print("exchange-exporter: expected either FILE or --own-incidents", file=sys.stderr)
        return 2
    if args.plots is not None and (args.own_incidents or not plots.available()):
        missing = "--plots requires FILE" if args.own_incidents else plots.MISSING
        print(f"exchange-exporter: {missing}", file=sys.stderr)
        return 2
    if args.suggest and (args.own_incidents or args.json):
        print("exchange-exporter: --suggest requires FILE, and prints YAML", file=sys.stderr)
        return 2
    if args.own_incidents:
        for flag in ("labels", "signal", "grace"):
            if getattr(args, flag):
                print(f"exchange-exporter: --{flag} requires FILE", file=sys.stderr)
                return 2
        return _own(1.0 if args.days is None else args.days, as_json=args.json)
    if args.days is not None:
        print("exchange-exporter: --days requires --own-incidents", file=sys.stderr)
        return 2
    from exporter.anomaly.sampling import SIGNALS

    known = {signal.name: signal for signal in SIGNALS}
    if args.signal is not None and args.signal not in known:
        print(
            f"exchange-exporter: no signal {args.signal!r}; known signals: {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    try:
        return _files(args, known)
    except (OSError, LabelledError, ForeignError) as error:
        print(f"exchange-exporter: {why(error)}", file=sys.stderr)
        return 1


class Progress:
    """Says on stderr how far a long run is, once a second."""

    def __init__(self) -> None:
        self._started = self._said = monotonic()
        self._rows = 0

    def add(self, rows: int, of: int | None = None, what: str = "values") -> None:
        """Count what is done, of how many if that is known, and say so if it is time."""
        self._rows += rows
        now = monotonic()
        if now - self._said < _PROGRESS_EVERY or now - self._started < _QUIET_FOR:
            return
        self._said = now
        whole = "" if of is None else f" of {of:,} ({min(self._rows / of, 1.0):.0%})"
        rate = self._rows / (now - self._started)
        print(f"{self._rows:,}{whole} {what}, {rate:,.0f} a second", file=sys.stderr, flush=True)


def _own(days: float, *, as_json: bool) -> int:
    from exporter.backtest import healthy, incidents
    from exporter.simulator.rehearsal.traffic import TRAFFIC

    if not 0.01 <= days <= 100.0:
        print("exchange-exporter: expected --days between 0.01 and 100", file=sys.stderr)
        return 2
    found = incidents.run(Progress().add)
    if not as_json:
        print(incidents.table(found), flush=True)
    calm = healthy.run(days, Progress().add, further=TRAFFIC)
    if as_json:
        print(json.dumps(found | {"healthy": calm}, indent=2))
    else:
        print(healthy.table(calm))
    return 0


def _files(args: argparse.Namespace, known: dict[str, Signal]) -> int:
    from exporter.backtest import backtest

    windows = {} if args.labels is None else read_windows(args.labels)
    settings = backtest.BacktestSettings(detector=args.detector, grace=args.grace)
    if args.plots is not None:
        args.plots.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    outcomes: list[BacktestOutcome] = []
    for subjects in _groups(args.file, known.get(args.signal), known):
        group = [_labelled(subject, windows) for subject in subjects]
        found = backtest.judge(
            group, settings, traced=args.plots is not None, progress=progress.add
        )
        for outcome in found:
            if args.plots is not None:
                plots.draw(outcome, args.plots, len(outcomes) + 1)
            outcomes.append(replace(outcome, trace=None))
    whole = backtest.figures(outcomes)
    if args.suggest:
        from exporter.backtest.suggest import suggest

        print(suggest(outcomes, tuple(known.values())))
        return 0
    if args.json:
        each = [backtest.plain(outcome) for outcome in outcomes]
        print(json.dumps({"detector": settings.detector, "all": whole, "series": each}, indent=2))
    else:
        rows = [(outcome.series.name, backtest.figures([outcome])) for outcome in outcomes]
        print(_table([*rows, ("all", whole)]))
        print(_certainty(whole))
    return 0


def _groups(
    files: Sequence[Path], signal: Signal | None, known: dict[str, Signal]
) -> Iterator[list[Subject]]:
    """Yield what is to be judged; series of the same times come together, which is faster."""
    from exporter.backtest import backtest

    def damaged(what: str) -> None:
        print(f"exchange-exporter: {what}", file=sys.stderr)

    for path in files:
        if path.is_dir() or path.suffix == SUFFIX:
            together: dict[bytes, list[Subject]] = {}
            for subject in backtest.signals_of(path, known, damaged):
                together.setdefault(subject.series.times.tobytes(), []).append(subject)
            yield from together.values()
        else:
            series = read_series(path)
            yield [backtest.Subject(series=series, exchange=path.stem, signal=signal)]


def _labelled(subject: Subject, windows: dict[str, tuple[Window, ...]]) -> Subject:
    if subject.series.windows is not None:
        return subject
    found = windows_of(subject.series.name, windows)
    return replace(subject, series=replace(subject.series, windows=found))


def _certainty(whole: dict[str, float | int | None]) -> str:
    """Return what so few incidents and days leave open, in a sentence; empty without labels."""
    said = []
    for title, key in (("recall", "recall"), ("false alarms a day", "false_alarms_per_series_day")):
        low, high = whole[f"{key}_low"], whole[f"{key}_high"]
        if low is not None and high is not None:
            said.append(f"{title} {low:.2f} to {high:.2f}")
    return f"95 % confidence: {', '.join(said)}" if said else ""


def _table(rows: Sequence[tuple[str, dict[str, float | int | None]]]) -> str:
    columns: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("values", "rows", lambda value: f"{value:,.0f}"),
        ("days", "days", lambda value: f"{value:.1f}"),
        ("incidents", "incidents", lambda value: f"{value:.0f}"),
        ("found", "found", lambda value: f"{value:.0f}"),
        ("recall", "recall", lambda value: f"{value:.2f}"),
        ("precision", "precision", lambda value: f"{value:.2f}"),
        ("delay s", "delay_seconds", lambda value: f"{value:,.0f}"),
        ("in ticks", "delay_ticks", lambda value: f"{value:.0f}"),
        ("alarms", "alarms", lambda value: f"{value:.0f}"),
        ("false", "false_alarms", lambda value: f"{value:.0f}"),
        ("a day", "false_alarms_per_series_day", lambda value: f"{value:.3f}"),
    )
    width = min(max(len(name) for name, _ in rows), 60)
    lines = [" ".join([f"{'series':{width}s}", *(f"{title:>9s}" for title, _, _ in columns)])]
    for name, found in rows:
        cells = []
        for _, key, spell in columns:
            value = found[key]
            cells.append(f"{'–' if value is None else spell(value):>9s}")
        short = name if len(name) <= width else f"…{name[1 - width :]}"
        lines.append(" ".join([f"{short:{width}s}", *cells]))
    return "\n".join(lines)
