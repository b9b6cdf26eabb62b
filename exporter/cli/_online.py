"""Compare the symbols of a config with the markets that the exchanges list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import chain

from exporter import config as settings
from exporter import venues
from exporter.config import Config, ExchangeConfig, Places, plain, site
from exporter.config.kinds import Place, quoted
from exporter.contracts import Clock, Fetch, Venue
from exporter.instrument import VenueSymbol, canonical
from exporter.model import Market
from exporter.probes.discovery import Question, Unasked, ask, discover
from exporter.selection import MarketSelection


@dataclass(slots=True)
class Findings:
    """What came of asking: mistakes with their places, what is fine, what could not be asked.

    ``config`` has the names of markets in place of patterns; ``left_out`` says what the bound did.
    """

    config: Config
    complaints: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)  # exchange, markets, symbols
    unasked: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


async def look_up(config: Config, places: Places, fetch: Fetch, clock: Clock) -> Findings:
    """Ask every exchange of the config that has symbols, each site once."""
    found, venue_of = Findings(config), venues.within(config)
    questions: dict[int, list[Question[tuple[Market, ...]]]] = {}
    for index, exchange in enumerate(config.exchanges):
        venue = venue_of(exchange.venue)
        if not any(True for _ in _instruments(exchange)) and not exchange.selections:
            continue
        if venue.markets_path is None or venue.read_markets is None:
            found.unasked.append(f"{exchange.name}: {exchange.venue} lists no markets over REST")
            continue
        base = site(exchange, venue).rest_urls[0]
        questions[index] = [
            Question(base + path, venue.read_markets, venue.fault)
            for path in settings.market_lists(exchange, venue, all_named=True)
        ]
    answers = await discover(chain.from_iterable(questions.values()), fetch, clock)
    lines: list[tuple[int, str]] = []
    for index, asked in questions.items():
        exchange, answer = config.exchanges[index], list[Market]()
        for question in asked:
            part = answers[question.url]
            if isinstance(part, Unasked):
                found.unasked.append(f"{exchange.name}: {question.url}: {part}")
            else:
                answer += part
        if any(isinstance(answers[question.url], Unasked) for question in asked):
            continue
        wrong = list(_mistakes(index, exchange, venue_of(exchange.venue), answer))
        lines += [places.complaint(*each) for each in wrong]
        exchange = await _followed(index, answer, found, venue_of(exchange.venue), fetch, clock)
        known = len({instrument for _, instrument in _instruments(exchange)})
        found.rows.append((exchange.name, str(len(answer)), str(known)))
    found.complaints = [line for _, line in sorted(lines, key=lambda each: each[0])]
    return found


async def _followed(
    index: int, markets: Iterable[Market], found: Findings, venue: Venue, fetch: Fetch, clock: Clock
) -> ExchangeConfig:
    """Put names of markets in place of an exchange's patterns, and return it."""
    exchange = found.config.exchanges[index]
    if not exchange.selections:
        return exchange
    volumes: dict[str, float] = {}
    base = site(exchange, venue).rest_urls[0]
    for path in settings.volume_lists(exchange, venue) if venue.volumes else ():
        assert venue.volumes is not None  # noqa: S101 - as just asked
        told = await ask(Question(base + path, venue.volumes.read, venue.fault), fetch, clock)
        if isinstance(told, Unasked):
            found.unasked.append(f"{exchange.name}: {base}{path}: {told}")
        else:
            volumes |= told
    came = settings.follow(exchange, venue, markets, volumes, ())
    all_of = list(found.config.exchanges)
    all_of[index] = came.configured
    found.config = replace(found.config, exchanges=tuple(all_of))
    if came.left_out:
        found.left_out.append(
            f"{exchange.name}: symbols_limit, {exchange.symbols_limit}, leaves out "
            f"{len(came.left_out)} more markets: {', '.join(came.left_out[:10])}"
        )
    return came.configured


def _instruments(exchange: ExchangeConfig) -> Iterator[tuple[Place, str]]:
    """Yield every instrument that is written down, with its place within the exchange."""
    for number, instrument in enumerate(exchange.symbols):
        if not isinstance(instrument, MarketSelection):
            yield ("symbols", number), instrument
    for row, stream in enumerate(exchange.streams):
        for number, instrument in enumerate(stream.symbols or ()):
            if not isinstance(instrument, MarketSelection):
                yield ("streams", row, "symbols", number), instrument


def _mistakes(
    index: int, exchange: ExchangeConfig, venue: Venue, markets: Iterable[Market]
) -> Iterator[tuple[Place, str]]:
    own = plain(exchange, venue)
    spelled: dict[str, set[str]] = {}
    for market in markets:
        spelled.setdefault(canonical(market.instrument, own), set()).add(market.symbol)
    symbols = {symbol: None for each in spelled.values() for symbol in each}
    start: Place = ("exchanges", index)
    for instrument, symbol in exchange.symbol_overrides.items():
        if symbol not in symbols:
            wrong = f"found {quoted(symbol)}, expected a symbol that {exchange.name} lists"
            yield (*start, "symbol_overrides", instrument), wrong + _near(symbol, symbols)
    for place, instrument in _instruments(exchange):
        if instrument in exchange.symbol_overrides:
            continue
        if isinstance(instrument, VenueSymbol):
            if str(instrument) not in symbols:
                wrong = f"found {quoted(instrument)}, expected a symbol that {exchange.name} lists"
                yield (*start, *place), wrong + _near(instrument, symbols)
            continue
        theirs = spelled.get(canonical(instrument, own))
        if theirs is None:
            wrong = f"found {quoted(instrument)}, expected a market that {exchange.name} lists"
            yield (*start, *place), wrong + _near(instrument, spelled)
        elif venue.symbol(instrument) not in theirs:
            wrong = f"found {quoted(instrument)}, which {exchange.name} spells "
            wrong += f"{quoted(min(theirs))}; expected that in symbol_overrides"
            yield (*start, *place), wrong


def _near(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(str(word), known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(quoted, near))}?" if near else ""
