"""How a market is written: BASE-QUOTE, and what kind of contract on it.

``BTC-USDT`` is spot, ``BTC-USDT-PERP`` a perpetual, ``BTC-USDT-261225`` ends on 25 December 2026,
``BTC-USD-261225-60000-C`` is an option. Assets are in the venue's own letters, whatever script.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Product(StrEnum):
    """A class of markets, as venues keep them apart: by how a contract is settled."""

    SPOT = "spot"
    LINEAR = "linear"  # futures and perpetuals that settle in the quote currency
    INVERSE = "inverse"  # those that settle in the base currency
    OPTION = "option"


# In no asset's name; quotes and dashes as word processors set them come with what is copied.
NEVER = r"\s\x00-\x1f\x7f_/:,;'\"`(){}\[\]<>\\|#%“”„‘’‚«»–—"
_ASSET = rf"[^{NEVER}\-?*]{{1,30}}"
_DATE = r"\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
# A quote of digits alone is a date that stands in the wrong place, and PERP is none either.
_QUOTE = rf"(?!(\d+|[Pp][Ee][Rr][Pp]|[Ss][Ww][Aa][Pp])(-|$)){_ASSET}"
_STRIKE = r"\d{1,12}(\.\d{1,8})?"
PATTERN = rf"{_ASSET}-{_QUOTE}(-(PERP|SWAP|{_DATE}(-{_STRIKE}-[CP])?))?"
# For JSON schemas: Go's regexp, which Helm reads them by, cannot look ahead.
LOOSE_PATTERN = rf"{_ASSET}-{_ASSET}(-(PERP|SWAP|\d{{6}}(-{_STRIKE}-[CP])?))?"
_FORM = re.compile(PATTERN)


class VenueSymbol(str):
    """A market in the venue's own spelling, taken as it is; ``product`` None: the venue's usual."""

    __slots__ = ("product",)
    product: Product | None

    def __new__(cls, symbol: str, product: Product | None = None) -> VenueSymbol:
        """Make one of a text."""
        made = super().__new__(cls, symbol)
        made.product = product
        return made

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same text of the same product; a plain text has none."""
        return str.__eq__(self, other) is True and getattr(other, "product", None) == self.product

    def __ne__(self, other: object) -> bool:
        """Return whether it is another."""
        return not self == other

    __hash__ = str.__hash__


class UnlistedError(ValueError):
    """A venue has no markets of that kind; the message says what it has."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an instrument's name says. ``expiry`` is YYMMDD, ``right`` C or P."""

    base: str
    quote: str
    perpetual: bool = False
    expiry: str = ""
    strike: str = ""
    right: str = ""

    @property
    def product(self) -> Product:
        """The class: contracts on US dollars settle in the base currency."""
        if self.strike:
            return Product.OPTION
        if not (self.perpetual or self.expiry):
            return Product.SPOT
        return Product.INVERSE if self.quote == "USD" else Product.LINEAR


def parse(name: str) -> Instrument | None:
    """Read an instrument's name; None where it is none."""
    if not (_FORM.fullmatch(name) and name.isprintable()):
        return None
    base, quote, *rest = name.split("-")
    match rest:
        case []:
            return Instrument(base, quote)
        case ["PERP" | "SWAP"]:
            return Instrument(base, quote, perpetual=True)
        case [expiry]:
            return Instrument(base, quote, expiry=expiry)
        case [expiry, strike, right]:
            return Instrument(base, quote, expiry=expiry, strike=strike, right=right)
    return None


_QUOTES = "USDT|USDC|FDUSD|TUSD|BUSD|USD|EUR|GBP|JPY|KRW|TRY|BRL|BTC|ETH"
_JOINED = re.compile(
    rf"(?P<base>[^\W_]+?)-?(?P<quote>{_QUOTES})(-?(?P<rest>PERP|SWAP|{_DATE}(-\d+-[CP])?))?"
)


def meant(found: str) -> str:
    """Return the instrument that a text means; else how to write it as the venue's own symbol."""
    if parse(found):
        return found
    joined = re.sub(r"[/_: –—]", "-", re.sub("[“”„‘’‚«»`]", "", found)).upper()
    if split := _JOINED.fullmatch(joined):
        rest = (split["rest"] or "").replace("SWAP", "PERP")
        name = "-".join(part for part in (split["base"], split["quote"], rest) if part)
        return name if parse(name) else ""
    if parse(joined):
        return joined
    own = re.fullmatch(r"[\w.:/@-]{2,60}", found)
    return f"{{venue_symbol: {found}}}" if own and re.search(r"\d", found) else ""


Rule = Callable[[Instrument], str]


def speller(
    *,
    plain: Product = Product.SPOT,
    spot: Rule | None = None,
    perpetual: Rule | None = None,
    dated: Rule | None = None,
    option: Rule | None = None,
    products: frozenset[Product] | None = None,
) -> Callable[[str], str]:
    """Return how a venue spells its markets: one rule for each kind that it has.

    ``plain`` is what BASE-QUOTE stands for where there is no spot. ``products``: those that it
    has, where its contracts are of one class only. What comes back raises UnlistedError.
    """
    rules = {"spot": spot, "perpetuals": perpetual, "dated futures": dated, "options": option}
    offered = " and ".join(kind for kind, rule in rules.items() if rule is not None)

    def spell(name: str) -> str:
        if isinstance(name, VenueSymbol):
            return str(name)
        found = parse(name)
        if found is None:
            raise UnlistedError(f"expected an instrument, got {name[:60]!r}")
        kind = "spot"
        if found.strike:
            kind = "options"
        elif found.expiry:
            kind = "dated futures"
        elif found.perpetual or plain is not Product.SPOT:
            kind = "perpetuals"
        rule = rules[kind]
        own = found.product if found.product is not Product.SPOT else plain
        if rule is None or (products is not None and own not in products):
            what = kind if rule is None else f"{own} {kind}"
            only = "" if products is None else f"{' and '.join(sorted(products))} "
            raise UnlistedError(f"it has no {what}, only {only}{offered}")
        return rule(found)

    return spell


def product_of(name: str, plain: Product) -> Product:
    """Return the class of a market at a venue where BASE-QUOTE is ``plain``."""
    if isinstance(name, VenueSymbol):
        return name.product or plain
    found = parse(name)
    return plain if found is None or found.product is Product.SPOT else found.product


def canonical(name: str, plain: Product) -> str:
    """Return the one name that a market has at whatever venue: what is alike has the same."""
    if isinstance(name, VenueSymbol):
        return f"{name} ({name.product or plain})"
    found = parse(name)
    if found is None:
        return name
    if plain is not Product.SPOT and found.product is Product.SPOT:
        return f"{name}-PERP"
    return name.removesuffix("-SWAP") + "-PERP" if name.endswith("-SWAP") else name
