"""Resolves the patterns in ``symbols`` by a venue's list of markets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from exporter.config.exchange import ExchangeConfig
from exporter.config.plan import plain, symbol
from exporter.contracts import Venue
from exporter.instrument import Product, UnlistedError, VenueSymbol, parse, product_of
from exporter.listing import PerpetualList
from exporter.model import Market
from exporter.selection import Candidate, MarketSelection, choose


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedMarkets:
    """An exchange with the names of markets before its patterns, and what the bound left out.

    ``symbols`` are the names that patterns came to, each with the venue's symbol.
    """

    configured: ExchangeConfig
    symbols: Mapping[str, str]
    left_out: tuple[str, ...]


def market_lists(exchange: ExchangeConfig, venue: Venue, *, all_named: bool) -> tuple[str, ...]:
    """Return the paths at which markets of the classes that are watched are listed.

    ``all_named``: of the names that are written down too, and not of patterns alone.
    """
    if venue.markets_path is None:
        return ()
    products = _products(exchange, venue, all_named=all_named)
    return tuple(dict.fromkeys(path for _, path in _lists(products, venue)))


def state_lists(exchange: ExchangeConfig, venue: Venue) -> tuple[tuple[Product, str], ...]:
    """Return the paths at which the states of the markets that are watched are told.

    Each with the class that it is asked for.
    """
    if venue.markets_path is None:
        return ()
    query = "" if venue.states is None else venue.states.query
    lists = _lists(_products(exchange, venue, all_named=True), venue)
    return tuple((product, path + query) for product, path in lists)


def pushes_states(exchange: ExchangeConfig, venue: Venue) -> bool:
    """Return whether the venue's stream of states is followed: by who watches and has streams."""
    return exchange.instruments.watch and bool(exchange.streams) and venue.state_stream is not None


def perpetual_lists(exchange: ExchangeConfig, venue: Venue) -> tuple[PerpetualList, ...]:
    """Return the lists that tell the prices and the funding of the perpetuals that are watched."""
    products = sorted(_products(exchange, venue, all_named=True))
    lists = (venue.perpetuals.get(product, ()) for product in products)
    return tuple(dict.fromkeys(chain.from_iterable(lists)))


def _products(exchange: ExchangeConfig, venue: Venue, *, all_named: bool) -> set[Product]:
    own = plain(exchange, venue)
    products = {each for one in exchange.selections for each in one.products(own)}
    if all_named:
        lists = (exchange.symbols, *(each.symbols or () for each in exchange.streams))
        products |= {
            product_of(name, own)
            for name in chain.from_iterable(lists)
            if not isinstance(name, MarketSelection)
        }
    return products


def _lists(products: set[Product], venue: Venue) -> list[tuple[Product, str]]:
    assert venue.markets_path is not None  # noqa: S101 - the callers looked
    usual = (venue.plain, venue.markets_path)
    found = [usual] if venue.plain in products else []
    for product in sorted(products - {venue.plain}):
        found += [(product, path) for path in venue.more_markets.get(product, ())]
    return found or [usual]


def volume_lists(exchange: ExchangeConfig, venue: Venue) -> tuple[str, ...]:
    """Return the paths at which the volumes are told that ``top`` asks for."""
    if venue.volumes is None:
        return ()
    own, paths = plain(exchange, venue), venue.volumes.paths
    products = {one.product or own for one in exchange.selections if one.top}
    return tuple(dict.fromkeys(paths[each] for each in sorted(products) if each in paths))


def follow(
    exchange: ExchangeConfig,
    venue: Venue,
    markets: Iterable[Market],
    volumes: Mapping[str, float],
    before: Collection[str],
) -> FollowedMarkets:
    """Name the markets that patterns stand for, as many as ``symbols_limit`` has room for.

    ``volumes`` by symbol. ``before`` are the symbols that the patterns came to last.
    """
    own = plain(exchange, venue)
    candidates = [each for market in markets if (each := _candidate(market, volumes, own))]
    lists = (exchange.symbols, *(each.symbols or () for each in exchange.streams))
    written = dict.fromkeys(
        name for name in chain.from_iterable(lists) if not isinstance(name, MarketSelection)
    )
    taken = {(symbol(exchange, venue, name), product_of(name, own)): name for name in written}
    found, left_out = dict[str, str](), dict[str, None]()
    overrides = dict(exchange.symbol_overrides)

    def expand(names: Sequence[str]) -> tuple[str, ...]:
        patterns = [each for each in names if isinstance(each, MarketSelection)]
        chosen = dict.fromkeys(each for each in names if each not in patterns)
        for wanted in patterns:
            for name, market in choose(wanted, candidates, own, before):
                there = taken.get((market.symbol, market.product))
                if there is None and len(taken) >= exchange.symbols_limit:
                    left_out[name] = None
                    continue
                if there is None:
                    there = _spelled(name, market, venue, own, overrides)
                    taken[market.symbol, market.product] = there
                    found[there] = market.symbol
                chosen[there] = None
        return (*chosen, *patterns)

    symbols = expand(exchange.symbols)
    streams = tuple(
        each if each.symbols is None else replace(each, symbols=expand(each.symbols))
        for each in exchange.streams
    )
    return FollowedMarkets(
        configured=replace(exchange, symbols=symbols, streams=streams, symbol_overrides=overrides),
        symbols=found,
        left_out=tuple(left_out),
    )


def at_most(exchange: ExchangeConfig) -> ExchangeConfig:
    """Return an exchange with as many markets beside its patterns as the bound has room for.

    For what it may cost, before anybody was asked.
    """
    if not exchange.selections:
        return exchange
    products = [one.product for one in exchange.selections if one.product]
    markets = [
        VenueSymbol(f"market {number}", products[0] if products else None)
        for number in range(exchange.symbols_limit)
    ]

    def filled(names: Sequence[str]) -> tuple[str, ...]:
        named = tuple(name for name in names if not isinstance(name, MarketSelection))
        patterns = [name for name in names if isinstance(name, MarketSelection)]
        return (*named, *(markets[len(named) :] if patterns else ()), *patterns)

    return replace(
        exchange,
        symbols=filled(exchange.symbols),
        streams=tuple(
            each if each.symbols is None else replace(each, symbols=filled(each.symbols))
            for each in exchange.streams
        ),
    )


def _candidate(market: Market, volumes: Mapping[str, float], own: Product) -> Candidate | None:
    """Return a market under the names that it may have here; None where it has none."""
    name = market.instrument
    if not (market.symbol.isprintable() and 0 < len(market.symbol) <= 64):
        return None  # it would become a label
    product = market.product or product_of(name, own)
    names = [name] if parse(name) else [market.symbol]
    if product is own is not Product.SPOT and name.endswith("-PERP"):
        names.append(name.removesuffix("-PERP"))  # BASE-QUOTE stands for it, too
    volume = volumes.get(market.symbol, volumes.get(market.alias, 0.0))
    return Candidate(tuple(names), market.symbol, product, volume)


def _spelled(
    name: str, market: Candidate, venue: Venue, own: Product, overrides: dict[str, str]
) -> str:
    """Return how a market is written down, so that its subscription comes to its symbol."""
    if parse(name) is None or product_of(name, own) is not market.product:
        return VenueSymbol(market.symbol, market.product)
    try:
        if venue.symbol(name) == market.symbol:
            return name
    except UnlistedError:
        pass
    overrides[name] = market.symbol
    return name
