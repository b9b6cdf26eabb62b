"""Readers of REST answers: the clock, the state, hidden errors and the list of markets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from exporter.config.plan import expectation, status_codes
from exporter.contracts import CrossCheck, Prelude, ReadStatus
from exporter.decoding import (
    ParseError,
    any_time,
    json_path,
    json_value,
    optional_path,
    reading,
    size,
)
from exporter.expectations import Document, same, unmet
from exporter.flow.patterns import AT_ONCE
from exporter.instrument import Instrument, Product, Rule, UnlistedError, speller
from exporter.listing import VolumeLists
from exporter.maintenance import EVERYTHING, Maintenance, TradingMode, WatchedMarkets
from exporter.model import Answer, Channel, Expectation, Market, MarketState, Reason
from exporter.venues.definition.conditions import conditions, hold, listed
from exporter.venues.definition.requests import PLACE, fill
from exporter.venues.definition.rest_shape import (
    FaultShape,
    GlanceShape,
    MarketsShape,
    PreludeShape,
    RestShape,
    StatusShape,
    VolumesShape,
)
from exporter.venues.definition.shape import SymbolsShape


def clock(venue: str, path: str) -> Callable[[bytes], float]:
    """Return what reads the venue's time in an answer."""

    def read(body: bytes) -> float:
        with reading(f"{venue} time"):
            return any_time(json_path(json_value(body), path))

    return read


def status(venue: str, shape: StatusShape) -> ReadStatus:
    """Return what reads the venue's state in an answer."""
    modes = {
        TradingMode.POST_ONLY: listed(shape.post_only),
        TradingMode.LIMIT_ONLY: listed(shape.limit_only),
        TradingMode.CANCEL_ONLY: listed(shape.cancel_only),
        TradingMode.TRADING: listed(shape.trading),
    }
    closed = listed(shape.maintenance)

    def read(body: bytes, watched: WatchedMarkets = EVERYTHING) -> Maintenance:
        with reading(f"{venue} status"):
            document = json_value(body)
            word = json_path(document, shape.path)
            active = any(same(word, each) for each in closed)
            found = (m for m, words in modes.items() if any(same(word, each) for each in words))
            mode = next(found, None)
            if not active and mode is None and modes[TradingMode.TRADING]:
                raise ParseError(f"{venue}: the state {str(word)[:60]!r}")
            title = optional_path(document, shape.title)
            end = optional_path(document, shape.end)
            return Maintenance(
                active=active,
                end=any_time(end) if active and end else None,
                title=str(title)[:200] if title else "",
                mode=mode,
            )

    return read


def fault(shapes: Iterable[FaultShape]) -> Callable[[Answer], Reason | None]:
    """Return what finds the error that an answer hides."""
    rules = [
        (
            frozenset(code for each in shape.statuses for code in status_codes(each)),
            None if shape.when is None else expectation(shape.when),
            None if shape.unless is None else expectation(shape.unless),
            shape.reason,
        )
        for shape in shapes
    ]

    def find(answer: Answer) -> Reason | None:
        document = Document(answer.body, answer.headers, AT_ONCE)
        for codes, when, unless, reason in rules:
            if (
                answer.status in codes
                and (when is None or _holds(when, document))
                and (unless is None or not _holds(unless, document))
            ):
                return reason
        return None

    return find


def _holds(expected: Expectation, document: Document) -> bool:
    try:
        return not unmet((expected,), document, 0.0)
    except ParseError:
        return False


def spelling(shape: SymbolsShape) -> Callable[[str], str]:
    """Return what spells an instrument the venue's way."""

    def rule(form: str) -> Rule:
        def spell(instrument: Instrument) -> str:
            base, quote = instrument.base, instrument.quote
            if shape.quotes and quote not in shape.quotes:
                raise UnlistedError(f"it has only markets in {', '.join(shape.quotes)}")
            found = form.format(
                base=shape.rename.get(base, base), quote=shape.rename.get(quote, quote)
            )
            return found.lower() if shape.lower else found

        return spell

    spot = shape.spot
    linear, inverse = (None if each is None else rule(each) for each in shape.perpetuals)

    def perpetual(instrument: Instrument) -> str:
        own = instrument.product
        own = shape.plain if own is Product.SPOT else own
        spell = inverse if own is Product.INVERSE else linear
        if spell is None:
            raise UnlistedError(f"it has no {own} perpetuals")
        return spell(instrument)

    return speller(
        plain=shape.plain,
        spot=None if spot is None else rule(spot),
        perpetual=perpetual if linear or inverse else None,
    )


def cross_checks(venue: str, shape: RestShape) -> dict[Channel, CrossCheck]:
    """Return where REST shows whether each channel had anything to say."""
    traded, quoted = shape.traded or shape.quoted, shape.quoted or shape.traded
    if traded is None or quoted is None:
        return {}
    last, best = _glance(venue, traded), _glance(venue, quoted)
    return {
        Channel.TRADES: last,
        Channel.QUOTES: best,
        Channel.BOOK: best,
        Channel.KLINES: last,
    }


def _glance(venue: str, shape: GlanceShape) -> CrossCheck:
    def read(body: bytes) -> MarketState:
        with reading(f"{venue} market"):
            document = json_value(body)
            time = optional_path(document, shape.time)
            return MarketState(
                state=tuple(str(json_path(document, path)) for path in shape.state),
                time=any_time(time) if time else None,
            )

    def body(symbol: str) -> object:
        return fill(shape.json, {"symbol": symbol}.__getitem__)

    return CrossCheck(
        path=shape.path,
        read=read,
        body=None if shape.json is None else body,
        weight=shape.weight,
    )


def prelude(venue: str, shape: PreludeShape) -> Prelude:
    """Return the request that gives the address to connect to."""

    def read(body: bytes) -> str:
        with reading(f"{venue} prelude"):
            document = json_value(body)
            url = PLACE.sub(lambda found: str(json_path(document, found[1])), shape.url)
            if not re.fullmatch(r"wss?://[!-~]+", url):
                raise ParseError(f"no address: {url[:60]!r}")
            return url

    return Prelude(path=shape.path, method=shape.method, read=read, weight=shape.weight)


def markets(
    venue: str, shape: MarketsShape, symbols: SymbolsShape
) -> Callable[[bytes], tuple[Market, ...]]:
    """Return what reads the list of markets."""
    wanted = conditions(shape.only)
    ours = {theirs: name for name, theirs in symbols.rename.items()}

    def read(body: bytes) -> tuple[Market, ...]:
        with reading(f"{venue} markets"):
            document = json_value(body)
            return tuple(market(row) for row in _rows(document, shape.rows) if hold(wanted, row))

    def market(row: Any) -> Market:
        symbol = str(json_path(row, shape.symbol))
        if shape.pair is None:
            base, quote = (str(json_path(row, path or "")) for path in (shape.base, shape.quote))
        else:
            base, quote = apart(str(json_path(row, shape.pair)))
        base, quote = base.upper(), quote.upper()
        return Market(symbol, f"{ours.get(base, base)}-{ours.get(quote, quote)}")

    def apart(pair: str) -> tuple[str, str]:
        return _apart(symbols.spot or next(filter(None, symbols.perpetuals), ""), pair)

    return read


def _rows(document: Any, path: str | None) -> list[Any]:
    rows = document if path is None else json_path(document, path)
    return [*rows.values()] if isinstance(rows, dict) else rows


def volumes(venue: str, shape: VolumesShape, product: Product) -> VolumeLists:
    """Return where volumes are told; a row without figures is a market without volume."""

    def read(body: bytes) -> dict[str, float]:
        with reading(f"{venue} volumes"):
            rows = _rows(json_value(body), shape.rows)
            return {str(json_path(row, shape.symbol)): volume(row) for row in rows}

    def volume(row: Any) -> float:
        if shape.volume is not None:
            return size(optional_path(row, shape.volume)) or 0.0
        base, price = (size(optional_path(row, path)) for path in (shape.base, shape.price))
        return (base or 0.0) * (price or 0.0)

    return VolumeLists(paths={product: shape.path}, read=read, weight=shape.weight)


def _apart(form: str, pair: str) -> tuple[str, str]:
    """Take a pair apart by the text between base and quote. Raises ParseError."""
    between = form.partition("}")[2].partition("{")[0]
    first, found, second = pair.partition(between) if between else (pair, "", "")
    if not found:
        raise ParseError(f"no pair: {pair[:60]!r}")
    return (second, first) if form.index("{quote}") < form.index("{base}") else (first, second)
