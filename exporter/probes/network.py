"""Whether this site is connected to the internet, by control targets that are no exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from exporter.contracts import Clock, Fetch
from exporter.model import Probed, Target
from exporter.probes.probe import Readers, probe
from exporter.probes.schedule import phase

_STATUSES = frozenset({200, 204})
_BODY = 64 << 10  # bytes; nobody reads them


def control_target(name: str, url: str, *, interval: float, timeout: float) -> Target:
    """Return what to ask of a control target; ``interval`` and ``timeout`` in seconds."""
    return Target(
        exchange="",
        endpoint=name,
        url=url,
        interval=interval,
        timeout=timeout,
        statuses=_STATUSES,
        body_limit=_BODY,
    )


class Network:
    """What is known of the control targets. ``report`` hears a target's name and if it was up."""

    def __init__(
        self, targets: Iterable[Target], *, clock: Clock, report: Callable[[str, bool], None]
    ) -> None:
        self.targets = tuple(targets)
        self._clock, self._report = clock, report
        self._up: dict[str, bool] = {}

    @property
    def online(self) -> bool:
        """False only when every control target is there and failed when it was asked last.

        What was not asked yet has not failed, and without control targets nobody can tell.
        """
        down = self.down
        return not down or down < len(self.targets)

    @property
    def down(self) -> int:
        """How many of the control targets failed when they were asked last."""
        return sum(not up for up in self._up.values())

    @property
    def up(self) -> Mapping[str, bool]:
        """Which of them were reached when they were asked last, by name."""
        return dict(self._up)

    async def watch(self, target: Target, fetch: Fetch) -> None:
        """Probe one target until cancelled, at its own offset in the interval."""
        first = True
        begun = self._clock.monotonic()
        while True:
            done: Probed = await probe(target, fetch, self._clock, Readers())
            self._up[target.endpoint] = done.ok
            self._report(target.endpoint, done.ok)
            share = phase("", target.endpoint) if first else 1.0
            first = False
            begun = max(begun + share * target.interval, self._clock.monotonic())
            await self._clock.sleep(begun - self._clock.monotonic())
