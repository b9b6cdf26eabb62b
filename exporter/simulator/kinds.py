"""Every way in which a simulated venue can misbehave: validation, documentation and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

Value: TypeAlias = float | str | bool


class FaultKind(StrEnum):
    """The kinds of faults."""

    LATENCY = "latency"
    BROWNOUT = "brownout"
    ERROR = "error"
    RATE_LIMIT = "rate_limit"
    TIGHT_LIMIT = "tight_limit"
    BAN = "ban"
    TIMEOUT = "timeout"
    RESET = "reset"
    REFUSE = "refuse"
    GARBAGE_BODY = "garbage_body"
    SLOW_BODY = "slow_body"
    ENDLESS_BODY = "endless_body"
    MAINTENANCE = "maintenance"
    RESTRICTED = "restricted"
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"
    DELISTING = "delisting"
    TICK_CHANGE = "tick_change"
    ANNOUNCED = "announced"
    INCIDENT = "incident"
    DISCONNECT = "disconnect"
    MUTE = "mute"
    ACK_THEN_MUTE = "ack_then_mute"
    REJECT_SUBSCRIPTION = "reject_subscription"
    FORGET = "forget"
    GAP = "gap"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    BAD_CHECKSUM = "bad_checksum"
    CROSSED_BOOK = "crossed_book"
    FROZEN_PRICE = "frozen_price"
    PRICE_OFFSET = "price_offset"
    PEG_BROKEN = "peg_broken"
    INDEX_OFF = "index_off"
    FUNDING_CHANGED = "funding_changed"
    WIDE_SPREAD = "wide_spread"
    DEPTH_GONE = "depth_gone"
    QUIET = "quiet"
    DELISTED = "delisted"
    CLOCK_SKEW = "clock_skew"
    PROVIDER_DOWN = "provider_down"
    FIELD_GONE = "field_gone"
    CADENCE_SLOW = "cadence_slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a kind: its default, its bounds or choices, its meaning."""

    default: Value
    meaning: str
    least: float = 0.0
    most: float = 86_400.0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One kind: what it does, which filters it knows, how likely it strikes, its parameters.

    ``instant`` faults act once, when they start. ``probability`` is None where chance has no part.
    """

    meaning: str
    filters: tuple[str, ...] = ()
    probability: float | None = None
    params: Mapping[str, Param] = field(default_factory=dict)
    instant: bool = False


_REST = ("endpoint",)
_STREAM = ("channel", "symbol")
_PRICE = ("symbol",)
_RETRY = Param(default=30.0, meaning="seconds named in Retry-After")
FORMS = ("truncated", "invalid_utf8", "nan", "huge_integer", "deep", "huge_frame", "binary",
         "protocol")  # fmt: skip

RULES: Mapping[FaultKind, FaultRule] = MappingProxyType(
    {
        FaultKind.LATENCY: FaultRule(
            meaning="answers and stream frames come late, in order",
            filters=(*_REST, *_STREAM),
            probability=1.0,
            params={
                "seconds": Param(default=0.5, meaning="fixed delay"),
                "jitter": Param(
                    default=0.0, meaning="uniform extra delay, up to this many seconds"
                ),
                "tail": Param(default=0.0, meaning="extra delay of a few, in seconds"),
                "tail_share": Param(default=0.01, most=1.0, meaning="how many get the tail"),
            },
        ),
        FaultKind.BROWNOUT: FaultRule(
            meaning="a share of the answers is slow, some of these fail",
            filters=_REST,
            probability=0.3,
            params={
                "seconds": Param(default=3.0, meaning="delay of the slow ones"),
                "errors": Param(default=0.2, most=1.0, meaning="share of the slow that end in 503"),
            },
        ),
        FaultKind.ERROR: FaultRule(
            meaning="an HTTP error code",
            filters=_REST,
            probability=1.0,
            params={"status": Param(default=500.0, least=400.0, most=599.0, meaning="the code")},
        ),
        FaultKind.RATE_LIMIT: FaultRule(
            meaning="too many requests, whatever was used",
            filters=_REST,
            probability=1.0,
            params={
                "retry_after": _RETRY,
                "form": Param(
                    default="seconds",
                    choices=("seconds", "date", "none", "venue"),
                    meaning="Retry-After in seconds, as a date, absent, or all as the venue does",
                ),
            },
        ),
        FaultKind.TIGHT_LIMIT: FaultRule(
            meaning="the venue's request limit is this much lower, and enforced as usual",
            params={"weight": Param(default=10.0, least=1.0, most=1e6, meaning="the new limit")},
        ),
        FaultKind.BAN: FaultRule(
            meaning="HTTP 418, or what the venue answers to a banned address",
            filters=_REST,
            params={"retry_after": Param(default=120.0, most=3e5, meaning="seconds of the ban")},
        ),
        FaultKind.TIMEOUT: FaultRule(
            meaning="requests and handshakes are read and never answered",
            filters=_REST,
            probability=1.0,
        ),
        FaultKind.RESET: FaultRule(
            meaning="TCP reset of requests and handshakes; open streams too without an endpoint",
            filters=_REST,
            probability=1.0,
        ),
        FaultKind.REFUSE: FaultRule(
            meaning="the listener is closed and all connections are reset; needs own ports",
        ),
        FaultKind.GARBAGE_BODY: FaultRule(
            meaning="status 200 with a body that is not the venue's",
            filters=_REST,
            probability=1.0,
            params={
                "form": Param(
                    default="html",
                    choices=("html", "empty", "binary", "truncated", "deep", "wrong"),
                    meaning="an error page, nothing, noise, half of it, nesting, or other JSON",
                )
            },
        ),
        FaultKind.SLOW_BODY: FaultRule(
            meaning="the body drips, one byte at a time",
            filters=_REST,
            probability=1.0,
            params={"seconds": Param(default=0.2, meaning="pause after each byte")},
        ),
        FaultKind.ENDLESS_BODY: FaultRule(
            meaning="a chunked body that never ends, as fast as it is read, up to 1 GiB",
            filters=_REST,
            probability=1.0,
        ),
        FaultKind.MAINTENANCE: FaultRule(
            meaning="the status endpoint says so; all else, handshakes too, answers 503",
            params={
                "title": Param(default="Scheduled maintenance", meaning="its announced name"),
                "announced": Param(default=3600.0, meaning="announced length in seconds"),
                "streams": Param(default=False, meaning="whether open streams are closed"),
                "components": Param(default="", meaning="affected, as status pages list them"),
            },
        ),
        FaultKind.RESTRICTED: FaultRule(
            meaning="kraken, coinbase, kucoin say that they, or one market, take some orders only",
            filters=_PRICE,
            params={
                "mode": Param(
                    default="cancel_only",
                    choices=("cancel_only", "limit_only", "post_only"),
                    meaning="what is left",
                )
            },
        ),
        FaultKind.CANCEL_ONLY: FaultRule(
            meaning="orders can only be cancelled in markets, as lists and status say: no trades",
            filters=_PRICE,
        ),
        FaultKind.HALTED: FaultRule(
            meaning="markets are listed as halted, and silent", filters=_PRICE
        ),
        FaultKind.DELISTING: FaultRule(
            meaning="binance's futures, bybit's contracts and okx announce the end of markets",
            filters=_PRICE,
            params={"ahead": Param(default=172_800.0, most=1e7, meaning="seconds until then")},
        ),
        FaultKind.TICK_CHANGE: FaultRule(
            meaning="markets are listed with another tick",
            filters=_PRICE,
            params={"factor": Param(default=10.0, least=2.0, most=1e4, meaning="how many times")},
        ),
        FaultKind.ANNOUNCED: FaultRule(
            meaning="bybit, kraken, okx and status pages announce a maintenance; all goes on",
            params={
                "title": Param(default="Scheduled maintenance", meaning="its announced name"),
                "ahead": Param(default=7200.0, most=259_200.0, meaning="seconds until it begins"),
                "announced": Param(default=3600.0, meaning="announced length in seconds"),
                "components": Param(default="", meaning="affected, as status pages list them"),
            },
        ),
        FaultKind.INCIDENT: FaultRule(
            meaning="bybit, kraken, okx and status pages declare an incident; all goes on",
            params={
                "title": Param(default="Degraded performance", meaning="in their words"),
                "components": Param(default="", meaning="affected, as status pages list them"),
            },
        ),
        FaultKind.DISCONNECT: FaultRule(
            meaning="all matching streams are closed",
            filters=_STREAM,
            probability=1.0,
            params={
                "code": Param(
                    default=1001.0, least=1000.0, most=4999.0, meaning="close code; 1006 is abrupt"
                ),
                "reason": Param(default="going away", meaning="close reason"),
                "notice": Param(
                    default=0.0, most=600.0, meaning="seconds of warning, where the venue warns"
                ),
            },
            instant=True,
        ),
        FaultKind.MUTE: FaultRule(
            meaning="connected but silent; without channel or symbol no replies either",
            filters=_STREAM,
            probability=1.0,
            params={
                "keepalive": Param(default=True, meaning="whether text pings are still answered")
            },
        ),
        FaultKind.ACK_THEN_MUTE: FaultRule(
            meaning="new subscriptions are acknowledged and never served until it ends",
            filters=_STREAM,
            probability=1.0,
        ),
        FaultKind.REJECT_SUBSCRIPTION: FaultRule(
            meaning="new subscriptions get the venue's error reply",
            filters=_STREAM,
            probability=1.0,
        ),
        FaultKind.FORGET: FaultRule(
            meaning="existing subscriptions silently stop; subscribing again mends it",
            filters=_STREAM,
            probability=1.0,
            instant=True,
        ),
        FaultKind.GAP: FaultRule(
            meaning="frames are lost, and with them their sequence numbers",
            filters=_STREAM,
            probability=0.1,
        ),
        FaultKind.DUPLICATE: FaultRule(
            meaning="frames come twice", filters=_STREAM, probability=0.1
        ),
        FaultKind.MALFORMED: FaultRule(
            meaning="broken frames between the good ones",
            filters=_STREAM,
            probability=0.1,
            params={
                "form": Param(default="truncated", choices=(*FORMS, "any"), meaning="how broken")
            },
        ),
        FaultKind.BAD_CHECKSUM: FaultRule(
            meaning="book checksums are wrong, where the venue has them",
            filters=_STREAM,
            probability=1.0,
        ),
        FaultKind.CROSSED_BOOK: FaultRule(
            meaning="the best bid is above the best ask", filters=_PRICE
        ),
        FaultKind.FROZEN_PRICE: FaultRule(
            meaning="messages go on, but at one price while the peers move", filters=_PRICE
        ),
        FaultKind.PRICE_OFFSET: FaultRule(
            meaning="prices are off by a ratio, in books, trades and REST alike",
            filters=_PRICE,
            params={"ratio": Param(default=0.05, least=-0.9, most=10.0, meaning="0.05 is 5 % up")},
        ),
        FaultKind.PEG_BROKEN: FaultRule(
            meaning="what these markets trade is worth less or more, wherever it is traded",
            filters=_PRICE,
            params={"ratio": Param(default=-0.05, least=-0.9, most=10.0, meaning="0.05 is 5 % up")},
        ),
        FaultKind.INDEX_OFF: FaultRule(
            meaning="the index of perpetuals is off by a ratio, as REST tells it; prices are not",
            filters=_PRICE,
            params={"ratio": Param(default=0.05, least=-0.9, most=10.0, meaning="0.05 is 5 % up")},
        ),
        FaultKind.FUNDING_CHANGED: FaultRule(
            meaning="funding of perpetuals is due at another interval, at another rate",
            filters=_PRICE,
            params={
                "hours": Param(default=1.0, least=1.0, most=24.0, meaning="the new interval"),
                "rate": Param(default=0.0001, least=-0.1, most=0.1, meaning="the new rate"),
            },
        ),
        FaultKind.WIDE_SPREAD: FaultRule(
            meaning="the spread is wider",
            filters=_PRICE,
            params={
                "factor": Param(default=50.0, least=1.0, most=1000.0, meaning="how many times")
            },
        ),
        FaultKind.DEPTH_GONE: FaultRule(
            meaning="books hold a share of what they usually do, at the same prices",
            filters=_PRICE,
            params={"share": Param(default=0.02, most=1.0, meaning="of the usual sizes")},
        ),
        FaultKind.QUIET: FaultRule(
            meaning="few trade there, as at night: no fault, and no number is missing",
            filters=_PRICE,
            params={"share": Param(default=0.05, most=1.0, meaning="of the usual trades")},
        ),
        FaultKind.DELISTED: FaultRule(
            meaning="markets are not listed: absent from lists, refused, and silent; no fault",
            filters=_PRICE,
        ),
        FaultKind.PROVIDER_DOWN: FaultRule(
            meaning="what hosts some venues fails: answers and handshakes are 503, streams are cut",
            params={"venues": Param(default="*", meaning="names or globs, between commas")},
        ),
        FaultKind.FIELD_GONE: FaultRule(
            meaning="frames come without one of their fields, wherever it stands in them",
            filters=_STREAM,
            params={"field": Param(default="ts", meaning="its name")},
        ),
        FaultKind.CADENCE_SLOW: FaultRule(
            meaning="messages about markets come less often; no number is missing",
            filters=_PRICE,
            params={"seconds": Param(default=5.0, most=600.0, meaning="between two of them")},
        ),
        FaultKind.CLOCK_SKEW: FaultRule(
            meaning="the venue's clock is off, in event times and in REST",
            params={
                "seconds": Param(
                    default=5.0, least=-86_400.0, meaning="the step, ahead if positive"
                ),
                "drift_ppm": Param(
                    default=0.0, least=-1e5, most=1e5, meaning="and runs this many ppm too fast"
                ),
            },
        ),
    }
)
