"""Small inputs after public bug reports and documentation (November 2026), and what each means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.model import Answer, Channel, Control, Depth, Event, Message, Quote, Reason, Trade
from exporter.venues import load

CASES = Path(__file__).parents[1] / "cases"
FRAMES = sorted((CASES / "frames").glob("*.txt"))


def events(path: Path) -> list[Event]:
    """Read every frame of a recording by its venue's reader, which the file's name tells."""
    venue = load(path.name.split("-")[1])
    lines = path.read_text("utf-8").splitlines()[1:]
    return [event for line in lines for event in venue.parse(line.partition(": ")[2].encode())]


def case(number: int) -> list[Event]:
    (path,) = [path for path in FRAMES if path.name.startswith(f"{number:02}-")]
    return events(path)


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_a_documented_frame_is_never_a_parse_error(path: Path) -> None:
    """Every frame gives events, and no quote has a side without size or a bid above the ask."""
    read = events(path)
    assert read
    for quote in read:
        if isinstance(quote, Quote):
            assert 0 < quote.bid <= quote.ask
            assert quote.bid_size != 0
            assert quote.ask_size != 0


def test_bybit_size_zero_takes_the_level_away() -> None:
    """A delta of the best prices quotes what is left, and nothing when a side says nothing."""
    quotes = [event for event in case(7) if isinstance(event, Quote)]
    assert [(quote.bid, quote.ask) for quote in quotes] == [(100.0, 101.0), (99.0, 100.5)]


def test_coinbase_keeps_an_update_whose_time_is_none() -> None:
    """An update of the year 1 moves the book like any other; it only has no time."""
    updates = [event for event in case(8) if isinstance(event, Depth) and not event.snapshot]
    assert [update.time is None for update in updates] == [True, False]
    book = load("coinbase").book
    assert book is not None
    assert book.levels(updates[0]) == (((9202.7, 0.0),), ())


def test_binance_streams_that_are_no_trades_are_not_counted_as_trades() -> None:
    """A block trade takes no number of the market's trades; a reference price is no price of it."""
    read = case(11)
    assert [event.label for event in read if isinstance(event, Control)] == [
        "referencePrice", "blockTrade", "serverShutdown",
    ]  # fmt: skip
    assert [event.sequence for event in read if isinstance(event, Trade)] == [12345]


def test_binance_microseconds_are_the_same_instants() -> None:
    """A connection that asked for microseconds gives seconds like any other."""
    times = [event.time for event in case(12) if isinstance(event, Trade)]
    assert times[0] == pytest.approx(1790000000.100123, abs=1e-6)
    assert len(times) == 5


def test_binance_symbols_may_be_of_any_script() -> None:
    """The trade and the quote belong to the subscriptions that asked for them."""
    trade, quote = case(13)
    assert isinstance(trade, Trade)
    assert isinstance(quote, Quote)
    assert (trade.symbol, trade.topic) == ("币安人生USDT", "币安人生usdt@trade")
    assert quote.topic == "币安人生usdt@bookTicker"


def test_one_sided_books_have_no_quote() -> None:
    """An empty side is a sign of life, and no price of zero; the next whole quote counts."""
    first, second = case(14)
    assert first == Message("bookTicker", "newusdt@bookTicker", "NEWUSDT", None, 1)
    assert isinstance(second, Quote)
    assert second.bid == 25.1
    assert case(17)[-1] == Message(
        "trade.ticker", "/market/ticker:NEW-USDT", "NEW-USDT", 1790000000.6, 5
    )


ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (CASES / "rest.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "reason" in row], ids=lambda row: row["body"]
)
def test_what_an_answer_means(row: dict[str, Any]) -> None:
    """A limit is a limit at whatever status, a warning is no error, a refused region no ban."""
    body = row["body"].encode()
    answer = Answer(status=row["status"], headers={}, body=body, new_connection=False, phases={})
    words = {None: None, "a refused region, not banned": Reason.REGION_REFUSED}
    wanted = words[row["reason"]] if row["reason"] in words else Reason(row["reason"])
    assert load(row["venue"]).fault(answer) is wanted


@pytest.mark.parametrize(
    "row", [row for row in ROWS if "maintenance" in row], ids=lambda row: row["venue"]
)
def test_only_our_maintenance_that_goes_on_is_read_as_such(row: dict[str, Any]) -> None:
    """Options' maintenance, one announced and an emergency silence nothing."""
    (read,) = [each.status for each in load(row["venue"]).endpoints if each.status]
    assert not read(row["body"].encode()).active


@pytest.mark.parametrize("mode", ["cancel_only", "post_only", "limit_only"])
def test_a_restricted_mode_of_kraken_is_no_maintenance(mode: str) -> None:
    """An emergency must never mute the pages that tell of it."""
    (read,) = [each.status for each in load("kraken").endpoints if each.status]
    assert not read(json.dumps({"error": [], "result": {"status": mode}}).encode()).active
    assert read(json.dumps({"error": [], "result": {"status": mode}}).encode()).mode == mode
    assert read(b'{"error":[],"result":{"status":"maintenance"}}').active


@pytest.mark.parametrize(
    ("venue", "status", "body", "reason"),
    [
        ("gate", 403, '{"label":"TOO_MANY_REQUESTS","message":"x"}', Reason.RATE_LIMITED),
        ("gate_futures", 200, '{"label":"TOO_FAST","message":"x"}', Reason.RATE_LIMITED),
        ("gate", 400, '{"label":"INVALID_CURRENCY_PAIR","message":"x"}', None),
        ("bitget", 503, '{"code":"429","msg":"Too many requests"}', Reason.RATE_LIMITED),
        ("bitget", 400, '{"code":"30014","msg":"request too frequent"}', Reason.RATE_LIMITED),
        ("bitget", 200, '{"code":"40034","msg":"no such symbol"}', Reason.BODY_INVALID),
        ("bitfinex", 500, '["error",11010,"ratelimit: error"]', Reason.RATE_LIMITED),
        ("bitfinex", 403, '{"error":"ERR_RATE_LIMIT"}', Reason.RATE_LIMITED),
        (
            "deribit",
            400,
            '{"error":{"code":10028,"message":"too_many_requests"}}',
            Reason.RATE_LIMITED,
        ),
        (
            "htx",
            200,
            '{"status":"error","err-code":"rate-too-many-requests","err-msg":"x"}',
            Reason.RATE_LIMITED,
        ),
        (
            "htx",
            403,
            '{"status":"error","err-code":"base-request-exceed-frequency-limit"}',
            Reason.RATE_LIMITED,
        ),
        (
            "htx",
            200,
            '{"status":"error","err-code":"invalid-parameter","err-msg":"request limit"}',
            Reason.RATE_LIMITED,
        ),
        (
            "htx",
            200,
            '{"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}',
            Reason.BODY_INVALID,
        ),
        ("crypto_com", 500, '{"code":42901,"message":"TOO_MANY_REQUESTS"}', Reason.RATE_LIMITED),
        (
            "gemini",
            403,
            '{"result":"error","reason":"RateLimit","message":"x"}',
            Reason.RATE_LIMITED,
        ),
        (
            "kraken_futures",
            200,
            '{"result":"error","error":"apiLimitExceeded"}',
            Reason.RATE_LIMITED,
        ),
        ("kraken_futures", 200, '{"result":"error","error":"Unavailable"}', Reason.HTTP_5XX),
        ("kraken_futures", 200, '{"result":"error","error":"notFound"}', Reason.BODY_INVALID),
        ("upbit", 403, '{"error":{"name":"too_many_requests"}}', Reason.RATE_LIMITED),
        ("bithumb", 403, '{"error":{"name":"too_many_requests"}}', Reason.RATE_LIMITED),
        ("mexc", 403, '{"code":510,"msg":"Requests are too frequent"}', Reason.RATE_LIMITED),
        (
            "bitmex",
            503,
            '{"error":{"message":"Rate limit exceeded","name":"RateLimitError"}}',
            Reason.RATE_LIMITED,
        ),
        (
            "coinbase_advanced",
            403,
            '{"error":"rate_limit_exceeded","message":"x"}',
            Reason.RATE_LIMITED,
        ),
        ("bitstamp", 403, '{"code":"400.002"}', Reason.RATE_LIMITED),
        ("kucoin", 403, '{"code":"429000","msg":"Too Many Requests"}', Reason.RATE_LIMITED),
        ("kraken", 403, '{"error":["EGeneral:Too many requests"]}', Reason.RATE_LIMITED),
        ("okx", 503, '{"code":"50061","msg":"x","data":[]}', Reason.RATE_LIMITED),
        ("bybit", 403, '{"retCode":10018,"retMsg":"ip rate limit"}', Reason.RATE_LIMITED),
        ("binance", 400, '{"code":-1003,"msg":"Too many requests"}', Reason.RATE_LIMITED),
        ("coinbase", 403, '{"message":"Public rate limit exceeded"}', Reason.RATE_LIMITED),
        ("coinbase", 404, '{"message":"NotFound"}', None),
        ("bybit", 403, "blocked: access from your country", Reason.REGION_REFUSED),
        ("binance", 451, '{"code":0,"msg":"restricted location"}', Reason.REGION_REFUSED),
    ],
)
def test_a_limit_is_one_at_whatever_status(
    venue: str, status: int, body: str, reason: Reason | None
) -> None:
    """The venue's own words for too many requests, or for a region, decide."""
    answer = Answer(status=status, headers={}, body=body.encode(), new_connection=False, phases={})
    assert load(venue).fault(answer) is reason


def test_usd_m_says_which_answers_name_a_wrong_weight() -> None:
    """The header of `bookTicker` is documented as inaccurate, so none of its answers counts."""
    (limit,) = load("binance_futures").rest_limits
    checks = load("binance_futures").cross_checks
    assert limit.untrusted == ("/ticker/bookTicker",)
    assert checks[Channel.QUOTES].path.startswith("/fapi/v1/ticker/bookTicker")
    last = checks[Channel.TRADES]
    assert (last.path.partition("?")[0], last.weight) == ("/fapi/v2/ticker/price", 1)


def test_kucoin_asks_for_candles_one_symbol_at_a_time() -> None:
    """Other channels take many symbols in one request."""
    group = load("kucoin").request_group
    assert group("/market/candles:A-B_1min") != group("/market/candles:C-D_1min")
    assert group("/market/match:A-B") == group("/market/match:C-D")


def test_bitstamp_markets_by_their_new_names() -> None:
    """The old list is obsolete; what is no spot market is left out."""
    venue = load("bitstamp")
    row = {"name": "BTC/USD", "market_symbol": "btcusd", "base_currency": "BTC",
           "counter_currency": "USD", "trading": "Enabled", "market_type": "SPOT"}  # fmt: skip
    other = {**row, "market_symbol": "btcusd-perp", "market_type": "PERPETUAL"}
    assert venue.markets_path == "/api/v2/markets/"
    assert venue.read_markets is not None
    found = venue.read_markets(json.dumps([row, other, {**row, "trading": "Disabled"}]).encode())
    assert [(each.symbol, each.instrument) for each in found] == [("btcusd", "BTC-USD")]
