"""The config keys of a gate, and the check that what it requires is watched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.config.endpoint import NAME
from exporter.config.exchange import ExchangeConfig
from exporter.config.instruments import INSTRUMENT
from exporter.config.kinds import Mistake, Reading, choice, did_you_mean, duration, member, quoted
from exporter.config.section import REQUIRED, ListKind, key
from exporter.model import Channel, Need
from exporter.selection import MarketSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """A gate: whether trading on some exchanges is safe now, answered at /api/v1/gates/NAME."""

    name: str = key(NAME, REQUIRED, "The value of the label gate, and the last part of the URL.")
    exchanges: tuple[str, ...] = key(
        ListKind(NAME, most=100, least=1, unique=""),
        REQUIRED,
        "The names of the exchanges that must all meet the needs.",
    )
    symbols: tuple[str, ...] = key(
        ListKind(INSTRUMENT, most=1000, unique=""),
        [],
        "Symbols that must meet the needs. Default: all watched symbols.",
    )
    needs: tuple[Need, ...] = key(
        ListKind(member(Need), most=len(Need), least=1, unique=""),
        ["probe", "feed", "mode"],
        "Conditions for an open gate: probe, feed, book, clock, mode, liquidity.",
    )
    open_after: float = key(
        duration("0s", "1h"),
        "30s",
        "Time for which all needs must have been met before the gate opens.",
    )
    valid_for: float = key(
        duration("500ms", "1m"), "3s", "Time for which a client may rely on one answer."
    )
    unknown: str = key(
        choice("closed", "open"), "closed", "State of the gate while a need is unknown."
    )
    clock_offset: float = key(
        duration("1ms", "1m"),
        "1s",
        "Largest offset of the venue's clock that meets the need clock.",
    )


def gate_mistakes(
    gates: Sequence[GateConfig | None],
    exchanges: Sequence[ExchangeConfig | None],
    reading: Reading,
) -> Iterator[Mistake]:
    """Report exchanges, symbols and books that are not watched, and clocks that no endpoint
    reads."""
    known = {each.name: each for each in exchanges if each is not None}
    for number, gate in enumerate(gates):
        if gate is None or None in exchanges or reading.excused.intersection(gate.exchanges):
            continue  # whether an exchange that is left out meets it is unknown
        for place, name in enumerate(gate.exchanges):
            if name in known:
                for below, wrong in _of_one(gate, known[name], reading):
                    yield Mistake(("gates", number, *below), wrong)
            else:
                wrong = f"found {quoted(name)}, expected the name of an exchange above"
                near = did_you_mean(name, known)
                yield Mistake(("gates", number, "exchanges", place), wrong + near)
        watched = dict.fromkeys(
            symbol for name in gate.exchanges if name in known for symbol in _watched(known[name])
        )
        for place, symbol in enumerate(gate.symbols):
            if symbol not in watched and not _looked_up(watched, symbol):
                wrong = f"found {quoted(symbol)}, which none of its exchanges watches"
                near = did_you_mean(symbol, watched)
                yield Mistake(("gates", number, "symbols", place), wrong + near)


def _of_one(
    gate: GateConfig, exchange: ExchangeConfig, reading: Reading
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    watched = _watched(exchange)
    if Need.FEED in gate.needs and not watched:
        yield ("needs",), f"found feed, but {exchange.name} has no streams"
    elif (
        gate.symbols
        and len(gate.exchanges) > 1
        and not any(name in watched or _looked_up(watched, name) for name in gate.symbols)
    ):
        yield ("symbols",), f"found none that {exchange.name} watches"
    if Need.BOOK in gate.needs and not any(
        each and each.book and Channel.BOOK in each.channels for each in exchange.streams
    ):
        wrong = f"found book, but {exchange.name} builds none: set book: true on a stream of it"
        yield ("needs",), wrong
    if Need.LIQUIDITY in gate.needs:
        measured = exchange.liquidity
        if not measured.wanted:
            yield ("needs",), f"found liquidity, but {exchange.name} measures none: set liquidity"
        elif measured.symbols and not gate.symbols:
            wrong = f"found none, but {exchange.name} measures the liquidity of some symbols only"
            yield ("symbols",), wrong
        for place, symbol in enumerate(gate.symbols):
            if symbol in watched and not measured.covers(symbol) and measured.wanted:
                wrong = f"found {quoted(symbol)}, whose liquidity {exchange.name} does not measure"
                yield ("symbols", place), wrong
    if Need.CLOCK in gate.needs:
        venue = reading.venue_named(exchange.venue)
        clocked = {each.name for each in venue.endpoints if each.clock is not None}
        usual = {each.name for each in venue.endpoints if each.default}
        own = [each for each in exchange.endpoints or () if each]
        asked = usual if exchange.endpoints is None else {each.name for each in own}
        if not clocked & asked and not any(each.clock for each in own):
            yield ("needs",), f"found clock, but no endpoint of {exchange.name} tells the time"


def _looked_up(watched: Iterable[str], symbol: str) -> bool:
    """Return whether a symbol may match one of the patterns."""
    return any(isinstance(each, MarketSelection) and each.covers(symbol) for each in watched)


def _watched(exchange: ExchangeConfig) -> Mapping[str, None]:
    """Return the symbols that streams of an exchange consume."""
    streams = (each for each in exchange.streams if each is not None)
    return dict.fromkeys(
        symbol for stream in streams for symbol in stream.symbols or exchange.symbols
    )
