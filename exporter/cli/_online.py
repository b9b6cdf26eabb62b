"""Compare the symbols of a config with the markets that the exchanges list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from exporter import venues
from exporter.config import Config, ExchangeConfig, Places, site
from exporter.config.kinds import Place, quoted
from exporter.contracts import Clock, Fetch, Venue
from exporter.model import Market
from exporter.probes.discovery import Question, Unasked, discover


@dataclass(slots=True)
class Findings:
    """What came of asking: mistakes with their places, what is fine, what could not be asked."""

    complaints: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, str]] = field(default_factory=list)  # exchange, markets, symbols
    unasked: list[str] = field(default_factory=list)


async def look_up(config: Config, places: Places, fetch: Fetch, clock: Clock) -> Findings:
    """Ask every exchange of the config that has symbols, each site once."""
    found, venue_of = Findings(), venues.within(config)
    questions: dict[int, Question] = {}
    for index, exchange in enumerate(config.exchanges):
        venue = venue_of(exchange.venue)
        if not any(True for _ in _instruments(exchange)):
            continue
        if venue.markets_path is None or venue.read_markets is None:
            found.unasked.append(f"{exchange.name}: {exchange.venue} lists no markets over REST")
            continue
        url = site(exchange, venue).rest_urls[0] + venue.markets_path
        questions[index] = Question(url=url, read=venue.read_markets, fault=venue.fault)
    answers = await discover(questions.values(), fetch, clock)
    lines: list[tuple[int, str]] = []
    for index, question in questions.items():
        exchange, answer = config.exchanges[index], answers[question.url]
        if isinstance(answer, Unasked):
            why = f"{answer.reason} ({answer.detail[:200]})" if answer.detail else answer.reason
            found.unasked.append(f"{exchange.name}: {question.url}: {why}")
            continue
        wrong = list(_mistakes(index, exchange, venue_of(exchange.venue), answer))
        lines += [places.complaint(*each) for each in wrong]
        known = len({instrument for _, instrument in _instruments(exchange)})
        found.rows.append((exchange.name, str(len(answer)), str(known)))
    found.complaints = [line for _, line in sorted(lines, key=lambda each: each[0])]
    return found


def _instruments(exchange: ExchangeConfig) -> Iterator[tuple[Place, str]]:
    """Yield every instrument that is written down, with its place within the exchange."""
    for number, instrument in enumerate(exchange.symbols):
        yield ("symbols", number), instrument
    for row, stream in enumerate(exchange.streams):
        for number, instrument in enumerate(stream.symbols or ()):
            yield ("streams", row, "symbols", number), instrument


def _mistakes(
    index: int, exchange: ExchangeConfig, venue: Venue, markets: Iterable[Market]
) -> Iterator[tuple[Place, str]]:
    spelled: dict[str, set[str]] = {}
    for market in markets:
        spelled.setdefault(market.instrument, set()).add(market.symbol)
    symbols = {symbol: None for each in spelled.values() for symbol in each}
    start: Place = ("exchanges", index)
    for instrument, symbol in exchange.symbol_overrides.items():
        if symbol not in symbols:
            wrong = f"found {quoted(symbol)}, expected a symbol that {exchange.name} lists"
            yield (*start, "symbol_overrides", instrument), wrong + _near(symbol, symbols)
    for place, instrument in _instruments(exchange):
        if instrument in exchange.symbol_overrides:
            continue
        theirs = spelled.get(instrument)
        if theirs is None:
            wrong = f"found {quoted(instrument)}, expected a market that {exchange.name} lists"
            yield (*start, *place), wrong + _near(instrument, spelled)
        elif venue.symbol(instrument) not in theirs:
            wrong = f"found {quoted(instrument)}, which {exchange.name} spells "
            wrong += f"{quoted(min(theirs))}; expected that in symbol_overrides"
            yield (*start, *place), wrong


def _near(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(quoted, near))}?" if near else ""
