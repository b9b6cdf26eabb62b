"""Reports anomalies and outages to the log, the pages and the Alertmanagers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from exporter import config as settings
from exporter.alertmanager.meter import ActiveMeter, PushMeter
from exporter.alertmanager.push import Alerts, Key, Push, Pushed, Recipient, Report, key_of
from exporter.anomaly import alerts as alerts_of
from exporter.anomaly.alerts import AlertOrigin, Claim
from exporter.anomaly.engine import AnomalyEngine
from exporter.anomaly.incidents import IncidentRule
from exporter.anomaly.outages import Outages
from exporter.anomaly.sampling import SIGNALS
from exporter.config import Config
from exporter.config.signals import SignalConfig
from exporter.contracts import Clock
from exporter.exchange.exchange import Exchange
from exporter.flow.cooperative import in_cooperative_steps
from exporter.flow.state_file import Parts
from exporter.http.client import HttpClient
from exporter.maintenance import TradingMode
from exporter.metrics.registry import Registry
from exporter.model import Circuit
from exporter.probes.attribution import Domain
from exporter.probes.context import Task
from exporter.runtime.fleet import end
from exporter.runtime.runtime import PATIENCE, Runtime
from exporter.signals import Change, Severity, Signal, Verdict

audit = logging.getLogger("exporter.audit")

_FIRING = "firing"  # the part of a photograph that holds the alerts
_STALE_AFTER = 60.0  # seconds without a new value after which a score leaves the page, at least
_SAID = {
    change: (
        f"anomaly_{change} exchange=%s signal=%s severity=%s score=%.3f value=%.6g center=%.6g"
        " lower=%.6g upper=%.6g since=%.3f detectors=%s sentence=%s"
    )
    for change in Change
}
_FIRED = "alert_fired alertname=%s exchange=%s signal=%s severity=%s"
_RESOLVED = "alert_resolved alertname=%s exchange=%s signal=%s severity=%s"


class Anomalies:
    """Judges, notices outages, and tells. `follow` a config, then `tick`."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        self.judging = AnomalyEngine(registry, clock, self._heard)
        self.outages = Outages()
        self.alerts = Alerts()
        self._config: Config | None = None
        self._client: HttpClient | None = None
        self._pushing: list[asyncio.Task[None]] = []
        self._pushes: Registry | None = None
        self._active = ActiveMeter(registry.scope())
        self._whole = asyncio.Lock()  # held from one moment that may be photographed to the next
        self._news = False  # whether a verdict came since the last telling
        self.start: Callable[[Task], asyncio.Task[None]] | None = None  # once tasks can run

    def tasks(self) -> Iterator[Task]:
        """Yield what must run whatever the config."""
        yield "nudge", "nudge", self.outages.ask

    async def follow(self, config: Config) -> None:
        """Judge and tell by this config from now on."""
        async with self._whole:
            before, self._config = self._config, config
            self._judge_by(config)
            await self._tell(config)
        if before is None or _told(before) != _told(config):
            await self._push_to(config)

    def _judge_by(self, config: Config) -> None:
        if config.anomaly.enabled:
            longest = max(config.probes.interval, config.anomaly.tick)
            self.judging.follow(
                [each.name for each in config.exchanges],
                IncidentRule(
                    hold=config.anomaly.hold,
                    clear=config.anomaly.clear,
                    cooldown=config.anomaly.cooldown,
                ),
                stale_after=max(_STALE_AFTER, 3.0 * longest),
                baseline=config.anomaly.baseline,
                signals=_signals(config.anomaly.signals),
                own={
                    each.name: _signals({**config.anomaly.signals, **each.signals})
                    for each in config.exchanges
                    if each.signals
                },
            )
        else:
            self.judging.stop()

    async def tick(self, force: Runtime) -> None:
        """Look once at everything, and tell what is new."""
        async with self._whole:
            config = self._config
            if config is None:
                return
            exchanges, online = force.exchanges, force.online()
            if await self.outages.update(exchanges, online=online, clock=self._clock) or self._news:
                await self._tell(config)
            if config.anomaly.enabled:
                await self.judging.tick(exchanges, force.deviations)
            if self._news:
                await self._tell(config)
            await self._compare_notices(exchanges)

    async def _compare_notices(self, exchanges: Sequence[Exchange]) -> None:
        """See who is first to know of a trouble: we, or the venue that declares it."""
        unusual = {verdict.series.exchange for verdict in self.judging.incidents}
        now = self._clock.wall()

        def compare(exchange: Exchange) -> None:
            name = exchange.name
            troubled = name in unusual or self.outages.out(name) or _troubled(exchange)
            exchange.compare_notices(troubled, now)

        await in_cooperative_steps(exchanges, compare, self._clock)

    async def stop(self) -> None:
        """Tell nobody any more; what fires is told on by others, or ends with its lease."""
        await end(self._pushing, PATIENCE)

    async def close(self) -> None:
        """Close what is open, once all has stopped."""
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None

    # --- what outlives the process ------------------------------------------------------------

    async def snapshot(self) -> Parts:
        """Return what was learnt and told as of one moment between two ticks.

        It is taken in bites: copying what 10,000 series have learnt takes 30 ms.
        """
        parts: dict[str, list[bytes]] = {}
        async with self._whole:
            for name, piece in self._pieces():
                parts.setdefault(name, []).append(piece)
                await self._clock.sleep(0.0)
        return parts

    def _pieces(self) -> Iterator[tuple[str, bytes]]:
        yield from self.judging.snapshot()
        for piece in self.alerts.pieces():
            yield _FIRING, piece

    def restore(self, parts: Parts) -> None:
        """Take up a photograph. Raises ValueError, and changes nothing, for what is no such."""
        told = parts.get(_FIRING, ())
        Alerts().restore(told)
        self.judging.restore(parts)
        self.alerts.restore(told)
        for alert in self.alerts.firing():
            if alert.labels.get("alertname") == alerts_of.DOWN:
                now = self._clock.monotonic()
                self.outages.resume(alert.labels.get("exchange", ""), alert.start, now)
        self._news = True

    # --- telling ------------------------------------------------------------------------------

    def _heard(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            _note(verdict)
        self._news = True

    async def _tell(self, config: Config) -> None:
        """Let exactly those alerts fire that should."""
        self._news = False
        origin = _origin(config)
        wanted = set[Key]()

        def fire(claim: Claim) -> None:
            wanted.add(key_of(claim.labels))
            if self.alerts.fire(claim.labels, claim.annotations, claim.start):
                audit.info(_FIRED, *_named(claim.labels))

        def end_unwanted(alert: Pushed) -> None:
            if key_of(alert.labels) not in wanted:
                self.alerts.end(alert.labels)
                audit.info(_RESOLVED, *_named(alert.labels))

        anomalies = alerts_of.anomalies(origin, self.judging.incidents)
        await in_cooperative_steps(chain(self.outages.claims(origin), anomalies), fire, self._clock)
        await in_cooperative_steps(self.alerts.firing(), end_unwanted, self._clock)
        self._active.show(self.alerts.firing() if config.alertmanagers else ())

    async def _push_to(self, config: Config) -> None:
        await end(self._pushing, PATIENCE)
        if self._pushes is not None:
            self._pushes.close()
        self._pushes = self._registry.scope()
        self._pushing = []
        if config.alertmanagers and self._client is None:
            self._client = HttpClient()
            await self._client.__aenter__()
        for each in config.alertmanagers:
            assert self._client is not None and self.start is not None  # noqa: S101, PT018 - set up
            meter = PushMeter(self._pushes, each.url)
            push = Push(
                _recipient(each, config.alerting),
                self.alerts,
                send=self._client,
                clock=self._clock,
                report=Report(taken=meter.taken, refused=meter.refused, failed=meter.failed),
            )
            self._pushing.append(self.start(("push", f"push/{each.url}", push.run)))


def _troubled(exchange: Exchange) -> bool:
    """Return whether a part of it is out by its own fault, or it takes some orders only."""
    if exchange.probing.said.mode not in (None, TradingMode.TRADING):
        return True
    return exchange.domain is Domain.EXCHANGE and any(
        state.breaker.state.circuit is not Circuit.CLOSED
        for state in exchange.probing.endpoints.values()
    )


def _named(labels: Mapping[str, str]) -> Iterator[str]:
    return (labels.get(name, "") for name in ("alertname", "exchange", "signal", "severity"))


def _signals(configured: Mapping[str, SignalConfig]) -> tuple[Signal, ...]:
    """Return the signals to judge, with what the config says of them."""
    found = []
    for signal in SIGNALS:
        said = configured.get(signal.name, SignalConfig())
        effect = signal.effect if said.minimum_effect is None else said.minimum_effect
        if said.enabled:
            found.append(replace(signal, effect=effect, sensitivity=said.sensitivity))
    return tuple(found)


def _told(config: Config) -> object:
    return config.alertmanagers, config.alerting


def _origin(config: Config) -> AlertOrigin:
    alerting = config.alerting
    return AlertOrigin(job=alerting.job, site=alerting.site, external=alerting.external_labels)


def _recipient(to: settings.AlertmanagerConfig, alerting: settings.AlertingConfig) -> Recipient:
    login = None
    if to.username is not None and to.password is not None:
        login = to.username, to.password.reveal()
    return Recipient(
        url=to.url,
        timeout=to.timeout,
        bearer=None if to.bearer_token is None else to.bearer_token.reveal(),
        login=login,
        repeat=alerting.repeat,
        generator_url=alerting.generator_url or "",
    )


def _note(verdict: Verdict) -> None:
    """Write one verdict into the audit log."""
    evidence, series = verdict.evidence, verdict.series
    urgent = verdict.severity is Severity.CRITICAL
    open_ = verdict.change in (Change.OPENED, Change.WORSENED)
    audit.log(
        logging.WARNING if urgent and open_ else logging.INFO,
        _SAID[verdict.change],
        series.exchange,
        series.signal,
        verdict.severity,
        evidence.score,
        evidence.value,
        evidence.center,
        evidence.lower,
        evidence.upper,
        verdict.since,
        ",".join(f"{name}:{score:.2f}" for name, score in sorted(evidence.detectors.items())),
        verdict.sentence,
    )
