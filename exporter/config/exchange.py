# ruff: noqa: RUF009 - `key` gives a dataclass field, it is not evaluated later
"""The config keys of one exchange: endpoints, streams, circuit breaker and maintenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from exporter.config import weights
from exporter.config.endpoint import NAME, PROVIDER, EndpointConfig, ExpectConfig
from exporter.config.instruments import INSTRUMENT, MARKET, SYMBOL
from exporter.config.kinds import (
    Mistake,
    Place,
    Reading,
    UnfitVenueError,
    boolean,
    did_you_mean,
    duration,
    integer,
    member,
    prose,
    quoted,
    regex,
    text,
    url,
)
from exporter.config.leaving import BreakerConfig, LimitsConfig
from exporter.config.liquidity import LiquidityConfig
from exporter.config.secret import Secret, SecretKind
from exporter.config.section import REQUIRED, ListKind, Section, TableKind, key
from exporter.config.signals import SIGNAL_TABLE, SignalConfig
from exporter.config.units import format_duration
from exporter.config.venue_names import VenueName
from exporter.config.watching import InstrumentsConfig, PerpetualsConfig
from exporter.config.windows import WindowConfig
from exporter.contracts import Venue
from exporter.instrument import UnlistedError, product_of
from exporter.model import Channel, QueuePolicy
from exporter.selection import MarketSelection

FRAME = prose(10_000)
CHANNEL = member(Channel, Channel.MESSAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """Market data to consume: some channels of some symbols."""

    name: str = key(NAME, "market", "Value of the label stream.")
    channels: tuple[Channel, ...] = key(
        ListKind(CHANNEL, most=10, least=1),
        ["trades", "quotes", "book"],
        "Channels to subscribe to; of the default, those that the venue offers.",
    )
    symbols: tuple[str, ...] | None = key(
        ListKind(MARKET, most=2000, least=1),
        None,
        "Instruments, or patterns. Default: all symbols of the exchange.",
    )
    book: bool = key(
        boolean(),
        True,
        "Build order books from the book channel; false: only count and time its messages.",
    )
    book_audit: float | None = key(
        duration("10s", "1d"),
        None,
        "Interval at which each book is compared with a REST snapshot, if the venue has one. "
        "Default: never.",
    )
    cross_check: float | None = key(
        duration("5s", "1h"),
        None,
        "Interval at which each silent subscription is checked over REST: whether its market has "
        "changed. Default: never.",
    )
    queue: int | None = key(
        integer(16, 10_000_000), None, "Maximum number of queued frames. Default: streams.queue."
    )
    queue_policy: QueuePolicy | None = key(
        member(QueuePolicy),
        None,
        "What a full queue does. Default: streams.queue_policy.",
    )
    send: tuple[str | Secret, ...] = key(
        ListKind(SecretKind(FRAME), most=50, unique=None, or_one=True),
        [],
        "Text frames to send after connecting. Only for venue: websocket, as are alive, silence, "
        "ping and ping_every.",
    )
    alive: ExpectConfig | None = key(
        Section(ExpectConfig),
        None,
        "Test that a frame must satisfy to count as a sign of life. Default: any frame counts.",
    )
    silence: float | None = key(
        duration("1s", "1d"),
        None,
        "Time without a sign of life after which to reconnect. Default: 1m.",
    )
    ping: str | None = key(FRAME, None, "Text frame to send at regular intervals, as a keepalive.")
    ping_every: float | None = key(duration("1s", "1h"), None, "Interval of ping. Default: 20s.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Report tests that cannot apply to a frame."""
        if self.alive is not None:
            for name in ("header", "within"):
                if getattr(self.alive, name) is not None:
                    wrong = "found here, expected only for endpoints"
                    yield Mistake(("alive", name), wrong)
        if self.ping_every is not None and self.ping is None:
            yield Mistake(("ping_every",), "found without ping, expected both")


_SOCKET_KEYS = ("send", "alive", "silence", "ping")
_MARKET_KEYS = ("symbols", "book_audit", "cross_check")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """A configured target: a venue's protocol, an address and a name."""

    name: str = key(NAME, None, "Value of the label exchange. Default: the venue's name.")
    venue: str = key(VenueName(), REQUIRED, "The venue whose protocol the exchange uses.")
    symbols: tuple[str, ...] = key(
        ListKind(MARKET, most=2000),
        [],
        "Instruments such as BTC-USDT, for streams and for {symbol} in paths; patterns such as "
        "`*-USDT` and `{top: 50, quote: USDT}` select from the venue's list of markets.",
    )
    symbols_limit: int = key(
        integer(1, 2000),
        100,
        "Maximum number of instruments if symbols has patterns; the rest is left out.",
    )
    symbols_refresh: float = key(
        duration("10s", "1d"),
        "15m",
        "Interval at which the venue's list of markets is read, for patterns.",
    )
    symbol_overrides: Mapping[str, str] = key(
        TableKind(INSTRUMENT, SYMBOL, most=2000),
        {},
        "The venue's symbols of instruments for which the venue's general rule gives another "
        "symbol.",
    )
    region: str | None = key(
        text("the name of a region", r"[a-z][a-z0-9_]{0,30}"),
        None,
        "Region of the venue's site, which has its own addresses. Default: the global site.",
    )
    rest_url: str | None = key(
        url("http", "https", base=True), None, "Base URL of the REST API. Default: the venue's."
    )
    stream_url: tuple[str, ...] = key(
        ListKind(url("ws", "wss"), most=10, or_one=True),
        [],
        "WebSocket URL, or several for failover. Default: the venue's.",
    )
    endpoints: tuple[EndpointConfig, ...] | None = key(
        ListKind(Section(EndpointConfig), most=200, unique="name"),
        None,
        "Endpoints to probe. Default: the venue's own; [] for none.",
    )
    streams: tuple[StreamConfig, ...] = key(
        ListKind(Section(StreamConfig), most=100, unique="name"),
        [{"name": "market"}],
        "Streams to consume. Default: trades, quotes and book of all symbols; [] for none.",
    )
    provider: str | None = key(
        PROVIDER,
        None,
        "What it is hosted by, as far as you know: several of one provider that fail together are "
        "told as one.",
    )
    liquidity: LiquidityConfig = key(
        Section(LiquidityConfig), {}, "Depth and slippage to measure of the order books."
    )
    breaker: BreakerConfig = key(Section(BreakerConfig), {}, "Circuit breaker of each endpoint.")
    maintenance: tuple[WindowConfig, ...] = key(
        ListKind(Section(WindowConfig), most=100, unique=None),
        [],
        "Planned maintenance.",
    )
    status_page: bool = key(
        boolean(), True, "Read the status page: status_page_url, or the venue's."
    )
    status_page_url: str | None = key(
        url("http", "https", base=True),
        None,
        "Base URL of the status page (statuspage.io). Default: the venue's; if rest_url is set, "
        "none.",
    )
    status_components: str | None = key(
        regex(),
        None,
        "Regular expression (RE2) for the names of the components whose maintenance and incidents "
        "count. Default: the components that concern what is watched.",
    )
    limits: LimitsConfig = key(
        Section(LimitsConfig), {}, "Share of the rate limits that probes may use."
    )
    schema_watch: bool = key(
        boolean(),
        False,
        "Look at a frame a second of each connection for fields that are new or gone, and measure "
        "how often messages come.",
    )
    instruments: InstrumentsConfig = key(
        Section(InstrumentsConfig), {}, "Whether the state of each market is watched."
    )
    perpetuals: PerpetualsConfig = key(
        Section(PerpetualsConfig), {}, "Whether prices and funding of perpetuals are watched."
    )
    signals: Mapping[str, SignalConfig] = key(
        SIGNAL_TABLE,
        {},
        "Settings of this exchange's signals; they replace those of `anomaly.signals`.",
    )
    spread_endpoints: bool = key(
        boolean(),
        False,
        "Let several shards (`run --shard`) divide this exchange's endpoints, each with a part of"
        " the limits.",
    )

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.venue)

    @property
    def named(self) -> tuple[str, ...]:
        """The instruments that are written down, and not looked up."""
        return tuple(each for each in self.symbols if not isinstance(each, MarketSelection))

    @property
    def selections(self) -> tuple[MarketSelection, ...]:
        """The patterns, of all streams; none where nothing is streamed."""
        lists = (
            ()
            if not self.streams
            else (self.symbols, *(stream.symbols or () for stream in self.streams))
        )
        found = (each for each in chain.from_iterable(lists) if isinstance(each, MarketSelection))
        return tuple(dict.fromkeys(found))

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of what the venue does not offer, and of streams without symbols.

        Raises UnfitVenueError instead where a config is read for the other exchanges.
        """
        found = list(self._mistakes(reading.venue_named(self.venue)))
        if found and reading.before is not None and self.venue in reading.defined:
            raise UnfitVenueError
        return iter(found)

    def _mistakes(self, venue: Venue) -> Iterator[Mistake]:
        if self.region is not None and self.region not in venue.regions:
            known = ", ".join(venue.regions)
            wrong = f"found {quoted(self.region)}, expected a region of {self.venue}"
            wrong += f" ({known or 'it has none'}){did_you_mean(self.region, venue.regions)}"
            yield Mistake(("region",), wrong)
        yield from self._endpoint_mistakes(venue)
        yield from self._stream_mistakes(venue)
        yield from weights.mistakes(self, venue)
        yield from self._status_page_mistakes(venue)
        yield from self._market_mistakes(venue)
        yield from self._liquidity_mistakes(venue)
        if self.instruments.watch and (venue.markets_path is None or venue.read_markets is None):
            wrong = f"found true, expected false: {self.venue} lists no markets over REST"
            yield Mistake(("instruments", "watch"), wrong)
        if self.perpetuals.watch and not venue.perpetuals:
            wrong = f"found true, expected false: no list of {self.venue}'s perpetuals is known"
            yield Mistake(("perpetuals", "watch"), wrong)
        own = [stream.symbols or () for stream in self.streams if stream is not None]
        named = {*self.symbols, *chain.from_iterable(own)}
        for instrument in self.symbol_overrides:
            if instrument not in named:
                wrong = f"found {quoted(instrument)}, expected one of the exchange's symbols"
                near = did_you_mean(instrument, named)
                yield Mistake(("symbol_overrides", instrument), wrong + near)

    def _market_mistakes(self, venue: Venue) -> Iterator[Mistake]:
        """Complain of kinds of markets that the venue does not have: it would stay silent."""
        listed: list[tuple[Place, tuple[str, ...]]] = [(("symbols",), self.symbols)]
        for row, stream in enumerate(self.streams):
            if stream is not None:
                listed.append((("streams", row, "symbols"), stream.symbols or ()))
        written = {n for _, names in listed for n in names if not isinstance(n, MarketSelection)}
        patterns = any(isinstance(name, MarketSelection) for _, names in listed for name in names)
        if patterns and len(written) > self.symbols_limit:
            wrong = f"found {self.symbols_limit}, expected at least the {len(written)} instruments"
            yield Mistake(("symbols_limit",), f"{wrong} that are named beside patterns")
        for place, names in listed:
            for number, name in enumerate(names):
                if isinstance(name, MarketSelection):
                    if wrong := _unlisted(name, venue):
                        found = f"found {quoted(name)}, expected markets of {self.venue}"
                        yield Mistake((*place, number), f"{found}: {wrong}")
                    continue
                if name in self.symbol_overrides:
                    continue
                try:
                    venue.symbol(name)
                except UnlistedError as error:
                    wrong = f"found {quoted(name)}, expected a market of {self.venue}: {error}"
                    yield Mistake((*place, number), wrong)

    def _endpoint_mistakes(self, venue: Venue) -> Iterator[Mistake]:
        if not (self.endpoints or venue.endpoints or venue.topics):
            yield Mistake(("endpoints",), f"found none, expected one: {self.venue} has no own")
        own = {endpoint.name: endpoint.path for endpoint in venue.endpoints}
        for index, endpoint in enumerate(self.endpoints or ()):
            if endpoint is None:
                continue
            place = ("endpoints", index)
            path = endpoint.path
            if path is not None and not (self.rest_url or venue.rest_url):
                wrong = f"found {quoted(path)}, expected rest_url in the exchange to append it to"
                yield Mistake((*place, "path"), wrong)
                continue
            if path is None and endpoint.url is None:
                path = own.get(endpoint.name)
                if path is None:
                    wrong = f"found {quoted(endpoint.name)} without path or url, expected one of "
                    near = did_you_mean(endpoint.name, own)
                    offered = f"{self.venue}'s own endpoints ({', '.join(own) or 'it has none'})"
                    yield Mistake(place, wrong + offered + near)
            if "{symbol}" in (path or endpoint.url or "") and not self.named:
                wrong = "found {symbol}, expected symbols in the exchange to take the first of"
                wrong += " (patterns are none)" if self.symbols else ""
                yield Mistake((*place, "path"), wrong)

    def _liquidity_mistakes(self, venue: Venue) -> Iterator[Mistake]:
        if self.liquidity is None or not self.liquidity.wanted:
            return
        built = any(each and each.book and Channel.BOOK in each.channels for each in self.streams)
        if venue.book is None or not built:
            wrong = f"found it, but {self.name or self.venue} builds no order books"
            yield Mistake(("liquidity",), wrong)
            return
        own = [stream.symbols or () for stream in self.streams if stream is not None]
        watched = {*self.named, *chain.from_iterable(own)}
        units = venue.book.units
        for number, name in enumerate(self.liquidity.symbols):
            if name not in watched and not self.selections:
                wrong = f"found {quoted(name)}, expected one of the exchange's symbols"
                near = did_you_mean(name, self.named)
                yield Mistake(("liquidity", "symbols", number), wrong + near)
            elif product_of(name, venue.plain) not in units:
                wrong = f"found {quoted(name)}, whose book counts contracts of unknown worth"
                yield Mistake(("liquidity", "symbols", number), wrong)
        known = {product_of(name, venue.plain) for name in self.named} & units.keys()
        if not (known or self.liquidity.symbols or self.selections):
            wrong = "found it, but the books of these symbols count contracts of unknown worth"
            yield Mistake(("liquidity",), wrong)

    def _status_page_mistakes(self, venue: Venue) -> Iterator[Mistake]:
        own = venue.status_page if self.rest_url in (None, venue.rest_url) else None
        if self.status_page_url is not None and not self.status_page:
            wrong = "found beside status_page: false, expected one of the two"
            yield Mistake(("status_page_url",), wrong)
        elif self.status_components is not None and not (
            self.status_page and (self.status_page_url or own)
        ):
            wrong = "found without a status page that is followed, expected status_page_url"
            yield Mistake(("status_components",), wrong)

    def _stream_mistakes(self, venue: Venue) -> Iterator[Mistake]:
        if not venue.topics:
            if self.streams not in ((), (StreamConfig(),)):
                yield Mistake(("streams",), f"found some, expected none: {self.venue} has none")
            return
        if self.streams and not (self.stream_url or venue.stream_urls or venue.prelude):
            wrong = f"found none, expected one: {self.venue} has no address of its own"
            yield Mistake(("stream_url",), wrong)
        for index, stream in enumerate(self.streams):
            if stream is None:
                continue
            place = ("streams", index)
            bare = not venue.asks
            for name in _MARKET_KEYS if bare else _SOCKET_KEYS:
                if getattr(stream, name) not in (None, ()):
                    wrong = "found here, expected only for venue: websocket"
                    if bare:
                        wrong = f"found here, expected none: {self.venue} knows no symbols"
                    yield Mistake((*place, name), wrong)
            if bare:
                continue
            if not (self.symbols if stream.symbols is None else stream.symbols):
                wrong = f"found none for the stream {stream.name}, expected at least one instrument"
                yield Mistake(("symbols",), f"{wrong} (or streams: [])")
            if stream.book_audit is not None and (not stream.book or not _fetched(venue)):
                why = "a stream with book: true"
                if stream.book:
                    why = f"a venue with books over REST, and {self.venue} has none"
                found = format_duration(stream.book_audit)
                yield Mistake((*place, "book_audit"), f"found {found}, expected it only in {why}")
            if stream.cross_check is not None and not venue.cross_checks.keys() & stream.channels:
                found = format_duration(stream.cross_check)
                why = f"a venue whose REST tells of these channels, and {self.venue}'s does not"
                yield Mistake((*place, "cross_check"), f"found {found}, expected it only in {why}")
            for number, channel in enumerate(stream.channels):
                if channel not in venue.topics and stream.channels != StreamConfig().channels:
                    offered = ", ".join(venue.topics)
                    wrong = f'found "{channel}", expected a channel of {self.venue} ({offered})'
                    yield Mistake((*place, "channels", number), wrong)


def _unlisted(wanted: MarketSelection, venue: Venue) -> str:
    """Return why a venue cannot say which markets are meant; empty where it can."""
    if venue.markets_path is None or venue.read_markets is None:
        return "it lists no markets over REST"
    products = wanted.products(venue.plain)
    listed = {venue.plain, *venue.more_markets}
    if not products & listed:
        return f"it lists none of that class, only {' and '.join(sorted(listed))}"
    if wanted.top and (venue.volumes is None or not products & venue.volumes.paths.keys()):
        return "it tells no volumes over REST to compare them by"
    return ""


def _fetched(venue: Venue) -> bool:
    return venue.book is not None and venue.book.read_snapshot is not None
