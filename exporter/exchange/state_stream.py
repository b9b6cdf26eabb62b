"""The connection on which a venue pushes what may be done in its markets.

It is apart from those of market data: who does not watch states has none, and what is refused or
unreadable on it costs no market data anything. Without it the lists are still asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from random import random

from exporter import config as settings
from exporter.contracts import Venue
from exporter.exchange.market_watch import MarketWatch
from exporter.flow import backoff
from exporter.metrics import families as f
from exporter.metrics.registry import Registry
from exporter.model import Ack, Channel, Control, QueuePolicy, Subscription
from exporter.probes.context import ExchangeContext, Task
from exporter.probes.exchange_probes import ExchangeProbes
from exporter.streams.connection import StreamListener
from exporter.streams.exchange_streams import ExchangeStreams, timing
from exporter.streams.stream import Stream
from exporter.websocket.receive_queue import SILENT, ReceiveQueueBounds

_NAME = "market states"  # in the log and on dead letters; no stream of a config is called so
_WAITING = 1000  # frames; more wait in the network


class MarketStateStream:
    """What a venue pushes of its markets, for an exchange that watches states and has streams."""

    def __init__(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        registry: Registry,
        probing: ExchangeProbes,
        streams: ExchangeStreams,
        states: MarketWatch,
    ) -> None:
        self._name, self._probing, self._states = configured.name, probing, states
        self._stream: Stream | None = None
        if not settings.pushes_states(configured, venue):
            return
        self._connected = registry.gauge(f.MARKET_STREAM_CONNECTED, configured.name)
        self._unreadable = registry.counter(f.MARKET_STREAM_UNREADABLE, configured.name)
        self._stream = self._made(configured, venue, around, streams)

    def tasks(self) -> Iterator[Task]:
        """Yield what must run."""
        if self._stream is not None:
            yield "stream", f"{self._name}/{_NAME}", self._stream.run

    def _made(
        self,
        configured: settings.ExchangeConfig,
        venue: Venue,
        around: ExchangeContext,
        streams: ExchangeStreams,
    ) -> Stream:
        pushed, limits, site = venue.state_stream, around.config.streams, settings.site
        assert pushed is not None  # noqa: S101 - `pushes_states` says so
        products = frozenset(product for product, _ in settings.state_lists(configured, venue))
        asked = pushed.subscribe(replace(self._probing.watched(), products=products))
        begin = pushed.begin
        where = site(configured, venue)
        return Stream(
            f"{configured.name}/{_NAME}",
            replace(
                venue,
                opening=(*venue.opening, *asked),
                subscribe=_nothing_more,
                acks=False,
                begin=lambda: begin(self._probing.watched()),
            ),
            (
                Subscription(
                    exchange=configured.name,
                    channel=Channel.MESSAGES,
                    instrument="",
                    symbol="",
                    topic=_NAME,
                ),
            ),
            connect=around.dial(
                ReceiveQueueBounds(
                    frames=_WAITING, size=limits.queue_bytes, policy=QueuePolicy.BLOCK
                ),
                SILENT,
                _unheard,
            ),
            clock=around.clock,
            meter=self._listener(streams),
            sinks={_NAME: _unheard},
            stale_after=lambda topic: None,  # it may have nothing to say for months
            chance=random,
            admission=streams.admission,
            urls=[pushed.url(url) for url in where.stream_urls],
            fetch=around.fetch,
            rest_url=where.rest_urls[0],
            rules=backoff.BackoffRules(base=limits.backoff_base, cap=limits.backoff_cap),
            timing=timing(limits, venue),
        )

    def _listener(self, streams: ExchangeStreams) -> StreamListener:
        return StreamListener(
            attempted=_unheard,
            connected=lambda up: self._connected.set(1.0 if up else 0.0),
            lost=_unheard,
            subscriptions=_unheard,
            armed=_unheard,
            control=self._control,
            unknown=_unheard,
            unreadable=lambda channel: self._unreadable.inc(),
            processed=_unheard,
            dead=partial(streams.dead, _NAME),
        )

    def _control(self, event: Ack | Control) -> None:
        if isinstance(event, Control):
            if event.maintenance is not None:
                self._probing.stream_said(event.maintenance)
            if event.markets:
                self._states.announced(event.markets)


def _unheard(*what: object) -> None:
    """Do nothing."""


def _nothing_more(topics: object, request: int) -> str:
    return ""
