"""The relay's current config and the objects built from it; a reload replaces them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from random import random
from typing import Final, TypeAlias

from exporter.config.reload import Changes
from exporter.contracts import Clock, Fetch, Notifier
from exporter.logs import SPARING
from exporter.model import Circuit
from exporter.redact import Redactor
from exporter.relay import delivery, incident_store, outbox, rendering
from exporter.relay.config import RelayConfig
from exporter.relay.delivery import DeliveryPolicy, DeliveryWorker
from exporter.relay.enqueue import Taken
from exporter.relay.incident import Incident
from exporter.relay.incident_store import IncidentStore
from exporter.relay.metrics import RelayMeter
from exporter.relay.receiver import Receiver
from exporter.relay.settings import (
    Carrier,
    adviser_of,
    ledger_settings,
    policy_of,
    receiver_of,
    sending,
    veil_of,
)
from exporter.relay.store import Store, StoreError
from exporter.relay.triage_client import Advice, TriageClient, TriageOutcome
from exporter.relay.webhook import Post

log = logging.getLogger(__name__)

LEAVE: Final = 12.0  # seconds that tries under way have to end
LONGEST_DELAY: Final = 3600.0

Start: TypeAlias = Callable[[str, Callable[[], Awaitable[None]]], asyncio.Task[None]]
"""Runs a task of a kind (the label ``task``), supervised."""


async def ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _nobody(notifier: Notifier, *, optional: bool = False) -> Fetch:
    raise RuntimeError("no config is in force yet")


class RelayRuntime:
    """What works by the config in force. ``group`` is for tasks that end by themselves."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        meter: RelayMeter,
        group: asyncio.TaskGroup,
        start: Start,
    ) -> None:
        self._store, self._clock, self._meter = store, clock, meter
        self._group, self._start = group, start
        self._edges = AsyncExitStack()
        self.carrier: Carrier = _nobody
        self._config: RelayConfig | None = None
        self._couriers: list[DeliveryWorker] = []
        self._workers: dict[DeliveryWorker, asyncio.Task[None]] = {}
        self._ledger = IncidentStore((), incident_store.IncidentStoreSettings())
        self._adviser: TriageClient | None = None
        self._veil = Redactor()
        self._asking: set[asyncio.Task[None]] = set()
        self.refused = False  # whether the last post, or its rehearsal, found no place

    @property
    def receivers(self) -> Sequence[Receiver]:
        """Those who are told now, in the config's order."""
        return [each.receiver for each in self._couriers]

    @property
    def depth(self) -> int:
        """How many deliveries wait or are under way."""
        return sum(each.depth for each in self._couriers)

    # --- the config -----------------------------------------------------------------------------

    async def change(self, config: RelayConfig) -> Changes:
        """Follow this config from now on; who did not change works on. Raises StoreError at first.

        Later a disk that refuses is waited for: what was ended must begin again.
        """
        before, edges, carrier = self._config, self._edges, self.carrier
        moved = before is None or before.http != config.http
        if moved:
            edges = AsyncExitStack()
            carrier = await edges.enter_async_context(sending(config))
        wanted = {each.name: (receiver_of(each), policy_of(each)) for each in config.receivers}
        kept = {} if moved else {
            each.receiver.name: each
            for each in self._couriers
            if wanted.get(each.receiver.name) == (each.receiver, each.policy)
        }  # fmt: skip
        known = {each.receiver.name for each in self._couriers}
        await self._retire([each for each in self._couriers if each not in kept.values()])
        # From here on nothing waits until the new ones have taken their places.
        let_go, self._edges, self.carrier = self._edges, edges, carrier
        self._config = config
        self._meter.follow(wanted)
        self._ledger = IncidentStore([each for each, _ in wanted.values()], ledger_settings(config))
        self._adviser = adviser_of(config, self.carrier, self._clock)
        self._veil = veil_of(config)
        self._couriers = [
            kept.get(name) or self._courier(receiver, policy)
            for name, (receiver, policy) in wanted.items()
        ]
        if moved:
            self._group.create_task(self._let_go(let_go, set(self._asking)))
        await self._resume(kept, patient=before is not None)
        for each in self._couriers:
            if each not in self._workers:
                rendering.warm(each.receiver)
                self._workers[each] = self._start("deliver", each.run)
        return Changes(
            added=tuple(name for name in wanted if name not in known),
            removed=tuple(sorted(known - wanted.keys())),
            restarted=tuple(name for name in wanted if name in known and name not in kept),
            kept=tuple(kept),
        )

    def _courier(self, receiver: Receiver, policy: DeliveryPolicy) -> DeliveryWorker:
        self._meter.circuit(receiver.name, Circuit.CLOSED)
        return DeliveryWorker(
            receiver,
            policy,
            store=self._store,
            send=self.carrier(receiver.notifier),
            optional=self.carrier(receiver.notifier, optional=True),
            clock=self._clock,
            meter=self._meter,
            chance=random,
        )

    async def _retire(self, couriers: Sequence[DeliveryWorker]) -> None:
        """Let tries under way end, begin no other."""
        for each in couriers:
            each.stop()
        tasks = [self._workers.pop(each) for each in couriers if each in self._workers]
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE)
            await ended(tasks)

    @staticmethod
    async def _let_go(edges: AsyncExitStack, asking: Collection[asyncio.Task[None]]) -> None:
        """Close connections of an earlier config, once nobody asks over them any more."""
        if asking:
            await asyncio.wait(asking, timeout=LEAVE)
        await edges.aclose()

    async def _resume(self, kept: Collection[str], *, patient: bool) -> None:
        """Take up what waits on the disk, and what was cut off; ``kept`` are at work."""
        careful = [r.name for r in self.receivers if not (r.resend or r.notifier.idempotent)]
        while True:
            now = self._clock.wall()
            try:
                await self._store.write(lambda db: outbox.interrupted(db, careful, now, kept))  # noqa: B023 - called before the next round
                return await self.take_up()
            except StoreError as error:
                if not patient:
                    raise
                log.warning("outbox_unwritable error=%s", error, extra=SPARING)
                await self._clock.sleep(1.0)

    async def take_up(self) -> None:
        """Hand all that waits on the disk to those who deliver it. Raises StoreError."""
        now = self._clock.wall()
        pending = await self._store.write(lambda db: outbox.pending(db, now, LONGEST_DELAY))
        delivery.shared(self._couriers, pending)
        known = {each.receiver.name for each in self._couriers}
        for name in sorted({each.receiver for each in pending} - known):
            log.warning("receiver_gone receiver=%s", name)

    async def stop(self) -> None:
        """Begin no further try; what is cut off in the end is tried again at the next start."""
        await self._retire(self._couriers)
        await ended(tuple(self._asking))

    async def close(self) -> None:
        """Close what is open, once all has stopped."""
        await self._edges.aclose()

    # --- posts ----------------------------------------------------------------------------------

    async def take(self, post: Post) -> StoreError | None:
        """Write a post down and hand over what follows from it; what went wrong is given back."""
        now = self._clock.wall()
        try:
            taken = await self._store.write(lambda db: self._ledger.take(db, post, now))
        except StoreError as error:
            log.warning("post_not_taken error=%s", error, extra=SPARING)
            self.refused = True
            return error
        except Exception:  # a mistake of ours must not end the task group: it is said and counted
            log.exception("post_not_taken group=%s", post.group, extra=SPARING)
            return StoreError("internal error")
        self._follow(taken)
        return None

    async def rehearse(self) -> None:
        """See whether a post would be taken now: tables, room and disk. Raises StoreError."""
        now = self._clock.wall()
        try:
            await self._store.write(lambda db: self._ledger.rehearse(db, now))
            await self._store.write(lambda db: outbox.remember(db, "rehearsed", repr(now)))
        except StoreError:
            self.refused = True
            raise
        self.refused = False

    async def settle(self, wall: float, held: Sequence[str]) -> None:
        """Let time pass: ``held`` names receivers with something held back. Raises StoreError."""
        self._follow(await self._store.write(lambda db: self._ledger.settle(db, now=wall)))
        for name in held:
            self._follow(
                await self._store.write(
                    lambda db, name=name: self._ledger.release(db, name=name, now=wall)  # type: ignore[misc]  # bound now
                )
            )

    def _follow(self, taken: Taken) -> None:
        delivery.shared(self._couriers, taken.pending)
        self._meter.deduplicated.inc(taken.duplicates)
        for receiver, reason in taken.held:
            self._meter.held(receiver, reason.value)
        for receiver in taken.truncated:
            self._meter.tried(receiver, "truncated")
        for _ in range(taken.unasked):
            self._meter.triaged("budget")
        if self._adviser is None:
            for _ in range(taken.urgent):
                self._meter.triaged("disabled")
            return
        for incident in taken.triage:
            task = self._group.create_task(self._advise(self._adviser, incident), name="triage")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def open_since(self, group: str) -> float | None:
        """Return since when (epoch seconds) an incident of a group is open. Raises StoreError."""
        return await self._store.write(lambda db: self._ledger.open_since(db, group))

    # --- triage ---------------------------------------------------------------------------------

    async def _advise(self, adviser: TriageClient, incident: Incident) -> None:
        """Ask about an incident that people have been told of, and send them the answer after."""
        advice = Advice(outcome=TriageOutcome.ERROR)
        try:
            advice = await adviser.ask(incident)
        except Exception:  # as above: nothing that a model says may end the relay
            log.exception("triage_broken incident=%s", incident.id)
        self._meter.triaged(advice.outcome.value, advice.seconds)
        parts: Mapping[str, str] = {}
        if advice.found is not None:
            # The answer was veiled as it came; what a model spells in another way is not.
            parts = {name: self._veil.over(text) for name, text in advice.found.parts.items()}
            self._meter.tokens(advice.found.prompt_tokens, advice.found.completion_tokens)
        now, outcome = self._clock.wall(), advice.outcome.value
        try:
            taken = await self._store.write(
                lambda db: self._ledger.triaged(db, incident.id, outcome, parts, now)
            )
            self._follow(taken)
        except StoreError as error:
            log.warning("triage_not_kept incident=%s error=%s", incident.id, error)
        for each in self._couriers:
            each.hurry(incident.id)
