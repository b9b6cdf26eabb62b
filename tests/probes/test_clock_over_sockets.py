"""Venue clocks measured by the running program, held against the simulator's injected skew."""

from __future__ import annotations

import asyncio

from exporter.contracts import Clock
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.simulator.venue_server import VenueServer
from tests.runtime.running import running, wait_until

VENUES = ("binance", "bybit", "kucoin")
KEYS = "limits: {share: 100%}, streams: [], endpoints: [{name: time, interval: 100ms}]"
STEP = {"fault": "clock_skew", "seconds": 5.0}  # and back by as much at its end
DRIFT = {"fault": "clock_skew", "seconds": 0.0, "drift_ppm": 50.0}
SAMPLES = 25  # of each venue after each change


class Samples:
    """Each offset that is published, beside the true one of the same moment."""

    def __init__(self, probing: ExchangeProbes, desk: VenueServer) -> None:
        self._probing, self._desk = probing, desk
        self._last = probing.endpoints["time"].last
        self.count = 0
        self.wrong: list[str] = []
        self.seen: set[int] = set()  # whole seconds of skew that were published

    def look(self, clock: Clock, stepped: float) -> None:
        """Take the newest if there is one that was asked for after ``stepped`` (epoch seconds)."""
        last = self._probing.endpoints["time"].last
        if last is self._last or last is None or last.clock is None:
            return
        self._last = last
        if last.time <= stepped:
            return
        published, true = self._probing.skew.offset, self._desk.skew()
        error = self._probing.offset.read(clock.monotonic()).error
        self.count += 1
        self.seen.add(round(published))
        if abs(published - true) > error + 1e-6:  # what a float of epoch seconds resolves
            self.wrong.append(f"{published} is not {true} ± {error}")


def test_steps_and_drift_stay_within_the_published_bound() -> None:
    """Clocks that step by ±5 s and drift by 50 ppm, over real sockets: each sample is right.

    A step while a request is on its way makes that one sample wrong, and no other: it is left out.
    """

    async def test() -> None:
        async with running(VENUES, exchange=KEYS) as program:
            clock, simulator = program.app.clock, program.simulator
            samples = [
                Samples(program.exchange(name).probing, simulator.desks[name]) for name in VENUES
            ]

            async def look() -> None:
                """Take samples; the clocks were changed just before."""
                stepped = clock.wall()
                wanted = [each.count + SAMPLES for each in samples]
                while any(each.count < most for each, most in zip(samples, wanted, strict=True)):
                    for each in samples:
                        each.look(clock, stepped)
                    await asyncio.sleep(0.002)

            await wait_until(
                lambda: all(program.exchange(n).probing.endpoints["time"].last for n in VENUES)
            )
            injected = simulator.inject(STEP)
            await look()
            simulator.clear(injected)
            await look()
            simulator.inject(DRIFT)
            await look()
            for each in samples:
                assert each.seen == {0, 5}
                assert each.wrong == []

    asyncio.run(asyncio.wait_for(test(), 100.0))
