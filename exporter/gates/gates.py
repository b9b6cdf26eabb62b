"""The configured gates: decided several times a second, published, and told to who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from exporter.config import GateConfig
from exporter.contracts import Clock
from exporter.exchange.exchange import Exchange
from exporter.gates import facts
from exporter.gates.decision import Decision, GateFact, GateRule, begin, decide
from exporter.gates.facts import Moment, Wanted
from exporter.gates.meter import GateMeter
from exporter.metrics.registry import Registry

EVERY = 0.25  # seconds between two decisions: a fault closes a gate within them
WATCHERS = 64  # that may follow gates at once
_REPEAT = 0.5  # share of `valid_for` after which a watcher is told again though nothing changed


@dataclass(slots=True)
class Gate:
    """One gate: what it asks for, and what was decided of it."""

    config: GateConfig
    rule: GateRule
    wanted: Wanted
    shown: Registry  # what of it is published, and ends with it
    meter: GateMeter
    decision: Decision
    waiting: list[asyncio.Event] = field(default_factory=list)  # who wants to hear of a change

    def decide(self, exchanges: Mapping[str, Exchange], now: Moment) -> None:
        """Decide anew, publish it, and wake who watches if it became another."""
        before = self.decision
        found = list(self._facts(exchanges, now))
        after = self.decision = decide(before, found, now.monotonic, self.rule)
        self.meter.decided(before, after)
        if _told(before) != _told(after):
            for each in self.waiting:
                each.set()

    def _facts(self, exchanges: Mapping[str, Exchange], now: Moment) -> Iterator[GateFact]:
        for name in self.config.exchanges:
            exchange = exchanges.get(name)
            if exchange is None:
                yield facts.elsewhere(name, now)
            else:
                yield from facts.of_exchange(exchange, self.wanted, now)


class TradingGates:
    """All gates by name, in the config's order; `run` decides them for as long as it runs."""

    def __init__(
        self, registry: Registry, clock: Clock, exchanges: Callable[[], Sequence[Exchange]]
    ) -> None:
        self._registry, self._clock, self._exchanges = registry, clock, exchanges
        self._gates: dict[str, Gate] = {}
        self._watching = 0

    def follow(self, configured: Sequence[GateConfig]) -> None:
        """Have these gates from now on. One whose config is the same keeps what was decided."""
        before, self._gates = self._gates, {}
        for each in configured:
            old = before.get(each.name)
            if old is not None and old.config == each:
                self._gates[each.name] = before.pop(each.name)
        for gone in before.values():
            gone.shown.close()
            for event in gone.waiting:  # they look anew, and find another gate or none
                event.set()
        self._gates = {
            each.name: self._gates.get(each.name) or self._made(each) for each in configured
        }

    def _made(self, config: GateConfig) -> Gate:
        shown = self._registry.scope()
        return Gate(
            config=config,
            rule=GateRule(
                open_after=config.open_after,
                valid_for=config.valid_for,
                unknown_closes=config.unknown == "closed",
            ),
            wanted=Wanted(
                needs=frozenset(config.needs),
                symbols=frozenset(config.symbols),
                clock_offset=config.clock_offset,
            ),
            shown=shown,
            meter=GateMeter(shown, config.name, config.needs, config.exchanges),
            decision=begin(self._clock.monotonic()),
        )

    async def run(self) -> None:
        """Decide all gates, over and over."""
        while True:
            self.update()
            await self._clock.sleep(EVERY)

    def update(self) -> None:
        """Decide all gates now."""
        if not self._gates:
            return
        now = Moment(self._clock.wall(), self._clock.monotonic())
        exchanges = {each.name: each for each in self._exchanges()}
        for gate in self._gates.values():
            gate.decide(exchanges, now)

    def all(self) -> list[dict[str, object]]:
        """Return every gate as the API shows it."""
        return [self._view(gate) for gate in self._gates.values()]

    def one(self, name: str) -> dict[str, object]:
        """Return one gate as the API shows it. Raises LookupError with the names that there are."""
        if name not in self._gates:
            raise LookupError(f"no gate of that name; there are {', '.join(self._gates) or 'none'}")
        return self._view(self._gates[name])

    @property
    def room(self) -> bool:
        """Return whether one more may watch."""
        return self._watching < WATCHERS

    async def watch(self, name: str) -> AsyncGenerator[dict[str, object], None]:
        """Yield one gate at once, at each change, and in time for a reader to go on believing it.

        Ends when the gate is gone. To be called only where there is `room`.
        """
        self._watching += 1
        try:
            while (gate := self._gates.get(name)) is not None:
                changed = asyncio.Event()
                gate.waiting.append(changed)
                try:
                    yield self._view(gate)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_REPEAT * gate.rule.valid_for):
                            await changed.wait()
                finally:
                    gate.waiting.remove(changed)
        finally:
            self._watching -= 1

    def _view(self, gate: Gate) -> dict[str, object]:
        wall, now = self._clock.wall(), self._clock.monotonic()
        decision, rule = gate.decision, gate.rule
        quote = decision.holds(now)
        reasons = [
            {
                "need": each.need,
                "where": each.where,
                "why": each.why,
                "known": each.good is not None,
            }
            for each in decision.reasons
        ]
        if not quote and not reasons:
            begun = decision.healthy_since
            left = rule.open_after if begun is None else max(0.0, begun + rule.open_after - now)
            why = f"all is well, and must stay so for another {left:.0f} s"
            if now >= decision.valid_until:
                why = f"not decided for {now - decision.decided:.1f} s"
            reasons = [{"need": "", "where": gate.config.name, "why": why, "known": True}]
        return {
            "name": gate.config.name,
            "quote": quote,
            "cancel": decision.cancel and now < decision.valid_until,
            "since": wall - (now - decision.since),
            "reasons": reasons,
            "valid_until": wall + (decision.valid_until - now),
            "valid_for": max(0.0, decision.valid_until - now),
            "exchanges": list(gate.config.exchanges),
            "symbols": list(gate.config.symbols),
            "needs": list(gate.config.needs),
        }


def _told(decision: Decision) -> tuple[object, ...]:
    """Return what a watcher is told at once when it changes."""
    reasons = tuple((each.need, each.where) for each in decision.reasons)
    return decision.open, decision.cancel, reasons
