"""The relay's config in force and what is made of it; another can take its place at any time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from random import random
from typing import Final, TypeAlias

from exporter import notifiers
from exporter.alerting import courier, ledger, outbox, texts
from exporter.alerting.adviser import Advice, Adviser, Outcome
from exporter.alerting.adviser import Rules as AdviserRules
from exporter.alerting.courier import Courier
from exporter.alerting.incident import Incident
from exporter.alerting.intake import Post
from exporter.alerting.ledger import Ledger
from exporter.alerting.receiver import Receiver
from exporter.alerting.store import Store, StoreError
from exporter.alerting.writing import Taken
from exporter.app.relay.settings import (
    ledger_settings,
    model_of,
    policy_of,
    receiver_of,
    sending,
)
from exporter.config.relay import Config
from exporter.contracts import Clock, Notifier, Send
from exporter.metrics.relay import RelayMeter

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


def _nobody(notifier: Notifier) -> Send:
    raise RuntimeError("no config is in force yet")


class Force:
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
        self.carrier: Callable[[Notifier], Send] = _nobody
        self._couriers: list[Courier] = []
        self._workers: dict[Courier, asyncio.Task[None]] = {}
        self._ledger = Ledger((), ledger.Settings())
        self._adviser: Adviser | None = None
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def receivers(self) -> Sequence[Receiver]:
        """Those who are told now, in the config's order."""
        return [each.receiver for each in self._couriers]

    @property
    def depth(self) -> int:
        """How many deliveries wait or are under way."""
        return sum(each.depth for each in self._couriers)

    # --- the config -----------------------------------------------------------------------------

    async def change(self, config: Config) -> None:
        """Follow this config from now on. Raises StoreError."""
        self.carrier = await self._edges.enter_async_context(sending(config))
        receivers = [receiver_of(each) for each in config.receivers]
        self._ledger = Ledger(receivers, ledger_settings(config))
        self._adviser = self._made_adviser(config)
        self._couriers = [
            Courier(
                receiver,
                policy_of(each),
                store=self._store,
                send=self.carrier(receiver.notifier),
                clock=self._clock,
                meter=self._meter,
                chance=random,
            )
            for receiver, each in zip(receivers, config.receivers, strict=True)
        ]
        careful = [r.name for r in receivers if not (r.resend or r.notifier.keyed)]
        now = self._clock.wall()
        await self._store.write(lambda db: outbox.interrupted(db, careful, now))
        await self.take_up()
        for each in self._couriers:
            texts.warm(each.receiver)
            self._workers[each] = self._start("deliver", each.run)

    def _made_adviser(self, config: Config) -> Adviser | None:
        ask = config.triage
        if not ask.enabled:
            return None
        return Adviser(
            model_of(ask),
            AdviserRules(deadline=ask.deadline, evidence_url=ask.evidence_url),
            send=self.carrier(notifiers.load("webhook")),
            clock=self._clock,
            fence=lambda: f"=== {secrets.token_hex(8)} ===",
        )

    async def take_up(self) -> None:
        """Hand all that waits on the disk to those who deliver it. Raises StoreError."""
        now = self._clock.wall()
        pending = await self._store.write(lambda db: outbox.pending(db, now, LONGEST_DELAY))
        courier.shared(self._couriers, pending)
        known = {each.receiver.name for each in self._couriers}
        for name in sorted({each.receiver for each in pending} - known):
            log.warning("receiver_gone receiver=%s", name)

    async def stop(self) -> None:
        """Begin no further try; what is cut off in the end is tried again at the next start."""
        for each in self._couriers:
            each.stop()
        if self._workers:
            await asyncio.wait(self._workers.values(), timeout=LEAVE)
        await ended((*self._workers.values(), *self._asking))

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
            log.warning("post_not_taken error=%s", error)
            return error
        except Exception:  # a mistake of ours must not end the task group: it is said and counted
            log.exception("post_not_taken group=%s", post.group)
            return StoreError("internal error")
        self._follow(taken)
        return None

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
        courier.shared(self._couriers, taken.pending)
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
        """Give since when (epoch seconds) an incident of a group is open. Raises StoreError."""
        return await self._store.write(lambda db: self._ledger.open_since(db, group))

    # --- triage ---------------------------------------------------------------------------------

    async def _advise(self, adviser: Adviser, incident: Incident) -> None:
        """Ask about an incident that people have been told of, and send them the answer after."""
        advice = Advice(outcome=Outcome.ERROR)
        try:
            advice = await adviser.ask(incident)
        except Exception:  # as above: nothing that a model says may end the relay
            log.exception("triage_broken incident=%s", incident.id)
        self._meter.triaged(advice.outcome.value, advice.seconds)
        parts: Mapping[str, str] = {}
        if advice.found is not None:
            parts = advice.found.parts
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
