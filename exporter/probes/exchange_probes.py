"""The probes of one exchange: its endpoints and limits, and what their answers tell of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from exporter import config as settings
from exporter.config import calendar
from exporter.contracts import Endpoint, ReadStatus, RestLimit, Venue
from exporter.flow import rate_limit
from exporter.flow.breaker import Breaker
from exporter.logs import SPARING
from exporter.maintenance import Maintenance, TradingMode, WatchedMarkets
from exporter.metrics.families import MaintenanceSource
from exporter.metrics.registry import Registry
from exporter.model import Answer, Circuit, Phase, Probed, Reason, Skip, Target
from exporter.probes import probe, schedule
from exporter.probes.attribution import Symptom, of_probe
from exporter.probes.clock_offset import ClockOffset, Skew
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.failures import KEPT, ProbeFailure
from exporter.probes.failures import of_probe as of_failed_probe
from exporter.probes.history import History
from exporter.probes.meter import ExchangeMeter, ProbeMeter
from exporter.probes.notices import NOTHING_SAID, NoticeBoard

log = logging.getLogger(__name__)

OUT_OF_TURN = 10.0  # seconds between two rounds of questions out of turn, at least
_PATIENCE = 6.0  # seconds that such a question waits for room in the limits, or for its pace
_CLOCK_RESOLUTION = 0.001  # seconds; venues cut their server time to milliseconds
_OUTDATED = 2.0  # intervals after which a result says nothing of now


@dataclass(slots=True)
class EndpointState:
    """One endpoint and what is known of it."""

    target: Target
    breaker: Breaker
    meter: ProbeMeter
    readers: probe.Readers
    own: Endpoint | None = None  # what the venue says of it, if the venue names it
    pace: tuple[rate_limit.RateBudget, ...] = ()  # its own limit, beside those of the exchange
    history: History = field(default_factory=History)
    last: Probed | None = None
    heard: float = 0.0  # when `last` came, monotonic seconds
    read: float = 0.0  # when the last good answer came, likewise
    last_success: float | None = None  # when it ended, epoch seconds
    told: Maintenance | None = None  # what its last answer to tell of maintenance said
    skipped: Skip | None = None  # why the last turn was not taken, if it was not
    failures: deque[ProbeFailure] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def tells_time(self) -> bool:
        """Whether its answers say what the venue's clock shows: by the venue, or by the config."""
        return self.target.clock is not None or self.readers.clock is not None


def limit_rules(limit: RestLimit, share: float, heaviest: int) -> rate_limit.RateLimitRules:
    """Return what we may use of a limit; one request of the ``heaviest`` weight always fits."""
    return rate_limit.RateLimitRules(
        weight=limit.weight,
        window=limit.window,
        share=share,
        heaviest=min(heaviest, limit.weight),
    )


class ExchangeProbes:
    """All that is asked of one exchange over REST, and what is known from it."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        heaviest: int = 1,
    ) -> None:
        """Prepare; ``heaviest`` is the weight of other requests that the budgets must fit."""
        self._name, self._configured, self._venue = configured.name, configured, venue
        self._around, self._clock, self._registry = around, around.clock, registry
        limits = settings.rest_limits(configured, venue)
        counted = limits if venue.connection_limit is None else (*limits, venue.connection_limit)
        self._meter = ExchangeMeter(registry, self._name, [limit.name for limit in counted])
        targets = settings.targets(configured, venue, around.config.probes)
        share = settings.budget_share(configured, around.config.probes)
        heaviest = max([heaviest, *(target.weight for target in targets)])
        bans = around.bans
        self.ban = rate_limit.Ban(
            self._clock, bans.of(self._name), partial(bans.record, self._name)
        )
        self.budgets = {
            limit: rate_limit.RateBudget(limit_rules(limit, share, heaviest), self._clock, self.ban)
            for limit in limits
        }
        # Of attempts to connect: probes have no part in it, streams share it.
        rules = settings.connection_rules(venue)
        self.attempts = (
            None if rules is None else rate_limit.RateBudget(rules, self._clock, self.ban)
        )
        self._watched = settings.watched(configured, venue)
        self.endpoints = {target.endpoint: self._endpoint(target) for target in targets}
        self.offset = ClockOffset()
        self.skew = Skew()
        self._windows = settings.windows(configured)
        self._paused = False
        self.notices = NoticeBoard([window for window, _ in self._windows])
        self._on_stream: Maintenance | None = None  # where no status endpoint is probed
        self._by_lists: Maintenance | None = None  # what its lists of markets come to
        self.status_mode: TradingMode | None = None  # what it says beside its lists
        registry.refresh(self._show)

    def tasks(self) -> Iterator[Task]:
        """Yield everything that must run."""
        places = schedule.phases([state.target for state in self.endpoints.values()])
        for state in self.endpoints.values():
            yield (
                "probe",
                f"{self._name}/{state.target.endpoint}",
                partial(
                    self._probe, state, partial(probe.run, place=places[state.target.endpoint])
                ),
            )

    @property
    def begun(self) -> bool:
        """Return whether every endpoint has had its first turn."""
        return all(state.last or state.skipped for state in self.endpoints.values())

    @property
    def allowances(self) -> tuple[rate_limit.RateBudget | rate_limit.Ban, ...]:
        """What must admit a request: the limits, which know of a ban; without any, the ban."""
        return tuple(self.budgets.values()) or (self.ban,)

    @property
    def maintenance(self) -> Maintenance:
        """What is known of maintenance: the first that goes on, of whoever says so."""
        going_on = (each for each in self.notices.said.values() if each.active)
        return next(going_on, Maintenance(active=False))

    def announced(self, source: MaintenanceSource, maintenance: Maintenance) -> None:
        """Note what one source says of maintenance; the venue alone says how it trades."""
        self.notices.note(source, maintenance, self._clock.wall())
        self._meter.maintenance(source, maintenance.active, maintenance.end)
        if source is MaintenanceSource.VENUE:
            self._meter.mode(maintenance.mode)
        if source is not MaintenanceSource.CONFIG:
            self._meter.declared(source, bool(maintenance.incident))

    def stream_said(self, maintenance: Maintenance) -> None:
        """Note what the venue says of itself on a stream: as its status endpoint would, sooner.

        What a stream leaves out is as the endpoint said.
        """
        asked = [each for each in self.endpoints.values() if each.own and each.own.status]
        for state in asked:
            before = state.told or maintenance
            state.told = replace(
                maintenance,
                start=maintenance.start or before.start,
                incident=maintenance.incident or before.incident,
                notices=maintenance.notices or before.notices,
            )
        if not asked:
            self._on_stream = maintenance
        self._sum_up()

    def lists_said(self, mode: TradingMode | None) -> None:
        """Note what may be done at the exchange as a whole by its lists; None: they say nothing."""
        before = None if self._by_lists is None else self._by_lists.mode
        if mode is not before:
            self._by_lists = None if mode is None else Maintenance(active=False, mode=mode)
            self._sum_up()

    def _sum_up(self) -> None:
        """Tell what all that the venue says of itself comes to."""
        told = [*(each.told for each in self.endpoints.values()), self._on_stream]
        said = [each for each in told if each is not None]
        self.status_mode = _together(said).mode
        if self._by_lists is not None and not any(each.active for each in said):
            said.append(self._by_lists)  # a list may be as old as before the maintenance
        found = _together(said)
        before = self.said
        if (found.incident, found.mode) != (before.incident, before.mode):
            log.info(
                "venue_said exchange=%s mode=%s incident=%r title=%r",
                self._name, found.mode, found.incident, found.title,
            )  # fmt: skip
        self.announced(MaintenanceSource.VENUE, found)

    @property
    def said(self) -> Maintenance:
        """What the venue itself said last."""
        return self.notices.said.get(MaintenanceSource.VENUE, NOTHING_SAID)

    def page_said(self, maintenance: Maintenance) -> None:
        """Note what the status page says."""
        before = self.notices.incident
        self.announced(MaintenanceSource.STATUS_PAGE, maintenance)
        if (incident := self.notices.incident) != before:
            log.info("status_page_said exchange=%s incident=%r", self._name, incident)

    def symptoms(self) -> Iterator[Symptom]:
        """Yield what the endpoints that fail tell of the other side."""
        for state in self.endpoints.values():
            if state.skipped is Skip.LOCAL_NETWORK:
                yield Symptom.UNREACHED
            elif state.last is not None and state.last.reason is not None:
                yield of_probe(state.last.reason)

    def tick(self, now: float) -> None:
        """Look once at what passes with time alone; ``now`` in epoch seconds."""
        self._forget()
        self._look_up(now)

    def _show(self) -> None:
        """Show, before each scrape, what nothing else reads from the page."""
        now = self._clock.wall()
        self._meter.banned(self.ban.until if self.ban.until > now else None)
        for limit, each in self.budgets.items():
            self._meter.used(limit.name, each.used_ratio())
        if self.attempts is not None and self._venue.connection_limit is not None:
            self._meter.used(self._venue.connection_limit.name, self.attempts.used_ratio())
        self._meter.next_maintenance(self.notices.next_start(now))

    def _forget(self) -> None:
        """Take what endpoints said too long ago off the page.

        A failure stands while its breaker is why nobody asks again: the endpoint is down.
        """
        now = self._clock.monotonic()
        clocked = False  # whether a good answer that still counts told the time
        for state in self.endpoints.values():
            oldest = now - _OUTDATED * state.target.interval
            if state.heard < oldest:
                down = state.last is not None and not state.last.ok
                if not (down and state.breaker.state.circuit is not Circuit.CLOSED):
                    state.meter.outdated()
            if state.read < oldest:
                state.meter.unread()
                if state.told is not None and _bare(state.told) != state.told:
                    state.told = _bare(state.told)
                    self._sum_up()
            else:
                clocked = clocked or state.tells_time
        if not clocked:
            self._meter.clock(None, None)

    def _look_up(self, now: float) -> None:
        """See whether the config's calendar has a window open."""
        if self._windows:
            ends = [(calendar.end_of(window, now), pause) for window, pause in self._windows]
            open_ends = [end for end, _ in ends if end is not None]
            self._paused = any(pause for end, pause in ends if end is not None)
            found = Maintenance(active=bool(open_ends), end=max(open_ends, default=None))
            self.announced(MaintenanceSource.CONFIG, found)

    def answered(self, answer: Answer, url: str = "") -> None:
        """Note what an answer says of the limits, whoever asked; ``url`` is what was asked."""
        for limit, each in self.budgets.items():
            if any(path in url for path in limit.untrusted):
                continue
            used = answer.headers.get(limit.used_header or "", "")
            left = answer.headers.get(limit.remaining_header or "", "")
            # isdecimal first: a venue's header is untrusted text.
            if used.isdecimal() and len(used) < 10:
                each.reconcile(int(used))
            elif left.isdecimal() and len(left) < 10:
                each.reconcile(max(0, limit.weight - int(left)))

    def _endpoint(self, target: Target) -> EndpointState:
        meter = ProbeMeter(
            self._registry,
            self._name,
            target.endpoint,
            phases_of_reused=self._around.config.metrics.phases == "all",
        )
        rules = settings.breaker_rules(self._configured, target.endpoint)
        listed = {each.name: each for each in self._venue.endpoints}
        own = listed[target.endpoint] if target.listed else None
        pace: tuple[rate_limit.RateBudget, ...] = ()
        if own and own.pace:
            weight = max(1, target.weight)
            limit = rate_limit.RateLimitRules(
                weight=weight, window=settings.APART * own.pace, share=1.0, heaviest=weight
            )
            pace = (rate_limit.RateBudget(limit, self._clock, self.ban),)
        readers = probe.Readers()
        if not target.apart:
            readers = probe.Readers(
                fault=self._venue.fault,
                clock=own.clock if own else None,
                status=partial(self._read_status, own.status) if own and own.status else None,
            )
        return EndpointState(target, Breaker(rules, meter.circuit), meter, readers, own, pace)

    def watch(self, configured: settings.ExchangeConfig) -> None:
        """Match what the venue says of itself with these markets from now on."""
        self._watched = settings.watched(configured, self._venue)

    def watched(self) -> WatchedMarkets:
        """Return what notices are matched with."""
        return self._watched

    def _read_status(self, read: ReadStatus, body: bytes) -> Maintenance:
        return read(body, watched=self._watched)

    async def ask_now(self) -> None:
        """Probe every endpoint once, out of turn: something else of the exchange has failed.

        It waits some seconds for room in the limits. Nothing was due: what is not sent is no
        skipped probe.
        """
        how = partial(probe.once, patience=_PATIENCE)
        async with asyncio.TaskGroup() as probes:
            for state in self.endpoints.values():
                if state.last is None or state.last.retry_after is None:
                    probes.create_task(self._probe(state, how, lambda _, skip: None))

    def _allowances(self, target: Target) -> tuple[probe.Allowance, ...]:
        """Return what must admit a probe; what costs nothing is held off by a ban alone."""
        if target.apart:
            return ()
        return self.allowances if target.weight else (self.ban,)

    async def _probe(
        self,
        state: EndpointState,
        how: Callable[..., Awaitable[None]],
        skipped: Callable[[Target, Skip], None] | None = None,
    ) -> None:
        await how(
            state.target,
            fetch=self._around.fetch,
            clock=self._clock,
            readers=state.readers,
            slots=self._around.slots,
            gates=probe.Gates(
                breaker=state.breaker,
                budgets=(*state.pace, *self._allowances(state.target)),
                online=self._around.online,
                maintenance=lambda: self._paused,
                banned=lambda: not state.target.apart and not self.ban.admit(),
            ),
            listeners=probe.Listeners(
                report=partial(self._probed, state),
                skipped=skipped or partial(self._skipped, state),
            ),
        )

    def _skipped(self, state: EndpointState, target: Target, skip: Skip) -> None:
        state.skipped = skip
        state.meter.skipped(skip)

    def _probed(self, state: EndpointState, done: Probed) -> None:
        now = self._clock.monotonic()
        self._log(state, done)
        state.last, state.skipped = done, None
        state.meter.probed(done)
        if not done.tainted:
            state.history.add(now, done.duration if done.ok else None)
        if done.ok:
            state.last_success, state.read = done.time + done.duration, now
        else:
            state.failures.append(of_failed_probe(done, state.target))
        if done.reason is Reason.LOCAL_RESOURCE:
            why = state.failures[-1].detail
            log.warning(
                "probe_without_resources exchange=%s reason=%r", self._name, why, extra=SPARING
            )
        else:
            state.heard = now
        if done.answer is not None:
            if not state.target.apart:
                self.answered(done.answer, state.target.url)
            if done.clock is not None:
                source = state.target.clock
                whole = source is not None and source.path is None
                resolution = 1.0 if whole else _CLOCK_RESOLUTION
                self._set_clock(done.clock, done, done.answer, resolution, now)
        if done.maintenance is not None:
            state.told = done.maintenance
            self._sum_up()
        self._around.probed(done)

    def _log(self, state: EndpointState, done: Probed) -> None:
        """Log where an endpoint begins to fail and where it answers again; all between at debug."""
        failed_before = state.last is not None and not state.last.ok
        names = (done.exchange, done.endpoint)
        if done.ok:
            if failed_before:
                ago = None if state.last_success is None else round(done.time - state.last_success)
                log.info("probe_recovered exchange=%s endpoint=%s last_success_s=%s", *names, ago)
            return
        log.log(
            logging.DEBUG if failed_before else logging.INFO,
            "probe_failed exchange=%s endpoint=%s reason=%s duration_s=%.3f detail=%s",
            *names, done.reason, done.duration, done.detail[:200] or None,
        )  # fmt: skip

    def _set_clock(
        self,
        said: float,
        done: Probed,
        answer: Answer,
        resolution: float,
        now: float,
    ) -> None:
        # The venue read its clock after the handshakes and before the body. When just between, the
        # phases do not prove: we may have been late to write, and late to hear of the answer.
        phases = answer.phases
        before = sum(phases.get(each, 0.0) for each in (Phase.RESOLVE, Phase.CONNECT, Phase.TLS))
        round_trip = done.duration + answer.held - before - phases.get(Phase.TRANSFER, 0.0)
        sent = done.time + before
        offset = self.offset.observe(said, sent, round_trip, resolution, now)
        self.skew.offset = offset.value
        self._meter.clock(offset.value, offset.error)


_MODES = tuple(TradingMode)  # from all to least


def _bare(said: Maintenance) -> Maintenance:
    """Return what counts of a statement however old: a maintenance may take the endpoint too."""
    return replace(said, mode=None, start=None, incident="", notices=())


def _together(said: Iterable[Maintenance]) -> Maintenance:
    """Sum up what endpoints say: any maintenance, the most restricted mode, the next beginning."""
    found = list(said)
    active = next((each for each in found if each.active), Maintenance(active=False))
    modes = [_MODES.index(each.mode) for each in found if each.mode is not None]
    return replace(
        active,
        title=active.title or "; ".join(each.title for each in found if each.title)[:200],
        mode=_MODES[max(modes)] if modes else None,
        start=min((each.start for each in found if each.start is not None), default=None),
        incident="; ".join(each.incident for each in found if each.incident)[:200],
        notices=tuple(notice for each in found for notice in each.notices),
    )
