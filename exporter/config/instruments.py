# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""How a config names markets: by name, by the venue's symbol, by a pattern, or by volume."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.kinds import Place, Reading, Schema, choice, integer, member, text
from exporter.config.section import REQUIRED, Section, key
from exporter.config.tree import Node, Pairs, Scalar
from exporter.instrument import LOOSE_PATTERN, NEVER, PATTERN, Product, VenueSymbol, meant
from exporter.selection import MarketSelection

INSTRUMENT = text("an instrument such as BTC-USDT", PATTERN, meant, schema=LOOSE_PATTERN)
SYMBOL = text("the venue's spelling of a symbol", r"[^\x00-\x1f\x7f]{1,64}")
_CHARACTERS = rf"[^{NEVER}]"
_WILDCARDS = rf"{_CHARACTERS}{{0,64}}[*?]{_CHARACTERS}{{0,64}}"
_PATTERN = text("a pattern such as *-USDT", _WILDCARDS)
_QUOTE = text("a currency such as USDT", rf"[^{NEVER}\-?*]{{1,30}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSymbolConfig:
    """A market, named by the venue's symbol, which may contain any characters."""

    venue_symbol: str = key(SYMBOL, REQUIRED, "The symbol, exactly as the venue writes it.")
    product: Product | None = key(
        member(Product),
        None,
        "Product class. Default: the class that BASE-QUOTE means at the venue.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopMarketsConfig:
    """The markets with the largest volume, by the venue's list of markets."""

    top: int = key(integer(1, 2000), REQUIRED, "The number of markets.")
    by: str = key(choice("volume"), "volume", "Quantity to rank markets by: the volume of one day.")
    quote: str = key(
        _QUOTE, REQUIRED, "The quote currency of the markets; volumes are in this currency."
    )
    product: Product | None = key(
        member(Product),
        None,
        "Product class. Default: the class that BASE-QUOTE means at the venue.",
    )


@dataclass(frozen=True, slots=True)
class InstrumentKind:
    """An instrument by its name, a market by the venue's symbol, or markets that are looked up."""

    def read(self, reading: Reading, place: Place, node: Node) -> str:
        """Return the name, the symbol as it is, or the selection. Raises RejectedError."""
        if isinstance(node, Pairs):
            if any(isinstance(name, Scalar) and name.text == "top" for name, _ in node.pairs):
                top = Section(TopMarketsConfig).read(reading, place, node)
                return MarketSelection(top=top.top, by=top.by, quote=top.quote, product=top.product)
            found = Section(VenueSymbolConfig).read(reading, place, node)
            return VenueSymbol(found.venue_symbol, found.product)
        if isinstance(node, Scalar) and isinstance(node.value, str) and {*"*?"} & {*node.value}:
            return MarketSelection(_PATTERN.read(reading, place, node))
        return INSTRUMENT.read(reading, place, node)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema of all of them."""
        own = [Section(each).schema(definitions) for each in (VenueSymbolConfig, TopMarketsConfig)]
        return {"anyOf": [INSTRUMENT.schema(definitions), _PATTERN.schema(definitions), *own]}


MARKET = InstrumentKind()
