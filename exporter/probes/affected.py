"""Whether what a status page calls affected is anything that is watched. Pure.

Status pages tell of much more than market data: of 50 incidents of an exchange most are about
deposits of one coin. Which words decide was read off names that stand on such pages: Kraken's
"REST", "WebSocket", "Digital Currency Funding - Ethereum (ETH) - Polygon", "0x (ZRX) - Ethereum"
(a client on GitHub that read its summary.json on 2026-08-01, seen 2026-11-30). A name that no rule
knows counts as ours: to hear of too much is the smaller fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.flow.patterns import occurs
from exporter.instrument import Product
from exporter.maintenance import EVERYTHING, WatchedMarkets


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(text.split())})\b", re.IGNORECASE)


_MARKET_DATA = _words(
    "apis? rest websockets? ws trading trades? orders? matching engine market[-_ ]data feeds?"
    " tickers? order[-_ ]?books?"
)
_ELSE = _words(
    "deposits? withdraw(?:al)?s? funding fiat cards? wallets? staking earn nfts? mobile apps? ios"
    " android website web support kyc verification onboarding sign[-_ ]?(?:in|up) log[-_ ]?in"
    " custody payments? banks? banking transfers? lending loans? rewards? email sms fix prop otc"
    " blog referrals? launchpad convert tax(?:es)? charts?"
)
_FUTURES = _words("futures? derivatives? perpetuals? perps? swaps? options?")
_SPOT = _words("spot")
_COIN = re.compile(r"\([A-Z0-9]{2,10}\)")  # "Ethereum (ETH)": a coin's way in and out
_PAIR = re.compile(r"\b([A-Z0-9]{2,10})[-/_]([A-Z0-9]{2,6})\b")


def concerns(
    title: str,
    components: Sequence[str],
    *,
    pattern: str | None = None,
    watched: WatchedMarkets = EVERYTHING,
) -> bool:
    """Say whether a notice is about what is watched; ``pattern`` (RE2) decides where it is given.

    One that names no component is about the whole site, unless its title is about other things.
    """
    if pattern is not None:
        return not components or any(occurs(pattern, name) for name in components)
    return any(_ours(name, watched) for name in components or (title,))


def _ours(name: str, watched: WatchedMarkets) -> bool:
    if _COIN.search(name) or (_ELSE.search(name) and not _MARKET_DATA.search(name)):
        return False
    if not watched.instruments:
        return True
    futures = bool(_FUTURES.search(name))
    if futures is not bool(_SPOT.search(name)) and watched.products:
        return futures is not (watched.products == {Product.SPOT}) and (
            futures or Product.SPOT in watched.products
        )
    pairs = {f"{base}-{quote}" for base, quote in _PAIR.findall(name)}
    markets = {each for each in pairs if each.split("-")[1] in _quotes(watched)}
    # A market that is named: ours only if it is watched. Other words with a slash name none.
    return not markets or not markets.isdisjoint(
        "-".join(each.upper().split("-")[:2]) for each in watched.instruments
    )


def _quotes(watched: WatchedMarkets) -> set[str]:
    common = {"USD", "USDT", "USDC", "EUR", "GBP", "BTC", "ETH"}
    return common | {each.split("-")[1].upper() for each in watched.instruments if "-" in each}
