"""Frames that name no market, because the address of their connection does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import msgspec

from exporter.contracts import Parse
from exporter.model import Ack, Control, Event
from exporter.venues.definition.shape import ChannelShape


def addressed(channels: Mapping[str, ChannelShape]) -> Callable[[Parse, str], Parse] | None:
    """Return what binds a reader to the URL of its connection; None where all frames name markets.

    Until it is bound, events have no symbol, and topics stand as their templates.
    """
    unnamed = [each for each in channels.values() if any(f.symbol is None for f in each.frames)]
    places = [_place(each.route) for each in unnamed if each.route is not None]
    return (lambda parse, url: _bound(parse, _symbol(places, url))) if unnamed else None


def _place(route: str) -> re.Pattern[str]:
    """Return what finds the symbol in a URL that ends in a route."""
    words = re.split(r"\{(symbol|lower)\}", route)
    # Every second word is the name of a place; of several the first tells the symbol.
    parts = [re.escape(word) if at % 2 == 0 else r"[^/?&]+" for at, word in enumerate(words)]
    parts[1] = f"(?P<{words[1]}>{parts[1]})"
    return re.compile("".join(parts) + r"\Z")


def _symbol(places: list[re.Pattern[str]], url: str) -> str:
    for place in places:
        found = place.search(url)
        if found is not None:
            symbol = unquote(found[1])
            return symbol.upper() if found.lastgroup == "lower" else symbol
    return ""


def _bound(parse: Parse, symbol: str) -> Parse:
    def named(event: Event) -> Event:
        if isinstance(event, Ack | Control) or event.symbol:
            return event
        topic = event.topic.format(symbol=symbol, lower=symbol.lower())
        return msgspec.structs.replace(event, symbol=symbol, topic=topic)

    return (lambda frame: tuple(map(named, parse(frame)))) if symbol else parse
