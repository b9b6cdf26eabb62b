"""One rehearsal: inject the faults, wait, end them, wait, and judge the alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from exporter.simulator.rehearsal import told as people
from exporter.simulator.rehearsal.scenarios import Scenario
from exporter.simulator.rehearsal.stage import RehearsalStage
from exporter.simulator.rehearsal.talk import RehearsalError, ask, has_result, inject, withdraw

_PACE = 0.25  # seconds between two checks
_SLACK = 30.0  # seconds that programs take whatever the windows
# An exporter that pushes asserts an outage for a minute after the first success, at any window.
_ASSERTED = 60.0
_AFTER = 900.0  # seconds after the end in which nothing more may be told, at the shipped windows
_READY = 1800.0  # seconds until a scenario must be able to begin
_PROGRESS = 10.0  # seconds between two progress messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a rehearsal; times in seconds, None for never.

    ``fired`` and ``told`` count from the first fault, ``resolved`` from the end of the faults.
    ``notifications`` are those of anything that fires, until a quarter of an hour (at the shipped
    windows) after all is quiet. ``heard`` fired beside it and was not muted; ``muted`` was. Windows
    were ``factor`` times shorter than shipped.
    """

    alert: str
    factor: float
    fired: float | None
    told: float | None
    resolved: float | None
    notifications: int | None
    heard: tuple[str, ...]
    muted: tuple[str, ...]
    complaints: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether all went as it should."""
        return not self.complaints


@dataclass(slots=True)
class _AlertWatch:
    """Looks at Alertmanager, and keeps for how long each alert was heard, in seconds."""

    stage: RehearsalStage
    before: Collection[str]
    say: Callable[[str], None]
    heard: dict[str, float] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    notes: set[str] = field(default_factory=set)  # of these, what is of severity info
    muting: set[str] = field(default_factory=set)  # and what only mutes others
    looked: float = field(default_factory=time.monotonic)

    def update(self) -> set[str]:
        """Return the names of the alerts that fire now and did not before."""
        now = time.monotonic()
        passed, self.looked = now - self.looked, now
        firing = set()
        unmuted = set()
        for each in firing_alerts(self.stage):
            if each.fingerprint not in self.before:
                firing.add(each.name)
                if not each.muted:
                    unmuted.add(each.name)
                if each.severity == "info":
                    self.notes.add(each.name)
                if each.severity == "none":
                    self.muting.add(each.name)
        for name in sorted(firing - self.seen):
            self.say(f"  {name} fires{'' if name in unmuted else ', muted'}")
        for name in unmuted:
            self.heard[name] = self.heard.get(name, 0.0) + passed
        self.seen |= firing
        return firing


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert that fires: its fingerprint tells it from others of its name."""

    name: str
    fingerprint: str
    severity: str
    muted: bool


def firing_alerts(stage: RehearsalStage) -> Iterator[Firing]:
    """Yield each alert that could concern people."""
    answer: Any = ask(f"{stage.alertmanager}/api/v2/alerts")
    for alert in answer:
        name, severity = alert["labels"]["alertname"], alert["labels"].get("severity", "")
        if name == "Watchdog":  # always fires
            continue
        status = alert["status"]
        muted = bool(status["inhibitedBy"] or status["silencedBy"])
        # Of severity none is what only mutes others.
        yield Firing(name, alert["fingerprint"], severity, muted or severity == "none")


def rehearse(
    stage: RehearsalStage,
    scenario: Scenario,
    factor: float,
    say: Callable[[str], None],
    *,
    lasting: float | None = None,
) -> Result:
    """Play one scenario and say what came of it; the faults end whatever happens.

    Windows of the rules are ``factor`` times shorter than shipped. The faults last for ``lasting``
    seconds, or until people were told. Raises RehearsalError.
    """
    name = scenario.alert
    watch = _begin(stage, scenario, factor, say)
    with _Faults(stage, scenario).running() as faults:
        say(f"{name}: {scenario.cause}, waiting for it to fire")
        limit = scenario.within / factor + scenario.fixed + _SLACK
        fired = _until(lambda: name in watch.update(), lasting or limit, say, faults.again)
        # Long enough for what it mutes to be muted, and for its notification to leave.
        settle = max(8.0, 30.0 / factor)
        if lasting is not None:
            settle = lasting - (fired or lasting)
        _until(lambda: not watch.update() and False, settle, None, faults.again)
        if fired is not None:
            say(f"{name}: fired after {fired:.1f} s")
    if fired is None:  # a fault may be over before it is told
        fired = _until(lambda: name in watch.update(), 2 * _SLACK, say)
        fired = None if fired is None else fired + (lasting or limit)
    resolved = None
    if fired is not None:
        gone = scenario.ends / factor + scenario.fixed + _SLACK + _ASSERTED
        resolved = _until(lambda: name not in watch.update(), gone, say)
        # Until nothing of it can be heard any more.
        _until(lambda: not watch.update() - watch.muting, gone, say)
    quiet = time.monotonic()
    if stage.told is not None:
        say(f"{name}: over, {_AFTER / factor:.0f} s in which nobody may be told anything more")
        _until(lambda: not watch.update() and False, _AFTER / factor, None)
    grace = max(3.0, 10.0 / factor)
    heard = {each for each, long in watch.heard.items() if long > grace} - {name}
    told, count = _told(stage, name, faults.started, time.monotonic())
    unexpected = heard - set(scenario.companions) - watch.notes
    short = fired is None and lasting is not None and lasting < scenario.within
    news = () if stage.told is None else people.changes(stage.told())
    since = [change for change in news if change[0] >= faults.started]
    return Result(
        alert=name,
        factor=factor,
        fired=fired,
        told=told,
        resolved=resolved,
        notifications=count,
        heard=tuple(sorted(heard)),
        muted=tuple(sorted(watch.seen - heard - {name})),
        complaints=(
            *(() if short else _complaints(scenario, fired, resolved, count, unexpected)),
            *late(scenario, factor, told),
            *people.complaints(
                name, since, None if resolved is None else quiet, scenario.companions
            ),
        ),
    )


def _begin(
    stage: RehearsalStage, scenario: Scenario, factor: float, say: Callable[[str], None]
) -> _AlertWatch:
    """Wait until the scenario can be played. Raises RehearsalError."""
    name = scenario.alert
    if scenario.deadline is not None and stage.deadlines is None:
        raise RehearsalError(f"{name} signs deadlines for programs of its own: give no URL")
    _check_loaded(stage, name)
    # What the rehearsal before has left behind mutes what this one brings.
    _until(
        lambda: all(each.severity != "none" for each in firing_alerts(stage)),
        scenario.ends / factor,
        say,
    )
    _await_ready(stage, scenario, say)
    now = list(firing_alerts(stage))
    if name in {each.name for each in now}:
        raise RehearsalError(f"{name} fires already: nothing can be rehearsed")
    return _AlertWatch(stage, {each.fingerprint for each in now}, say)


def await_quiet(stage: RehearsalStage, limit: float, say: Callable[[str], None]) -> None:
    """Wait until nothing fires: what fires before the faults hides what they bring.

    Raises RehearsalError after ``limit`` seconds.
    """
    if _until(lambda: not list(firing_alerts(stage)), limit, say) is None:
        names = sorted({each.name for each in firing_alerts(stage)})
        raise RehearsalError(f"without any fault there fires: {', '.join(names)}")


def _await_ready(stage: RehearsalStage, scenario: Scenario, say: Callable[[str], None]) -> None:
    """Wait until the scenario's query has a result. Raises RehearsalError."""
    query = scenario.ready
    if query is None or has_result(stage.prometheus, query):
        return
    say(f"{scenario.alert}: waiting for {query}")
    if _until(lambda: has_result(stage.prometheus, query), _READY, say) is None:
        raise RehearsalError(f"{scenario.alert}: no result within {_READY:.0f} s of {query}")


def _complaints(
    scenario: Scenario,
    fired: float | None,
    resolved: float | None,
    notifications: int | None,
    unexpected: set[str],
) -> Iterator[str]:
    if fired is None:
        yield "did not fire"
    elif resolved is None:
        yield "was not resolved"
    # Notes beside it are let through by intent: they may explain it.
    if unexpected:
        yield f"not expected beside it: {', '.join(sorted(unexpected))}"
    most = scenario.notifications
    if most is not None and notifications is not None and notifications > most:
        yield f"at most {most} notification(s) were expected"


def late(scenario: Scenario, factor: float, told: float | None) -> Iterator[str]:
    """Complain of a page that came later than promised; shorter windows promise nothing."""
    promised = scenario.told
    if factor == 1 and promised is not None and told is not None and told > promised:
        yield f"told after {told:.1f} s, promised within {promised:.0f} s"


def _check_loaded(stage: RehearsalStage, name: str) -> None:
    answer: Any = ask(f"{stage.prometheus}/api/v1/rules?type=alert")
    groups = answer["data"]["groups"]
    if not any(rule["name"] == name for group in groups for rule in group["rules"]):
        raise RehearsalError(f"{stage.prometheus} has no alert {name}: are the rules loaded?")


def _told(
    stage: RehearsalStage, name: str, start: float, end: float
) -> tuple[float | None, int | None]:
    """Return when people were first told of it, and how many notifications left while it lasted."""
    if stage.told is None:
        return None, None
    posts = [
        (post.time, {alert.name for alert in post.alerts if alert.firing})
        for post in stage.told()
        if start <= post.time <= end
    ]
    first = next((at - start for at, firing in posts if name in firing), None)
    return first, sum(bool(firing) for _, firing in posts)


def _until(
    condition: Callable[[], bool],
    limit: float,
    say: Callable[[str], None] | None,
    meanwhile: Callable[[], None] = lambda: None,
) -> float | None:
    """Wait; return the seconds it took, or None after ``limit`` seconds."""
    start = time.monotonic()
    said = start
    while (now := time.monotonic()) - start < limit:
        if condition():
            return time.monotonic() - start
        if say is not None and now - said >= _PROGRESS:
            said = now
            say(f"  {now - start:.0f} s of at most {limit:.0f} s")
        meanwhile()
        time.sleep(_PACE)
    return None


@dataclass(slots=True)
class _Faults:
    """The faults of a scenario while they are in force."""

    stage: RehearsalStage
    scenario: Scenario
    started: float = 0.0
    last: float = 0.0
    ids: list[int] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[_Faults]:
        """Inject; end the faults when leaving, and only these."""
        try:
            self.started = time.monotonic()
            self._inject()
            self._announce(self.scenario.deadline)
            yield self
        finally:
            self._announce(None)
            withdraw(self.stage.simulator, self.ids)

    def again(self) -> None:
        """Inject anew when it is time."""
        every = self.scenario.every
        if every is not None and time.monotonic() - self.last >= every:
            self._inject()

    def _inject(self) -> None:
        self.last = time.monotonic()
        if self.scenario.faults:
            self.ids += inject(self.stage.simulator, self.scenario.faults)

    def _announce(self, days: float | None) -> None:
        if self.scenario.deadline is not None and self.stage.deadlines is not None:
            self.stage.deadlines.announce(days)
