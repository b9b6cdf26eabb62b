"""What the detectors see of hours of healthy traffic, without waiting for them.

`noise` says what happens to an exchange, and the simulator how late an answer or a frame is by
it. Here both are drawn a second at a time: three probes every five seconds, and three symbols
that trade three times a second each, of which some are quiet for a while; streams that are lost
or handed over come back within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from exporter.anomaly.gauges import INTER_ARRIVAL, STREAM_LATENCY
from exporter.anomaly.rates import MESSAGE_RATE, RECONNECT_RATE
from exporter.backtest.healthy import Chance, Noise
from exporter.probes.error_rate import SIGNAL as ERROR_RATE
from exporter.probes.latency import SIGNALS as PROBE_LATENCIES
from exporter.signals import Floats, Signal
from exporter.simulator.faults import Fault, read
from exporter.simulator.rehearsal.healthy import QUIET_SYMBOLS, noise
from exporter.simulator.venue_server import delay

_PROBES, _EVERY = 3, 5  # probes, and seconds in which there are so many
_SYMBOLS = ("BTC-USDT", *QUIET_SYMBOLS)
_TRADES = 3.0  # a second and symbol
_ROUND_TRIP, _ONE_WAY = 0.004, 0.002  # seconds, where nothing is late
_WINDOW = 18  # probes of 30 s

Faults = Sequence[Mapping[str, Any]]


def _faults(seconds: int, chance: Chance) -> Faults:
    return noise(int(chance.integers(1 << 30)), ("okx",), float(seconds))


def _span(fault: Mapping[str, Any], seconds: int) -> slice:
    begin = int(fault.get("at", 0.0))
    return slice(begin, begin + int(fault.get("for", seconds)) + 1)


def _latencies(faults: Faults, of: str, seconds: int) -> list[Fault | None]:
    """Return the fault by which answers (``of`` "endpoint") or frames are late, by second."""
    found: list[Fault | None] = [None] * seconds
    for fault in reversed([one for one in faults if one["fault"] == "latency" and of in one]):
        span = _span(fault, seconds)
        stop = min(span.stop, seconds)
        found[span.start : stop] = [read(fault, ("okx",))] * (stop - span.start)
    return found


def _probed(seconds: int, chance: Chance) -> Iterator[tuple[int, float | None]]:
    """Yield second and duration of each probe, None for one that failed."""
    faults = _faults(seconds, chance)
    random = Random(int(chance.integers(1 << 30)))
    late = _latencies(faults, "endpoint", seconds)
    share = sum(fault["probability"] for fault in faults if "probability" in fault)
    for second in range(seconds):
        if second % _EVERY < _PROBES:
            fault = late[second]
            wait = _ROUND_TRIP + (delay(fault, random) if fault else 0.0)
            yield second, None if random.random() < share else wait


def _latency(share: float) -> Callable[[int, Chance], Floats]:
    """Return a quantile of the probes of the last 30 s, where one ended; else a gap."""

    def draw(seconds: int, chance: Chance) -> Floats:
        good = [(second, wait) for second, wait in _probed(seconds, chance) if wait is not None]
        moments = np.array([second for second, _ in good])
        waits = np.array([wait for _, wait in good])
        windows = np.lib.stride_tricks.sliding_window_view(waits, _WINDOW)
        values = np.full(seconds, np.nan)
        values[moments[_WINDOW - 1 :]] = np.quantile(windows, share, axis=1)
        return values

    return draw


def _errors(seconds: int, chance: Chance) -> Floats:
    probes = list(_probed(seconds, chance))
    failed = np.array([wait is None for _, wait in probes], dtype=np.float64)
    means = np.lib.stride_tricks.sliding_window_view(failed, 2 * _WINDOW).mean(axis=1)
    values = np.full(seconds, np.nan)
    values[np.array([second for second, _ in probes])[2 * _WINDOW - 1 :]] = means
    return values


def _messages(faults: Faults, seconds: int, chance: Chance) -> Floats:
    """Return the trades of each symbol and second, (3, seconds); none while the stream is lost."""
    rates = np.full((len(_SYMBOLS), seconds), _TRADES)
    for fault in faults:
        if fault["fault"] == "quiet":
            rates[_SYMBOLS.index(fault["symbol"]), _span(fault, seconds)] *= fault["share"]
    counts: Floats = chance.poisson(rates).astype(np.float64)
    for moment in _losses(faults):
        counts[:, int(moment) : int(moment + chance.uniform(1.0, 4.0))] = 0.0
    return counts


def _losses(faults: Faults) -> list[float]:
    return [fault["at"] for fault in faults if fault["fault"] == "disconnect"]


def _over_ten(counts: Floats) -> Floats:
    sums = np.concatenate([np.zeros(10), np.cumsum(counts)])
    rates: Floats = (sums[10:] - sums[:-10]) / 10.0
    rates[:10] = np.nan
    return rates


def _rate(seconds: int, chance: Chance) -> Floats:
    return _over_ten(_messages(_faults(seconds, chance), seconds, chance).sum(axis=0))


def _reconnects(seconds: int, chance: Chance) -> Floats:
    losses = np.zeros(seconds)
    for moment in _losses(_faults(seconds, chance)):
        losses[min(int(moment), seconds - 1)] += 1.0
    return _over_ten(losses)


def _age(seconds: int, chance: Chance) -> Floats:
    """Return the age of the newest of all trades: they come at random within their second."""
    counts = _messages(_faults(seconds, chance), seconds, chance).sum(axis=0)
    # The newest of n moments at random is distributed as the n-th root of one.
    newest = 1.0 - chance.random(seconds) ** (1.0 / np.maximum(counts, 1.0))
    last = np.maximum.accumulate(np.where(counts > 0.0, np.arange(seconds), 0))
    ages: Floats = np.arange(seconds) - last + newest[last]
    return ages


def _stream_latency(seconds: int, chance: Chance) -> Floats:
    """Return the middle of the symbols that had news, each with its newest trade."""
    faults = _faults(seconds, chance)
    random = Random(int(chance.integers(1 << 30)))
    late = _latencies(faults, "channel", seconds)
    values = np.full(seconds, np.nan)
    for second, counts in enumerate(_messages(faults, seconds, chance).T):
        fault = late[second]
        waits = sorted(delay(fault, random) if fault else 0.0 for count in counts if count)
        if waits:
            values[second] = _ONE_WAY + waits[len(waits) // 2]
    return values


def _kind(signal: Signal, draw: Callable[[int, Chance], Floats]) -> Noise:
    return Noise(name=f"simulated {signal.name}", signal=signal, draw=draw)


TRAFFIC = (
    _kind(PROBE_LATENCIES[0], _latency(0.5)),
    _kind(PROBE_LATENCIES[1], _latency(0.95)),
    _kind(ERROR_RATE, _errors),
    _kind(MESSAGE_RATE, _rate),
    _kind(INTER_ARRIVAL, _age),
    _kind(STREAM_LATENCY, _stream_latency),
    _kind(RECONNECT_RATE, _reconnects),
)
