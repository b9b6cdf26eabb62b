# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The keys of a definition about REST."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.config.endpoint import HEADER_NAME, PATH, ExpectConfig
from exporter.config.kinds import (
    JsonKind,
    Mistake,
    Reading,
    boolean,
    choice,
    duration,
    integer,
    member,
    statuses,
    text,
)
from exporter.config.kinds import url as address
from exporter.config.section import REQUIRED, ListKind, Section, key
from exporter.instrument import Product
from exporter.model import Reason
from exporter.venues.definition.field_shape import LevelShape
from exporter.venues.definition.kinds import FIELD, NAME, REST_PATH, ValuesKind, WhenKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusShape:
    """What an answer says of the venue as a whole."""

    path: str = key(PATH, REQUIRED, "Where the word stands that says it.")
    maintenance: Any = key(ValuesKind(), None, "Its values (one or a list) during maintenance.")
    post_only: Any = key(ValuesKind(), None, "Its values while only resting orders are taken.")
    limit_only: Any = key(ValuesKind(), None, "Its values while only limit orders are taken.")
    cancel_only: Any = key(ValuesKind(), None, "Its values while orders can only be cancelled.")
    trading: Any = key(ValuesKind(), None, "Its values while all is well.")
    title: str | None = key(PATH, None, "Where it says why.")
    end: str | None = key(PATH, None, "Where it says until when, in any form.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestEndpoint:
    """A REST endpoint for health checks."""

    name: str = key(NAME, REQUIRED, "A name for the label endpoint.")
    path: str = key(REST_PATH, REQUIRED, "Below rest.url; {symbol} is the first of the config's.")
    method: str | None = key(choice("GET", "POST"), None, "POST with a body, else GET.")
    json: Any = key(JsonKind(), None, "Body to send as JSON.")
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")
    interval: float = key(duration("1s", "10m"), "10s", "Usual time between two probes.")
    pace: float = key(duration("0s", "10m"), "0s", "Least time between two of its requests.")
    clock: str | None = key(PATH, None, "Where the answer tells the time, in any form.")
    status: StatusShape | None = key(Section(StatusShape), None, "What it says of the venue.")
    default: bool = key(boolean(), True, "Probed where the config names no endpoints.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShape:
    """An error that an answer may hide. The first that fits is the reason."""

    reason: Reason = key(member(Reason), REQUIRED, "What to call it.")
    statuses: tuple[int | str, ...] = key(
        ListKind(statuses(), most=50, least=1, or_one=True), ["2xx"], "Only with these statuses."
    )
    when: ExpectConfig | None = key(Section(ExpectConfig), None, "Only if this holds.")
    unless: ExpectConfig | None = key(Section(ExpectConfig), None, "Not if this holds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitShape:
    """A documented limit of REST requests per address."""

    name: str = key(NAME, REQUIRED, "A name for the label limit.")
    weight: int = key(integer(1, 10_000_000), REQUIRED, "Weight allowed in the window.")
    window: float = key(duration("1s", "1d"), REQUIRED, "Its length.")
    used_header: str | None = key(HEADER_NAME, None, "Header that names what is used.")
    remaining_header: str | None = key(HEADER_NAME, None, "Header that names what is left.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketsShape:
    """Where the venue lists its markets."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url.")
    rows: str | None = key(PATH, None, "Where the list, or a mapping of them, stands.")
    symbol: str = key(PATH, REQUIRED, "The venue's spelling, within a market.")
    base: str | None = key(PATH, None, "What is traded.")
    quote: str | None = key(PATH, None, "What it is paid with.")
    pair: str | None = key(PATH, None, "Both in one text, which symbols.form takes apart.")
    only: Mapping[str, Any] = key(WhenKind(), {}, "What a market must be like to count.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless base and quote can be told."""
        if (self.base is None) != (self.quote is None) or (self.base is None) == (
            self.pair is None
        ):
            yield Mistake((), "expected either base and quote, or pair")


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesShape:
    """Where the venue tells what each of its markets traded in a day: one list of all."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url.")
    rows: str | None = key(PATH, None, "Where the list, or a mapping of them, stands.")
    symbol: str = key(PATH, REQUIRED, "The venue's spelling, within a row.")
    volume: str | None = key(PATH, None, "The volume in the quote currency.")
    base: str | None = key(PATH, None, "Or the volume in the base currency, and")
    price: str | None = key(PATH, None, "what one unit of it is worth.")
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain unless the volume in the quote currency can be told."""
        if (self.base is None) != (self.price is None) or (self.base is None) == (
            self.volume is None
        ):
            yield Mistake((), "expected either volume, or base and price")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualsShape:
    """Where the venue tells what its perpetuals are valued by, and what holding them costs."""

    product: Product = key(
        member(Product, Product.SPOT, Product.OPTION), "linear", "The class that they are of."
    )
    path: str = key(REST_PATH, REQUIRED, "Below rest.url.")
    json: Any = key(JsonKind(), None, "Body to post.")
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")
    rows: str | None = key(PATH, None, "Where the list of them stands.")
    symbol: str = key(PATH, REQUIRED, "The venue's spelling, within a row.")
    names: str | None = key(
        PATH, None, "Where a list of the same length has the symbols, if the rows have none."
    )
    mark: str | None = key(PATH, None, "The mark price.")
    index: str | None = key(PATH, None, "The index price.")
    rate: str | None = key(PATH, None, "The funding rate.")
    rate_in: str = key(
        choice("ratio", "quote", "base"),
        "ratio",
        "What the rate is told in: a ratio of the position, or an amount of that currency.",
    )
    every: float | None = key(duration("1m", "2d"), None, "The interval of funding.")
    interval: str | None = key(PATH, None, "Where a row tells the interval, in seconds.")
    next: str | None = key(PATH, None, "When funding is due, in any form.")
    cap: str | None = key(PATH, None, "The largest size of the rate.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceShape:
    """A question about one market, which shows whether it moved."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url, with {symbol} or {lower}.")
    state: tuple[str, ...] = key(
        ListKind(PATH, most=10, least=1), REQUIRED, "What is different whenever it moved."
    )
    time: str | None = key(PATH, None, "When it last did, in any form.")
    json: Any = key(JsonKind(), None, "Body to post, with $symbol.")
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestShape:
    """The venue's REST API."""

    url: str = key(address("http", "https"), REQUIRED, "Base URL.")
    endpoints: tuple[RestEndpoint, ...] = key(
        ListKind(Section(RestEndpoint), most=50, unique="name"), [], "What can be probed."
    )
    faults: tuple[FaultShape, ...] = key(
        ListKind(Section(FaultShape), most=50, unique=None), [], "Errors that an answer may hide."
    )
    limits: tuple[LimitShape, ...] = key(
        ListKind(Section(LimitShape), most=10, unique="name"), [], "Documented limits."
    )
    markets: MarketsShape | None = key(Section(MarketsShape), None, "Where markets are listed.")
    volumes: VolumesShape | None = key(
        Section(VolumesShape), None, "Where volumes are told, to find the largest markets by."
    )
    perpetuals: tuple[PerpetualsShape, ...] = key(
        ListKind(Section(PerpetualsShape), most=20, unique=None),
        [],
        "Where prices and funding of perpetuals are told.",
    )
    status_page: str | None = key(
        address("http", "https"), None, "Base URL of a statuspage.io site."
    )
    traded: GlanceShape | None = key(
        Section(GlanceShape), None, "Where a market shows that it traded, to check silences by."
    )
    quoted: GlanceShape | None = key(
        Section(GlanceShape), None, "Where it shows that its book moved."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreludeShape:
    """A REST request whose answer says where to connect to, with a token say."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url.")
    method: str = key(choice("GET", "POST"), "POST", "How it is asked.")
    url: str = key(
        text("an address with {path}s of the answer in it", r"(wss?://|\{)[!-~]+"),
        REQUIRED,
        "Where to connect to: {data.server}?token={data.token}.",
    )
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotShape:
    """A book over REST, which the changes of the stream continue."""

    path: str = key(REST_PATH, REQUIRED, "Below rest.url, with {symbol} or {lower}.")
    last: str = key(FIELD, REQUIRED, "Number of the last change that is inside.")
    bids: str = key(FIELD, REQUIRED, "The list of bids.")
    asks: str = key(FIELD, REQUIRED, "The list of asks.")
    level: LevelShape | None = key(
        Section(LevelShape), None, "How a level is written; else [price, size]."
    )
    weight: int = key(integer(1, 10_000), 1, "Cost against the limits.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of levels without price or size."""
        if self.level is not None and not (self.level.price and self.level.size):
            yield Mistake(("level",), "expected price and size")
