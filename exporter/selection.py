"""Markets that are chosen by what they are and not by name: by a pattern, or by their volume."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil

from exporter.instrument import Product, parse

# A market that is chosen by volume stays until this many times as many are larger than it: else
# two of one size would come and go with each list.
_SLACK = 1.2
_RANK = tuple(Product)


class MarketSelection(str):
    """Markets to be found in a venue's list of them; the text says which.

    A pattern such as ``*-USDT``, where ``*`` stands for any characters and ``?`` for one; or, with
    ``top`` above zero, so many of those quoted in ``quote`` that traded most in a day.
    ``product`` None: of the class that BASE-QUOTE stands for.
    """

    __slots__ = ("product", "quote", "top")
    product: Product | None
    quote: str
    top: int

    def __new__(
        cls,
        pattern: str = "",
        *,
        top: int = 0,
        by: str = "volume",
        quote: str = "",
        product: Product | None = None,
    ) -> MarketSelection:
        """Make one of a pattern, or of a number of markets."""
        text = pattern or f"top {top} by {by} in {quote}" + (f" ({product})" if product else "")
        made = super().__new__(cls, text)
        made.top, made.quote, made.product = top, quote, product
        return made

    def products(self, plain: Product) -> frozenset[Product]:
        """Return the classes in which there may be such markets; ``plain`` is BASE-QUOTE's."""
        if self.top:
            return frozenset((self.product or plain,))
        *rest, last = str(self).upper().split("-")
        contracts = frozenset((Product.LINEAR, Product.INVERSE))
        if "*" in last or "?" in last:
            return frozenset(Product)
        if last in ("C", "P"):
            return frozenset((Product.OPTION,))
        if last in ("PERP", "SWAP") or (len(last) == 6 and last.isdecimal()):
            quote = rest[-1] if len(rest) > 1 else "*"
            if "*" in quote or "?" in quote:
                return contracts
            return frozenset((Product.INVERSE if quote == "USD" else Product.LINEAR,))
        return frozenset((plain,))

    def covers(self, name: str) -> bool:
        """Return whether a market of this name may be among them."""
        if self.top:
            found = parse(name)
            return found is not None and found.quote.upper() == self.quote.upper()
        return fnmatchcase(name.upper(), str(self).upper())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One market that is listed: its names, of which the first is preferred, and its turnover.

    ``volume`` is what it traded in a day, in its quote currency.
    """

    names: tuple[str, ...]
    symbol: str
    product: Product
    volume: float = 0.0


def choose(
    wanted: MarketSelection, listed: Iterable[Candidate], plain: Product, before: Collection[str]
) -> list[tuple[str, Candidate]]:
    """Return the markets that are meant, by name, the most wanted first.

    ``before`` are the symbols that are followed already: they come first, so that a bound on
    their number leaves out the new ones.
    """
    products = wanted.products(plain)
    found = [
        (next(name for name in each.names if wanted.covers(name)), each)
        for each in listed
        if each.product in products and any(wanted.covers(name) for name in each.names)
    ]
    if not wanted.top:
        return sorted(
            found,
            key=lambda one: (one[1].symbol not in before, _RANK.index(one[1].product), one[0]),
        )
    found.sort(key=lambda one: (-one[1].volume, one[0]))
    stay = [one for one in found[: ceil(wanted.top * _SLACK)] if one[1].symbol in before]
    others = [one for one in found if one not in stay]
    return [*stay, *others][: wanted.top]
