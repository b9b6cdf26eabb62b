"""The exporter's own health: local network and delays, used to attribute failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from exporter import config as settings
from exporter.anomaly.worst import Worst
from exporter.contracts import Clock, Fetch
from exporter.exchange.exchange import Exchange
from exporter.flow.cooperative import in_cooperative_steps
from exporter.flow.stalls import LoopStalls
from exporter.metrics import families
from exporter.metrics.registry import Registry
from exporter.model import Probed
from exporter.probes import attribution
from exporter.probes.attribution import Symptom
from exporter.probes.context import Task
from exporter.probes.network import Network, control_target


class ControlTargets:
    """The control targets of one config. `close` takes their series away."""

    def __init__(
        self,
        configured: Sequence[settings.ControlTargetConfig],
        registry: Registry,
        fetch: Fetch,
        clock: Clock,
    ) -> None:
        self._registry = registry.scope()
        self._fetch = fetch
        gauges = {
            each.name: self._registry.gauge(families.LOCAL_NETWORK_UP, each.name)
            for each in configured
        }
        targets = [
            control_target(each.name, each.url, interval=each.interval, timeout=each.timeout)
            for each in configured
        ]
        self.network = Network(
            targets, clock=clock, report=lambda name, up: gauges[name].set(1 if up else 0)
        )

    def tasks(self) -> Iterator[Task]:
        """Yield everything that must run."""
        for target in self.network.targets:
            run = partial(self.network.watch, target, self._fetch)
            yield "network", f"network/{target.endpoint}", run

    def close(self) -> None:
        """Take every series away."""
        self._registry.close()


class Lateness:
    """How late this process was of late, in all ways that could be taken for an exchange's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stalls = LoopStalls()
        self._loop, self._schedule, self._queue = Worst(), Worst(), Worst()

    def looped(self, lag: float) -> None:
        """Note how much later than asked a task was woken, in seconds."""
        self._loop.observe(lag, self._clock.monotonic())

    def probed(self, done: Probed) -> None:
        """Note how late a probe was begun."""
        self._schedule.observe(done.late, self._clock.monotonic())

    def waited(self, duration: float) -> None:
        """Note how long a frame lay in our queue, in seconds."""
        self._queue.observe(duration, self._clock.monotonic())

    def site(self, network: Network) -> attribution.Site:
        """Return what is known of our side now."""
        now = self._clock.monotonic()
        return attribution.Site(
            loop_lag=self._loop.read(now),
            schedule_lag=self._schedule.read(now),
            queue_wait=self._queue.read(now),
            controls=len(network.targets),
            controls_down=network.down,
        )


async def show_domains(exchanges: Sequence[Exchange], site: attribution.Site, clock: Clock) -> None:
    """Show for each exchange where the fault lies, if anything of it fails."""
    symptoms: dict[Exchange, frozenset[Symptom]] = {}

    def update(exchange: Exchange) -> None:
        symptoms[exchange] = exchange.symptoms()

    await in_cooperative_steps(exchanges, update, clock)
    unreached = sum(_silent(found) for found in symptoms.values())

    def blame(exchange: Exchange) -> None:
        found = symptoms[exchange]
        if not found:  # as mostly
            exchange.blame(None)
            return
        domain = attribution.attribute(
            found,
            site,
            peers=len(symptoms) - 1,
            peers_unreached=unreached - _silent(found),
        )
        exchange.blame(domain)

    await in_cooperative_steps(exchanges, blame, clock)


def _silent(symptoms: frozenset[Symptom]) -> bool:
    return Symptom.UNREACHED in symptoms and Symptom.ANSWERED not in symptoms
