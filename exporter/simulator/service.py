"""The simulator as a whole: listeners, the beat that drives all markets, faults in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from websockets.server import ServerProtocol

from exporter.simulator import control, rest, venues
from exporter.simulator.fault_registry import Active, FaultRegistry
from exporter.simulator.faults import Fault, FaultError, read
from exporter.simulator.http import Peer
from exporter.simulator.kinds import FaultKind
from exporter.simulator.market import Pair, Walk, listing
from exporter.simulator.session import SimulatedSession, reset
from exporter.simulator.spec import SimulatedReply, SimulatedRequest
from exporter.simulator.venue_server import VenueServer

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
_BEAT = 0.01  # seconds between two turns of all desks
_TEND = 0.25  # seconds between two looks at keepalives
_IDLE = 75.0  # seconds an HTTP connection may idle
_MOST_PEERS = 4096


class Simulator:
    """Simulated venues over real sockets; an async context manager."""

    def __init__(
        self,
        *,
        venue_names: Sequence[str] | None = None,
        symbols: Sequence[str] = SYMBOLS,
        seed: int = 1,
        rate: float = 5.0,
        book_rate: float = 10.0,
        depth: int = 100,
        host: str = "127.0.0.1",
        port: int = 0,
        own_ports: bool = False,
        limited: bool = True,
        lifetime: float | None = None,
        buffer_limit: int = 32 << 20,
        scenario: Sequence[Fault] = (),
    ) -> None:
        """Prepare; entering listens.

        ``rate`` trades and ``book_rate`` book updates a second for each market; ``depth`` levels a
        side; ``limited`` enforces the venues' limits; ``lifetime`` seconds until a stream is cut,
        None for the venue's own rule; ``buffer_limit`` bytes that a slow client may leave unread.
        Raises FaultError for a scenario that cannot be played.
        """
        self.names = tuple(venue_names or venues.names())
        self.seed, self._host, self._port, self._own_ports = seed, host, port, own_ports
        self._scenario = tuple(scenario)
        self.board = FaultRegistry(self.names)
        self.desks: dict[str, VenueServer] = {}
        walks: dict[str, Walk] = {}
        for name in self.names:
            wire = venues.load(name)
            spot = [each for each in symbols if each.count("-") == 1]
            contracts = [each for each in symbols if each not in spot]
            names = (*wire.lists(spot), *wire.contracts(contracts))
            listings = [listing(each, wire.symbol(each), seed) for each in names]
            pairs = []
            for one in listings:
                if one.base not in walks:
                    walks[one.base] = Walk(seed, one.base, 1.0 / book_rate)
                pair = Pair(one, name, seed, rate=rate, steps=book_rate, depth=depth)
                pairs.append((pair, walks[one.base]))
            self.desks[name] = VenueServer(
                wire, pairs, self.board.live(name), seed=seed, steps=book_rate,
                limited=limited, lifetime=lifetime, buffer_limit=buffer_limit,
            )  # fmt: skip
        for fault in self._scenario:
            self._possible(fault)
        self._peers: set[Peer] = set()
        self._listeners: dict[str | None, asyncio.Server] = {}
        self._ports: dict[str | None, int] = {}
        self._timers: dict[int, list[asyncio.TimerHandle]] = {}
        self.started = time.time_ns() / 1e9

    # --- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen and begin to trade. Raises OSError if the port is taken."""
        await self._listen(None, self._port)
        try:
            if self._own_ports:
                for name in self.names:
                    await self._listen(name, 0)
        except OSError:
            await self._close()
            raise
        for name, desk in self.desks.items():
            desk.address = self.stream_url(name)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._market = self._group.create_task(self._run(), name="simulator-market")
        for fault in self._scenario:
            self.inject(fault)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        for timer in [timer for timers in self._timers.values() for timer in timers]:
            timer.cancel()
        await self._close()
        self._market.cancel()
        # The body's own exception passes as it is; only the group's cancellation is the group's.
        ours = kind is not None and issubclass(kind, asyncio.CancelledError)
        await self._group.__aexit__(*((kind, error, trace) if ours else (None, None, None)))

    @property
    def url(self) -> str:
        """The base URL of the common listener, without a slash at the end."""
        return f"http://{self._host}:{self._ports[None]}"

    def rest_url(self, venue: str) -> str:
        """Return a venue's REST base, on its own port and without a path if it has one."""
        if venue in self._ports:
            return f"http://{self._host}:{self._ports[venue]}"
        return f"{self.url}/{venue}"

    def stream_url(self, venue: str, path: str = "") -> str:
        """Return the URL of a venue's WebSocket path."""
        return self.rest_url(venue).replace("http://", "ws://", 1) + path

    async def _listen(self, name: str | None, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Peer(self, name), self._host, port, backlog=512)
        self._listeners[name] = server
        self._ports[name] = server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for server in self._listeners.values():
            server.close()
        for peer in list(self._peers):
            peer.transport.abort()
        await asyncio.sleep(0)  # lets the transports tell their protocols

    async def _run(self) -> None:
        tend = 0.0
        while True:
            now = time.monotonic()
            for desk in self.desks.values():
                desk.turn(now)
            if now >= tend:
                tend = now + _TEND
                self._tend(now)
            due = min(now + _BEAT, *(desk.next_due() for desk in self.desks.values()))
            # Even a late turn gives the sockets their due: at least one pass of the loop.
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _tend(self, now: float) -> None:
        for desk in self.desks.values():
            for session in list(desk.sessions):
                session.tend(now)
        for peer in list(self._peers):
            if peer.session is None and now - peer.used > _IDLE:
                peer.transport.abort()

    # --- faults --------------------------------------------------------------------------------

    def inject(self, fault: Fault | Mapping[str, object]) -> int:
        """Let a fault happen, at its own time from now; return its id. Raises FaultError."""
        if not isinstance(fault, Fault):
            fault = read(fault, self.names)
        self._possible(fault)
        active = self.board.post(fault, time.monotonic())
        timers = self._timers[active.id] = []
        if fault.at > 0:
            timers.append(asyncio.get_running_loop().call_later(fault.at, self._begin, active))
        else:
            self._begin(active)
        return active.id

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all; return how many there were."""
        numbers = [a.id for a in self.board.all()] if number is None else [number]
        return sum(self._end(one) for one in numbers)

    def disconnect(self, **filters: object) -> int:
        """Close matching streams now; the filters are the parameters of the fault."""
        return self.inject({"fault": "disconnect", **filters})

    def burst(self, venue: str, symbol: str, count: int, seconds: float, lead: float) -> None:
        """Send ``count`` trades within ``seconds``, beginning ``lead`` seconds from now.

        ``symbol`` is an instrument or the venue's spelling. Raises FaultError.
        """
        desk = self.desks[venue]
        for pair in desk.pairs():
            if symbol in (pair.listing.symbol, pair.listing.instrument):
                self._group.create_task(_burst(desk, pair, count, seconds, lead), name="burst")
                return
        known = ", ".join(pair.listing.instrument for pair in desk.pairs())
        raise FaultError([f"symbol: {venue} does not list {symbol!r:.80}; it lists {known}"])

    def _possible(self, fault: Fault) -> None:
        names = self.board.venues(fault)
        if not names:
            known = ", ".join(self.desks)
            raise FaultError([f"venues: {fault.text('venues')!r:.80} is none of {known}"])
        if fault.kind is FaultKind.REFUSE and not self._own_ports:
            raise FaultError(
                ["refuse: needs a port for each venue; start with own ports (--own-ports)"]
            )
        able = [name for name, desk in self.desks.items() if desk.wire.checksums]
        if fault.kind is FaultKind.BAD_CHECKSUM and not set(names) & set(able):
            have = ", ".join(able) or "none of the venues"
            raise FaultError([f"bad_checksum: {fault.venue} has no checksums; {have} has"])

    def _begin(self, active: Active) -> None:
        fault = active.fault
        if not self.board.begin(active, time.monotonic()):
            return
        for name in self.board.venues(fault):
            self._strike(fault, name)
        if fault.kind in (FaultKind.DISCONNECT, FaultKind.FORGET):
            self._end(active.id)
        elif fault.duration is not None:
            loop = asyncio.get_running_loop()
            self._timers[active.id].append(loop.call_later(fault.duration, self._end, active.id))

    def _end(self, number: int) -> bool:
        active = self.board.remove(number)
        if active is None:
            return False
        for timer in self._timers.pop(number, []):
            timer.cancel()
        if active.since is None:
            return True
        for name in self.board.venues(active.fault):
            desk = self.desks[name]
            if active.fault.kind is FaultKind.ACK_THEN_MUTE:
                desk.remember(active.fault)
            elif active.fault.kind is FaultKind.REFUSE and not desk.find(FaultKind.REFUSE):
                self._group.create_task(self._relisten(name), name=f"relisten-{name}")
        return True

    def _strike(self, fault: Fault, name: str) -> None:
        """Do what a fault does at once when it begins, to whole connections and listeners."""
        desk = self.desks[name]
        match fault.kind:
            case FaultKind.DISCONNECT:
                self._disconnect(desk, fault)
            case FaultKind.FORGET:
                desk.forget(fault)
            case FaultKind.RESET | FaultKind.PROVIDER_DOWN if fault.endpoint is None:
                for session in list(desk.sessions):
                    session.reset()
            case FaultKind.MAINTENANCE if fault.flag("streams"):
                for session in list(desk.sessions):
                    session.close(1012, "service restart")
            case FaultKind.REFUSE:
                if server := self._listeners.pop(name, None):
                    server.close()
                for peer in list(self._peers):
                    if peer.venue == name or (peer.session and peer.session.desk is desk):
                        reset(peer.transport)

    def _disconnect(self, desk: VenueServer, fault: Fault) -> None:
        code, reason, notice = fault.number("code"), fault.text("reason"), fault.number("notice")
        for session in list(desk.sessions):
            feeds = session.feeds.values()
            whole = fault.channel is None and fault.symbol is None
            covered = whole or any(
                fault.covers_topic(f.channel, (f.pair.listing.instrument, f.pair.listing.symbol))
                for f in feeds
            )
            if not covered or desk.random.random() >= fault.probability:
                continue
            if notice:
                if text := desk.wire.notice(session):
                    session.reply(text)
                    session.flush()
                loop = asyncio.get_running_loop()
                loop.call_later(notice, session.close, int(code), reason)
            else:
                session.close(int(code), reason)

    async def _relisten(self, name: str) -> None:
        with contextlib.suppress(OSError):  # the port may have been taken: stay refused
            await self._listen(name, self._ports[name])

    # --- House ---------------------------------------------------------------------------------

    def answer(self, request: SimulatedRequest) -> SimulatedReply:
        """Answer any HTTP request."""
        name, path = _split(request.path)
        if name in self.desks:
            return rest.answer(self.desks[name], _under(request, path))
        return control.answer(self, request)

    def welcome(
        self,
        request: SimulatedRequest,
        accept: Callable[[], tuple[asyncio.Transport, ServerProtocol]],
    ) -> SimulatedSession | SimulatedReply:
        """Open a stream for a handshake, or say why not."""
        name, path = _split(request.path)
        desk = self.desks.get(name)
        if desk is None or not desk.wire.sockets(path):
            return SimulatedReply(status=404, body=b'{"error":"no stream here"}')
        if refusal := rest.handshake(desk, _under(request, path)):
            return refusal
        transport, protocol = accept()
        session = SimulatedSession(
            desk, transport, protocol, path=path, query=request.query, client=request.client
        )
        desk.sessions.add(session)
        desk.events["streams_opened"] += 1
        desk.wire.opened(session)
        session.flush()
        return session

    def clock(self, path: str) -> float:
        """Return the clock of the venue that serves a path."""
        desk = self.desks.get(_split(path)[0])
        return desk.nanos() / 1e9 if desk else time.time_ns() / 1e9

    def joined(self, peer: Peer) -> bool:
        """Count a connection in."""
        self._peers.add(peer)
        return len(self._peers) <= _MOST_PEERS

    def left(self, peer: Peer) -> None:
        """Count a connection out."""
        self._peers.discard(peer)

    @property
    def connections(self) -> int:
        """How many TCP connections are open."""
        return len(self._peers)


async def _burst(desk: VenueServer, pair: Pair, count: int, seconds: float, lead: float) -> None:
    """Make all frames first and send them in slices: what is tested is the reader, not us."""
    slices = min(count, max(1, round(seconds / _BEAT)))
    start, wall = time.monotonic() + lead, desk.millis() + lead * 1000
    feeds = desk.trades(pair)
    desk.hold(pair, True)
    try:
        ready = []
        for number in range(slices):
            prints = pair.prints(count * (number + 1) // slices - count * number // slices)
            millis = int(wall + number * _BEAT * 1000)
            frames = [(feed, feed.prints(prints, millis)) for feed in feeds if feed.prints]
            ready.append((prints, millis, frames))
            await asyncio.sleep(0)
        for number, (prints, millis, batch) in enumerate(ready):
            await asyncio.sleep(max(0.0, start + number * _BEAT - time.monotonic()))
            desk.printed(pair, prints, millis)
            for feed, payloads in batch:
                desk.publish(feed, payloads)
            desk.flush()
    finally:
        desk.hold(pair, False)


def _split(path: str) -> tuple[str, str]:
    """Split ``/binance/api/v3/ping`` into the venue and its own path."""
    _, _, rest_of = path.partition("/")
    name, slash, own = rest_of.partition("/")
    return name, slash + own


def _under(request: SimulatedRequest, path: str) -> SimulatedRequest:
    return SimulatedRequest(
        method=request.method, path=path, query=request.query, headers=request.headers,
        client=request.client, body=request.body,
    )  # fmt: skip
