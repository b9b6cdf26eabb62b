"""What is unusual and who is out, and everybody who hears of it: log, pages, Alertmanagers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from exporter import config as settings
from exporter.alerting import verdicts as alerts_of
from exporter.alerting.push import Alerts, Push, Recipient, Report
from exporter.alerting.verdicts import Origin
from exporter.app import bundle
from exporter.app.around import Task
from exporter.app.fleet import end
from exporter.app.force import PATIENCE, Force
from exporter.app.judging import Judging
from exporter.app.outages import Outages
from exporter.config import Config
from exporter.contracts import Clock
from exporter.detectors.judge import Rule
from exporter.edge.direct import DirectClient
from exporter.metrics.pushes import PushMeter
from exporter.metrics.registry import Registry
from exporter.model import Change, Severity, Verdict

audit = logging.getLogger("exporter.audit")

_STALE_AFTER = 60.0  # seconds without a new value after which a score leaves the page, at least
_SAID = {
    change: (
        f"anomaly_{change} exchange=%s signal=%s severity=%s score=%.3f value=%.6g center=%.6g"
        " lower=%.6g upper=%.6g since=%.3f detectors=%s sentence=%s"
    )
    for change in Change
}
_ALERT = "alertname=%s exchange=%s signal=%s severity=%s"
_FIRED, _RESOLVED = f"alert_fired {_ALERT}", f"alert_resolved {_ALERT}"


class Anomalies:
    """Judges, notices outages, and tells. `follow` a config, then `tick`."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        self.judging = Judging(registry, clock, self._heard)
        self.outages = Outages()
        self.alerts = Alerts()
        self._config: Config | None = None
        self._client: DirectClient | None = None
        self._pushing: list[asyncio.Task[None]] = []
        self._pushes: Registry | None = None
        self.start: Callable[[Task], asyncio.Task[None]] | None = None  # once tasks can run

    def tasks(self) -> Iterator[Task]:
        """Give what must run whatever the config."""
        yield "nudge", "nudge", self.outages.ask

    async def follow(self, config: Config) -> None:
        """Judge and tell by this config from now on."""
        before, self._config = self._config, config
        if config.anomaly.enabled:
            longest = max(config.probes.interval, config.anomaly.tick)
            self.judging.follow(
                [each.name for each in config.exchanges],
                Rule(
                    hold=config.anomaly.hold,
                    clear=config.anomaly.clear,
                    cooldown=config.anomaly.cooldown,
                ),
                stale_after=max(_STALE_AFTER, 3.0 * longest),
                baseline=config.anomaly.baseline,
            )
        else:
            self.judging.stop()
        if before is None or _told(before) != _told(config):
            await self._push_to(config)
        self._tell()

    async def tick(self, force: Force) -> None:
        """Look once at everything, and tell what is new."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        self.outages.look(force.exchanges, online=force.online(), now=now, wall=wall)
        self._tell()
        if self._config is not None and self._config.anomaly.enabled:
            await self.judging.tick(force.exchanges, force.deviations)

    async def stop(self) -> None:
        """Tell nobody any more; what fires is told on by others, or ends with its lease."""
        await end(self._pushing, PATIENCE)

    async def close(self) -> None:
        """Close what is open, once all has stopped."""
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None

    # --- what outlives the process ------------------------------------------------------------

    def photograph(self) -> Callable[[], bytes]:
        """Take what was learnt and told as it is now; dump it when called, in whichever thread."""
        learnt, alerts = self.judging.photograph(), self.alerts.dump()
        return lambda: bundle.pack({**learnt(), "alerts": alerts})

    def dump(self) -> bytes:
        """Give what was learnt and told, as bytes."""
        return self.photograph()()

    def restore(self, blob: bytes) -> None:
        """Take up a dump. Raises ValueError, and changes nothing, for what is no such."""
        parts = bundle.unpack(blob)
        alerts = Alerts()
        alerts.restore(parts.get("alerts", b""))
        self.judging.restore(parts)
        self.alerts.restore(parts["alerts"])
        for alert in self.alerts.firing():
            if alert.labels.get("alertname") == alerts_of.DOWN:
                now = self._clock.monotonic()
                self.outages.resume(alert.labels.get("exchange", ""), alert.start, now)
        self._tell()

    # --- telling ------------------------------------------------------------------------------

    def _heard(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            _note(verdict)
        self._tell()

    def _tell(self) -> None:
        """Let exactly those alerts fire that should."""
        if self._config is None:
            return
        origin, now = _origin(self._config), self._clock.wall()
        claims = [
            *self.outages.claims(origin),
            *alerts_of.anomalies(origin, self.judging.incidents),
        ]
        wanted = {tuple(sorted(claim.labels.items())) for claim in claims}
        for alert in self.alerts.firing():
            if tuple(sorted(alert.labels.items())) not in wanted:
                self.alerts.end(alert.labels, now)
                audit.info(_RESOLVED, *_named(alert.labels))
        for claim in claims:
            if self.alerts.fire(claim.labels, claim.annotations, claim.start):
                audit.info(_FIRED, *_named(claim.labels))

    async def _push_to(self, config: Config) -> None:
        await end(self._pushing, PATIENCE)
        if self._pushes is not None:
            self._pushes.close()
        self._pushes = self._registry.scope()
        self._pushing = []
        if config.alertmanagers and self._client is None:
            self._client = DirectClient()
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


def _named(labels: Mapping[str, str]) -> Iterator[str]:
    return (labels.get(name, "") for name in ("alertname", "exchange", "signal", "severity"))


def _told(config: Config) -> object:
    return config.alertmanagers, config.alerting


def _origin(config: Config) -> Origin:
    alerting = config.alerting
    return Origin(job=alerting.job, site=alerting.site, external=alerting.external_labels)


def _recipient(to: settings.Alertmanager, alerting: settings.Alerting) -> Recipient:
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
