"""One simulated venue at work: its clock, its markets, its feeds, and what faults do to them.

Every fault of streams, prices and the clock is applied in this file; those of REST in `rest.py`;
those of whole connections and listeners in `service.py`.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from exporter.simulator import limits
from exporter.simulator.damage import damaged, frame, without
from exporter.simulator.fault_registry import Active
from exporter.simulator.faults import Fault
from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import STRAIGHT, Bend, Pair, Print, Walk
from exporter.simulator.session import SimulatedSession
from exporter.simulator.spec import SimulatedFeed, VenueSpec

_MOST_LATE = 100_000  # batches of frames held back by injected latency; more are lost, and counted


@dataclass(slots=True, eq=False)
class _Run:
    """A pair on its way through time. ``began`` and ``due`` on the monotonic clock."""

    pair: Pair
    walk: Walk
    began: float
    due: float
    prints: list[Print] = field(default_factory=list)
    given: int = 0
    held: bool = False  # a burst is about to use its trade numbers


@dataclass(frozen=True, slots=True)
class ListedAs:
    """How a market stands in a list: ``tick`` in the market's own; ``delisting`` epoch ms."""

    mode: str
    tick: int
    delisting: int | None


class VenueServer:
    """One venue's running state."""

    def __init__(
        self,
        wire: VenueSpec,
        pairs: Iterable[tuple[Pair, Walk]],
        faults: list[Active],
        *,
        seed: int,
        steps: float,
        limited: bool,
        lifetime: float | None,
        buffer_limit: int,
    ) -> None:
        """``faults`` is the registry's list, which changes; ``steps`` a second; sizes in bytes."""
        self.wire = wire
        self.faults = faults
        self.limited = limited
        self.address = ""  # its own WebSocket base URL, known once the listeners are open
        self.lifetime = lifetime if lifetime is not None else wire.lifetime
        self.buffer_limit = buffer_limit
        self.random = Random(f"{seed}/{wire.name}/faults")
        self.sessions: set[SimulatedSession] = set()
        self.dirty: set[SimulatedSession] = set()
        self.feeds: dict[str, SimulatedFeed] = {}
        self.usage, self.bans = limits.RequestCounter(), limits.SimulatedBans()
        self.sent: Tally[str] = Tally()
        self.requests: Tally[str] = Tally()
        self.events: Tally[str] = Tally()
        self._period = 1.0 / steps
        runs = [_Run(pair, walk, 0.0, 0.0) for pair, walk in pairs]
        self._runs = {run.pair.listing.symbol: run for run in runs}
        self._by_pair: dict[str, list[SimulatedFeed]] = {symbol: [] for symbol in self._runs}
        self._late: list[tuple[float, int, SimulatedFeed, tuple[SimulatedSession, ...], bytes]] = []
        self._late_number = 0
        self._drained = 0.0  # up to when nothing is held back any more, monotonic
        now = time.monotonic()
        for place, run in enumerate(runs):
            # Spread over the period, so that not all markets speak in the same instant.
            run.began = now - self._period * self.random.random() - 1e-4 * place
            run.due = run.began + self._period
            run.pair.printed = self.millis()  # what it says of its last trade until there is one

    # --- clock and markets ---------------------------------------------------------------------

    def skew(self) -> float:
        """Return how far the venue's clock is ahead, in seconds."""
        skew, now = 0.0, time.monotonic()
        for active in self.faults:
            if active.fault.kind is FaultKind.CLOCK_SKEW:
                lasted = now - (active.since if active.since is not None else now)
                skew += active.fault.number("seconds")
                skew += active.fault.number("drift_ppm") * 1e-6 * lasted
        return skew

    def nanos(self) -> int:
        """Return the venue's clock in epoch nanoseconds."""
        now = time.time_ns()
        return now + int(self.skew() * 1e9) if self.faults else now

    def millis(self) -> int:
        """Return the venue's clock in epoch milliseconds."""
        return self.nanos() // 1_000_000

    def pair(self, symbol: str) -> Pair | None:
        """Find a market by the venue's spelling."""
        run = self._runs.get(symbol)
        return run.pair if run and self._listed(run.pair) else None

    def pairs(self) -> Sequence[Pair]:
        """Return all markets."""
        return [run.pair for run in self._runs.values() if self._listed(run.pair)]

    def _listed(self, pair: Pair) -> bool:
        return not (self.faults and self._covering(FaultKind.DELISTED, "book", pair))

    def common(self, pair: Pair) -> float:
        """Return the price that all venues share, without this one's noise and faults."""
        return self._runs[pair.listing.symbol].walk.at(pair.number) * pair.listing.start

    def turn(self, now: float) -> None:
        """Run what is due; ``now`` is monotonic. To be called about a hundred times a second."""
        # First what was held back: what is made now must not overtake it.
        while self._late and self._late[0][0] <= now:
            _, _, _, targets, blob = heappop(self._late)
            for session in targets:
                session.push(blob)
        self._drained = now
        for run in self._runs.values():
            if now >= run.due:
                self._print(run, len(run.prints))
                self._step(run, now)
            elif run.given < len(run.prints):
                share = (now - run.began) / self._period
                self._print(run, min(len(run.prints), int(share * len(run.prints) + 0.5)))
        self.flush()

    def flush(self) -> None:
        """Write out what this turn has put together, one write a session."""
        for session in self.dirty:
            session.flush()
        self.dirty.clear()

    def next_due(self) -> float:
        """Return the monotonic time of the next frame that latency holds back."""
        return self._late[0][0] if self._late else float("inf")

    def hold(self, pair: Pair, held: bool) -> None:
        """Stop or resume a market's own trades, while a burst uses their numbers."""
        run = self._runs[pair.listing.symbol]
        if held:
            self._print(run, len(run.prints))
        run.held = held

    @staticmethod
    def printed(pair: Pair, prints: Sequence[Print], millis: int) -> None:
        """Store the newest trade that was published."""
        pair.print, pair.printed = prints[-1], millis
        pair.recent.extend((row, millis) for row in prints[-50:])

    def trades(self, pair: Pair) -> list[SimulatedFeed]:
        """Return the feeds that carry a market's trades."""
        return [feed for feed in self._by_pair[pair.listing.symbol] if feed.prints]

    def _step(self, run: _Run, now: float) -> None:
        pair = run.pair
        bend = self._bend(pair) if self.faults else STRAIGHT
        step = pair.advance(run.walk.at(pair.number + 1), self.millis(), bend, not run.held)
        # After a stall, catch up on a second at most; the rest never happened.
        run.began = run.due if now - run.due < 1.0 else now
        slow = self._covering(FaultKind.CADENCE_SLOW, "book", pair) if self.faults else None
        run.due = run.began + max(self._period, slow.number("seconds") if slow else 0.0)
        run.prints, run.given = step.trades, 0
        for feed in self._by_pair[pair.listing.symbol]:
            if feed.steps:
                self.publish(feed, feed.steps(step))

    def _print(self, run: _Run, upto: int) -> None:
        prints = run.prints[run.given : upto]
        if not prints:
            return
        run.given = upto
        millis = self.millis()
        self.printed(run.pair, prints, millis)
        for feed in self._by_pair[run.pair.listing.symbol]:
            if feed.prints:
                self.publish(feed, feed.prints(prints, millis))

    # --- feeds -----------------------------------------------------------------------------------

    def subscribe(self, session: SimulatedSession, feed: SimulatedFeed) -> bool:
        """Subscribe a session to a feed; return False where a fault rejects it."""
        if self.strikes(FaultKind.REJECT_SUBSCRIPTION, feed.channel, feed.pair):
            return False
        if feed.key not in self.feeds:
            self.feeds[feed.key] = feed
            self._by_pair[feed.pair.listing.symbol].append(feed)
        session.feeds[feed.key] = feed
        feed.members.add(session)
        if self.strikes(FaultKind.ACK_THEN_MUTE, feed.channel, feed.pair):
            feed.sessions.discard(session)
        else:
            feed.sessions.add(session)
        return True

    def unsubscribe(self, session: SimulatedSession, key: str) -> None:
        """Unsubscribe a session from a feed; a feed without subscribers ends."""
        feed = session.feeds.pop(key, None)
        if feed is None:
            return
        feed.members.discard(session)
        feed.sessions.discard(session)
        if not feed.members:
            del self.feeds[key]
            self._by_pair[feed.pair.listing.symbol].remove(feed)

    def open(self, session: SimulatedSession, feed: SimulatedFeed) -> None:
        """Send a new subscriber what a feed begins with."""
        if feed.opening and session in feed.sessions:
            self.publish(feed, feed.opening(self.millis()), session)

    def forget(self, fault: Fault) -> None:
        """Stop serving matching subscriptions without telling the client."""
        for feed in self.feeds.values():
            if fault.covers_topic(feed.channel, _names(feed.pair)):
                for session in list(feed.sessions):
                    if self.random.random() < fault.probability:
                        feed.sessions.discard(session)

    def remember(self, fault: Fault) -> None:
        """Serve the subscriptions that were acknowledged and muted."""
        for feed in self.feeds.values():
            if fault.covers_topic(feed.channel, _names(feed.pair)):
                for session in feed.members - feed.sessions:
                    feed.sessions.add(session)
                    self.open(session, feed)

    def publish(
        self, feed: SimulatedFeed, payloads: Sequence[bytes], only: SimulatedSession | None = None
    ) -> None:
        """Send frames to all sessions of a feed, or to one; through the faults in force."""
        targets = feed.sessions if only is None else {only}
        if not payloads or not targets:
            return
        frames = self._afflicted(feed, payloads) if self.faults else list(map(frame, payloads))
        if not frames:
            return
        self.sent[feed.topic] += len(frames) * len(targets)
        blob = b"".join(frames)
        due = self._due(feed) if self.faults or self._late else 0.0
        if due:
            self._hold_back(due, feed, tuple(targets), blob)
            return
        for session in targets:
            session.push(blob)

    # --- faults -----------------------------------------------------------------------------------

    def find(self, kind: FaultKind) -> Fault | None:
        """Return a fault of this kind that is in force, whatever it covers."""
        return next((a.fault for a in self.faults if a.fault.kind is kind), None)

    def restriction(self, pair: Pair | None) -> str | None:
        """Return the mode to which trading is restricted, of a market or (None) of the venue."""
        if pair is not None:
            if self._covering(FaultKind.CANCEL_ONLY, "book", pair):
                return "cancel_only"
            fault = self._covering(FaultKind.RESTRICTED, "book", pair)
            return fault.text("mode") if fault else None
        for each in (active.fault for active in self.faults):
            if each.symbol is None and each.kind is FaultKind.CANCEL_ONLY:
                return "cancel_only"
            if each.symbol is None and each.kind is FaultKind.RESTRICTED:
                return each.text("mode")
        return None

    def listed_as(self, pair: Pair) -> ListedAs:
        """Return how a market stands in the venue's list."""
        if not self.faults:
            return ListedAs("trading", 1, None)
        halted = self._covering(FaultKind.HALTED, "book", pair)
        ends = self._covering(FaultKind.DELISTING, "book", pair)
        tick = self._covering(FaultKind.TICK_CHANGE, "book", pair)
        return ListedAs(
            mode="halted" if halted else self.restriction(pair) or "trading",
            tick=int(tick.number("factor")) if tick else 1,
            # Announced for a time of day, and not for so long from now on.
            delisting=(self.millis() + int(ends.number("ahead") * 1000)) // 3_600_000 * 3_600_000
            if ends
            else None,
        )

    def _resting(self, feed: SimulatedFeed) -> bool:
        """Return whether nothing comes of a feed because nothing is matched in its market."""
        if self._covering(FaultKind.HALTED, "book", feed.pair):
            return True
        cancels = self._covering(FaultKind.CANCEL_ONLY, "book", feed.pair)
        return cancels is not None and feed.channel in ("trades", "klines")

    def maintenance(self) -> tuple[Fault, int, int] | None:
        """Return the maintenance in force with its begin and announced end, epoch milliseconds."""
        found = (each for each in self.notices() if each[0].kind is FaultKind.MAINTENANCE)
        return next(found, None)

    def notices(self) -> Iterator[tuple[Fault, int, int]]:
        """Yield what goes on or is announced, with its begin and end, epoch milliseconds."""
        for active in self.faults:
            fault = active.fault
            if fault.kind in (FaultKind.MAINTENANCE, FaultKind.ANNOUNCED, FaultKind.INCIDENT):
                now = time.monotonic()
                begin = self.millis() - int((now - (active.since or now)) * 1000)
                if fault.kind is FaultKind.ANNOUNCED:
                    begin += int(fault.number("ahead") * 1000)
                incident = fault.kind is FaultKind.INCIDENT
                length = 0.0 if incident else fault.number("announced")
                yield fault, begin, begin + int(length * 1000)

    def strikes(self, kind: FaultKind, channel: str, pair: Pair) -> Fault | None:
        """Return a fault that covers this topic and strikes now, by its probability."""
        fault = self._covering(kind, channel, pair)
        return fault if fault and self.random.random() < fault.probability else None

    def checksum(self, pair: Pair, right: int) -> int:
        """Return the checksum to publish for a book: the right one unless a fault is in force."""
        return right ^ 0x5A5A if self.strikes(FaultKind.BAD_CHECKSUM, "book", pair) else right

    def silent(self, keepalive: bool) -> bool:
        """Return whether replies to clients are withheld: a mute of the whole venue."""
        return any(
            active.fault.kind is FaultKind.MUTE
            and active.fault.channel is None
            and active.fault.symbol is None
            and not (keepalive and active.fault.flag("keepalive"))
            for active in self.faults
        )

    def _covering(self, kind: FaultKind, channel: str, pair: Pair) -> Fault | None:
        for active in self.faults:
            fault = active.fault
            if fault.kind is kind and fault.covers_topic(channel, _names(pair)):
                return fault
        return None

    def _bend(self, pair: Pair) -> Bend:
        offset, spread, trades, depth = 0.0, 1.0, 1.0, 1.0
        kinds = set()
        for active in self.faults:
            fault = active.fault
            if not fault.covers_topic("book", _names(pair)):
                continue
            kinds.add(fault.kind)
            if fault.kind in (FaultKind.PRICE_OFFSET, FaultKind.PEG_BROKEN):
                offset += fault.number("ratio")
            elif fault.kind is FaultKind.WIDE_SPREAD:
                spread *= fault.number("factor")
            elif fault.kind is FaultKind.QUIET:
                trades *= fault.number("share")
            elif fault.kind is FaultKind.DEPTH_GONE:
                depth *= fault.number("share")
        return Bend(
            offset=offset,
            spread=spread,
            trades=trades,
            depth=depth,
            crossed=FaultKind.CROSSED_BOOK in kinds,
            frozen=FaultKind.FROZEN_PRICE in kinds,
        )

    def _afflicted(self, feed: SimulatedFeed, payloads: Sequence[bytes]) -> list[bytes]:
        if not self._listed(feed.pair) or self._resting(feed):
            return []
        if self.strikes(FaultKind.MUTE, feed.channel, feed.pair):
            self.events["muted"] += len(payloads)
            return []
        gone = self._covering(FaultKind.FIELD_GONE, feed.channel, feed.pair)
        if gone is not None:
            payloads = [without(payload, gone.text("field")) for payload in payloads]
        gap = self._covering(FaultKind.GAP, feed.channel, feed.pair)
        twice = self._covering(FaultKind.DUPLICATE, feed.channel, feed.pair)
        broken = self._covering(FaultKind.MALFORMED, feed.channel, feed.pair)
        if not (gap or twice or broken):
            return list(map(frame, payloads))
        frames, chance = [], self.random.random
        for payload in payloads:
            if gap and chance() < gap.probability:
                self.events["dropped_by_gap"] += 1
                continue
            # Beside the good frame and not in its place: what is malformed must cost no gap.
            if broken and chance() < broken.probability:
                frames.append(damaged(payload, broken.text("form"), self.random))
                self.events["malformed"] += 1
            frames.append(frame(payload))
            if twice and chance() < twice.probability:
                frames.append(frames[-1])
                self.events["duplicated"] += 1
        return frames

    def _due(self, feed: SimulatedFeed) -> float:
        """Return the monotonic time at which a frame may go; 0.0 for at once."""
        now = time.monotonic()
        fault = self.strikes(FaultKind.LATENCY, feed.channel, feed.pair) if self.faults else None
        wait = delay(fault, self.random) if fault else 0.0
        if wait == 0.0 and feed.behind <= self._drained:
            return 0.0
        feed.behind = max(feed.behind, now + wait)  # no frame overtakes another
        return feed.behind

    def _hold_back(
        self, due: float, feed: SimulatedFeed, targets: tuple[SimulatedSession, ...], blob: bytes
    ) -> None:
        if len(self._late) >= _MOST_LATE:
            self.events["late_frames_lost"] += 1
            return
        self._late_number += 1  # keeps the order among equal times
        heappush(self._late, (due, self._late_number, feed, targets, blob))

    # --- what is true -----------------------------------------------------------------------------

    def truth(self) -> Mapping[str, object]:
        """Return what a perfect observer would know, for tests."""
        late = self.find(FaultKind.LATENCY)
        return {
            "skew_seconds": self.skew(),
            "latency_seconds": late.number("seconds") if late else 0.0,
            "maintenance": self.find(FaultKind.MAINTENANCE) is not None,
            "markets": {pair.listing.instrument: self._market(pair) for pair in self.pairs()},
        }

    def _market(self, pair: Pair) -> Mapping[str, object]:
        scale = 10**pair.listing.price_decimals
        return {
            "symbol": pair.listing.symbol,
            "common": self.common(pair),
            "bid": pair.bids.best / scale,
            "ask": pair.asks.best / scale,
            "last": pair.print[2] / scale,
            "trade_id": pair.print[0],
            "update_id": pair.last,
            "step": pair.number,
        }


def delay(fault: Fault, random: Random) -> float:
    """Draw the delay of one frame or answer from a latency fault, in seconds."""
    wait = fault.number("seconds") + random.random() * fault.number("jitter")
    if random.random() < fault.number("tail_share"):
        wait += fault.number("tail")
    return wait


def _names(pair: Pair) -> tuple[str, str]:
    return pair.listing.instrument, pair.listing.symbol
