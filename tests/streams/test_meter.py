"""What streams leave in the metrics."""

from __future__ import annotations

import asyncio

from exporter.metrics.registry import Registry
from exporter.model import Channel, Control, Lost, QueuePolicy, Subscription, SubscriptionState
from exporter.probes.clock_offset import Skew
from exporter.streams.feed import Feed
from exporter.streams.meter import ChannelMeter, FeedMeter, StreamMeter
from tests.fakes import FakeClock, run_virtual
from tests.metrics.test_registry import samples
from tests.probes.test_meter import value

NAMES = 'exchange="acme",stream="acme/1"'


def stream(registry: Registry, policy: QueuePolicy = QueuePolicy.BLOCK) -> StreamMeter:
    """Return the meter of a stream with two channels."""
    channels = {
        channel: ChannelMeter(registry, "acme", channel)
        for channel in (Channel.TRADES, Channel.BOOK)
    }
    return StreamMeter(
        registry,
        "acme",
        "acme/1",
        clock=FakeClock(epoch=1.7e9),
        channels=channels,
        capacity=500,
        policy=policy,
    )


def test_a_connection_s_life() -> None:
    """Attempts, connection, uptime that grows while open, loss by reason, absence afterwards."""

    async def main() -> None:
        registry = Registry()
        meter = stream(registry)
        up = f"exchange_stream_connected{{{NAMES}}}"
        uptime = f"exchange_stream_connected_seconds_total{{{NAMES}}}"
        start = "exchange_stream_connection_start_timestamp_seconds"

        def read() -> None:
            list(registry.run_refreshers())
            for table in registry.tables():
                for child in table.children.values():
                    lines.update(dict(line.rsplit(" ", 1) for line in child.text().splitlines()))

        lines: dict[str, str] = {}
        read()
        assert (lines[up], lines[uptime]) == ("0", "0")
        assert f"{start}{{{NAMES}}}" not in lines
        meter.attempted(ok=False)
        await asyncio.sleep(5)
        meter.attempted(ok=True)
        meter.connected(True)
        await asyncio.sleep(3)
        read()
        assert (lines[up], float(lines[uptime])) == ("1", 3.0)
        assert float(lines[f"{start}{{{NAMES}}}"]) == 1.7e9 + 5
        await asyncio.sleep(1)
        meter.connected(True)  # a successor took over: the uptime goes on, the start is new
        await asyncio.sleep(2)
        meter.connected(False)
        meter.lost(Lost.IDLE)
        await asyncio.sleep(9)
        lines.clear()
        read()
        assert (lines[up], float(lines[uptime])) == ("0", 6.0)
        assert f"{start}{{{NAMES}}}" not in lines
        attempts = "exchange_stream_connects_total"
        assert lines[f'{attempts}{{{NAMES},result="success"}}'] == "1"
        assert lines[f'{attempts}{{{NAMES},result="failure"}}'] == "1"
        assert lines[f'exchange_stream_disconnects_total{{{NAMES},reason="idle"}}'] == "1"
        assert lines[f'exchange_stream_disconnects_total{{{NAMES},reason="network"}}'] == "0"

    run_virtual(main())


def test_each_subscription_is_in_one_state() -> None:
    """States that are not named hold nobody."""
    registry = Registry()
    meter = stream(registry)
    meter.subscriptions({SubscriptionState.REQUESTED: 3})
    meter.subscriptions({SubscriptionState.LIVE: 2, SubscriptionState.STALE: 1})
    shown = samples(registry, "exchange_stream_subscriptions")
    assert [line.split()[-1] for line in shown] == ["0", "0", "2", "1", "0"]


def test_queue_figures() -> None:
    """Capacity, depth, waits, and drops under the policy that the queue has."""
    registry = Registry()
    meter = stream(registry, QueuePolicy.DROP_OLDEST)
    meter.queue_depth(12)
    meter.queue_waited(0.002)
    meter.queue_dropped(7)
    names = 'exchange="acme",queue="acme/1"'
    assert value(registry, f"exchange_queue_capacity{{{names}}}") == 500
    assert value(registry, f"exchange_queue_depth{{{names}}}") == 12
    assert value(registry, f'exchange_queue_dropped_total{{{names},policy="oldest"}}') == 7
    assert value(registry, f'exchange_queue_dropped_total{{{names},policy="newest"}}') == 0
    assert value(registry, 'exchange_queue_wait_seconds_count{exchange="acme"}') == 1


def test_a_kind_that_nobody_knows_is_counted_as_such() -> None:
    """A control message under a name of the wire's own is no heartbeat: somebody should look."""
    registry = Registry()
    meter = stream(registry)
    meter.control(Control("heartbeat"))
    meter.control(Control("auction2027", data=True, unknown=True))
    assert value(registry, f"exchange_stream_unknown_topics_total{{{NAMES}}}") == 1
    messages = samples(registry, "exchange_stream_messages_total")
    assert sum(int(line.split()[-1]) for line in messages) == 2


def test_frames_that_carry_no_data_count_once() -> None:
    """Control and unreadable frames are counted once, under a channel of the stream."""
    registry = Registry()
    meter = stream(registry)
    meter.control(Control(label="heartbeat"))
    meter.unreadable(Channel.BOOK)
    meter.unreadable(None)
    meter.unreadable(Channel.KLINES)
    meter.unknown(4)
    meter.processed(2e-6, 3e-6)
    meter.received_bytes(100)
    meter.ping_rtt(0.05)
    meter.ping_rtt(None)
    messages = samples(registry, "exchange_stream_messages_total")
    assert sum(int(line.split()[-1]) for line in messages) == 1
    errors = "exchange_stream_parse_errors_total"
    assert value(registry, f'{errors}{{exchange="acme",channel="book"}}') == 1
    assert value(registry, f'{errors}{{exchange="acme",channel="trades"}}') == 2
    assert value(registry, f"exchange_stream_unknown_topics_total{{{NAMES}}}") == 4
    assert value(registry, f"exchange_stream_received_bytes_total{{{NAMES}}}") == 100
    assert value(registry, f"exchange_stream_ping_rtt_seconds_count{{{NAMES}}}") == 1
    discarded = 'exchange_exporter_samples_discarded_total{measurement="ping"}'
    assert value(registry, discarded) == 1
    stage = 'exchange_stream_processing_seconds_sum{exchange="acme",stage="apply"}'
    assert value(registry, stage) == 3e-6


def shown(channel: Channel) -> Feed:
    """Return a feed that has seen nothing."""
    subscription = Subscription(
        exchange="acme", channel=channel, instrument="BTC-USDT", symbol="BTCUSDT", topic="x"
    )
    registry = Registry()
    own = ChannelMeter(registry, "acme", channel)
    return Feed(subscription, (), Skew(), own.latency, own.negative, own.late, 1000.0)


def test_feeds_are_read_at_the_scrape() -> None:
    """Two feeds of a channel add up in its counters; each has its own age and patience."""
    registry = Registry()
    shared = ChannelMeter(registry, "acme", Channel.BOOK)
    one, other = shown(Channel.BOOK), shown(Channel.BOOK)
    for feed in (one, other):
        FeedMeter(
            registry, feed, shared, priced=True, stale_after=lambda: 30.0, wall=lambda: 1002.0
        )
    names = 'exchange="acme",channel="book"'
    data = f'exchange_stream_messages_total{{{names},kind="data"}}'
    one.count, one.gaps, one.missed, one.changed = 5, 1, 40, 1001.5
    other.count = 2
    assert value(registry, data) == 7
    one.count = 6
    assert value(registry, data) == 8
    assert value(registry, f"exchange_stream_sequence_gaps_total{{{names}}}") == 1
    assert value(registry, f"exchange_stream_missed_messages_total{{{names}}}") == 40
    symbol = 'exchange="acme",symbol="BTC-USDT"'
    assert value(registry, f"exchange_book_sequence_gaps_total{{{symbol}}}") == 1
    assert value(registry, f"exchange_book_missed_updates_total{{{symbol}}}") == 40
    changed = "exchange_stream_value_last_change_timestamp_seconds"
    assert value(registry, f"{changed}{{{symbol}}}") == 1001.5
    last = "exchange_stream_last_message_timestamp_seconds"
    assert value(registry, f'{last}{{{names},symbol="BTC-USDT"}}') == 1000.0
    stale = f'exchange_stream_stale_after_seconds{{{names},symbol="BTC-USDT"}}'
    assert value(registry, stale) == 30
    assert samples(registry, "exchange_mid_price") == []


def test_price_is_shown_while_it_is_fresh() -> None:
    """No price before the first quote, none after the feed fell silent for too long."""
    registry, feed, now = Registry(), shown(Channel.QUOTES), [1000.0]
    shared = ChannelMeter(registry, "acme", Channel.QUOTES)
    patience: list[float | None] = [None]
    FeedMeter(
        registry, feed, shared, priced=True, stale_after=lambda: patience[0], wall=lambda: now[0]
    )
    assert samples(registry, "exchange_mid_price") == []
    assert samples(registry, "exchange_stream_stale_after_seconds") == []
    feed.mid, feed.spread = 64000.5, 1e-5
    now[0] = 1500.0
    assert samples(registry, "exchange_mid_price")[0].endswith(" 64000.5")
    assert samples(registry, "exchange_spread_ratio")[0].endswith(" 1e-05")
    patience[0] = 10.0
    assert samples(registry, "exchange_mid_price") == []
    assert samples(registry, "exchange_spread_ratio") == []
    feed.last = 1495.0
    assert samples(registry, "exchange_mid_price")[0].endswith(" 64000.5")


def test_the_queue_is_told_as_it_is_counted() -> None:
    """What waits, what there is room for, and what was given up in either way."""
    meter = stream(Registry(), QueuePolicy.COALESCE)
    assert meter.queue == (0, 500, 0)
    meter.queue_depth(12)
    meter.queue_coalesced(3)
    meter.queue_dropped(4)
    assert meter.queue == (12, 500, 7)
