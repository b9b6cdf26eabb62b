"""What a good config means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from exporter.config import (
    AnomalyConfig,
    BreakerConfig,
    Config,
    ConfigError,
    EndpointConfig,
    ExchangeConfig,
    LogConfig,
    MetricsConfig,
    ProbesConfig,
    Secret,
    ServerConfig,
    StreamConfig,
    StreamsConfig,
    breaker_rules,
    budget_share,
    config_hash,
    connections,
    read,
    rest_limits,
    subscriptions,
    targets,
    tree,
)
from exporter.config import site as site_of
from exporter.config.section import ListKind, Section, keys
from exporter.instrument import Product
from exporter.model import Channel, QueuePolicy
from exporter.streams.stream import spread
from exporter.venues import load, names
from tests.config.fakes import VENUES, complaints, load_text

EXAMPLES = Path(__file__).parents[2] / "examples"
MINIMAL = "exchanges: [{venue: binance, symbols: [BTC-USDT]}]\n"
BINANCE = VENUES["binance"]


def test_one_line_is_enough() -> None:
    """A venue and a symbol give a whole config: every other key has its default."""
    assert load_text(MINIMAL) == Config(
        exchanges=(ExchangeConfig(venue="binance", symbols=("BTC-USDT",)),)
    )
    (exchange,) = load_text(MINIMAL).exchanges
    assert exchange.name == "binance"
    assert exchange.endpoints is None
    assert exchange.streams == (
        StreamConfig(name="market", channels=(Channel.TRADES, Channel.QUOTES, Channel.BOOK)),
    )


def test_full_example_shows_the_defaults() -> None:
    """The settings that the README points to are the ones in force without them."""
    config = load_text((EXAMPLES / "full.yml").read_text())
    assert (config.probes, config.streams, config.anomaly) == (
        ProbesConfig(),
        StreamsConfig(),
        AnomalyConfig(),
    )
    assert (config.metrics, config.server, config.log) == (
        MetricsConfig(),
        ServerConfig(),
        LogConfig(),
    )
    assert config.exchanges[0].breaker == BreakerConfig()


def _sections(section: type[Any]) -> set[type[Any]]:
    found = {section}
    for each in keys(section).values():
        kind = each.kind.kind if isinstance(each.kind, ListKind) else each.kind
        if isinstance(kind, Section):
            found |= _sections(kind.of)
    return found


def test_full_example_shows_every_key() -> None:
    """A new key is not done before the example shows it, if only in a comment."""
    text = (EXAMPLES / "full.yml").read_text().replace("{", " ")
    words = {*text.split(), *text.replace("_file:", ":").split()}
    missing = [
        f"{section.__name__}.{name}"
        for section in _sections(Config)
        for name in keys(section)
        if f"{name}:" not in words
    ]
    assert missing == []


def test_every_key_is_documented_in_one_sentence() -> None:
    """The sentence becomes the editor's tooltip and a complaint's words."""
    for section in _sections(Config):
        assert set(keys(section)) == {field.name for field in dataclasses.fields(section)}
        assert all(each.doc.endswith(".") for each in keys(section).values())


def test_null_sections_and_merges_are_read() -> None:
    """A section whose keys are all commented out is the default; << fills what is left out."""
    text = (
        "exchanges:\n"
        "  - &first {venue: binance, symbols: [BTC-USDT], limits: {share: 5%}}\n"
        "  - {<<: *first, name: second, limits: {share: 0.2}}\n"
        "probes:\n"
    )
    config = load_text(text)
    assert [each.name for each in config.exchanges] == ["binance", "second"]
    assert [each.limits.share for each in config.exchanges] == [0.05, 0.2]
    assert config.exchanges[1].symbols == ("BTC-USDT",)
    assert config.probes == ProbesConfig()


def test_plain_words_stay_words() -> None:
    """What older YAML reads as false, ninety or a date is text, as editors show it."""
    node = tree.read("[no, 1:30, 2024-01-01, 010, 0x10, ~, true, 1e3, -7]")
    assert isinstance(node, tree.Items)
    assert [getattr(item, "value", "?") for item in node.items] == [
        *("no", "1:30", "2024-01-01", 10, "0x10", None, True, 1000.0, -7)
    ]


# --- secrets ----------------------------------------------------------------------------------

SECRETS = MINIMAL + (
    "alertmanagers:\n"
    '  - {url: "https://a.example", bearer_token: {env: KEY}}\n'
    '  - {url: "https://b.example", username: me, password_file: password}\n'
)


def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    """Both spellings read it, relative to the config, without the file's line end."""
    (tmp_path / "password").write_text("hunter3\n")
    first, second = load_text(SECRETS, str(tmp_path / "c.yml")).alertmanagers
    assert first.bearer_token is not None
    assert second.password is not None
    assert first.bearer_token.reveal() == "hunter2"
    assert second.password.reveal() == "hunter3"


def test_secrets_do_not_print(tmp_path: Path) -> None:
    """Neither str, repr, format nor the repr of a whole config shows one."""
    secret = Secret("env KEY", "hunter2")
    (tmp_path / "password").write_text("hunter2")
    config = load_text(SECRETS, str(tmp_path / "c.yml"))
    assert str(secret) == f"{secret}" == "***"
    assert "hunter2" not in f"{secret!r} {config} {config!r} {dataclasses.astuple(secret)[:1]}"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"x" * 70_000])
def test_odd_secret_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, binary and huge files are no secret."""
    (tmp_path / "password").write_bytes(content)
    (complaint,) = complaints(SECRETS, str(tmp_path / "c.yml"))
    assert complaint.endswith(
        '"password" (not a short text), expected a readable file with the secret'
    )


# --- the hash ---------------------------------------------------------------------------------


def test_the_hash_follows_settings_and_nothing_else() -> None:
    """Comments, spelling and order and a secret's value leave it alone; a setting does not."""
    same = (
        "# note\nprobes: {timeout: 5000ms}\nexchanges:\n- symbols: [BTC-USDT]\n  venue: binance\n"
    )
    assert config_hash(load_text(MINIMAL)) == config_hash(load_text(same))
    assert config_hash(load_text(MINIMAL)) != config_hash(
        load_text(MINIMAL + "probes: {timeout: 4s}")
    )
    config = load_text(MINIMAL)
    header = {"X": Secret("env KEY", "one")}, {"X": Secret("env KEY", "two")}
    hashes = {
        config_hash(
            dataclasses.replace(
                config,
                exchanges=(
                    ExchangeConfig(
                        venue="binance", endpoints=(EndpointConfig(name="a", headers=each),)
                    ),
                ),
            )
        )
        for each in header
    }
    assert len(hashes) == 1


# --- what it comes to -------------------------------------------------------------------------


def test_targets_fill_gaps_from_the_venue() -> None:
    """Base URL, weight and pace come from the venue; its slower endpoints keep their proportion."""
    exchange = ExchangeConfig(
        venue="binance", symbols=("BTC-USDT",), rest_url="http://127.0.0.1:1/b/"
    )
    ping, time, status = targets(exchange, BINANCE, ProbesConfig(interval=2.0, timeout=5.0))
    assert (ping.url, ping.interval, ping.timeout) == ("http://127.0.0.1:1/b/ping", 2.0, 2.0)
    assert (time.weight, status.interval, status.timeout) == (2, 6.0, 5.0)
    assert {each.exchange for each in (ping, time, status)} == {"binance"}


def test_targets_take_what_the_config_says() -> None:
    """Own endpoints by name, others by path or URL; {symbol} is the first, in its spelling."""
    text = """
exchanges:
  - venue: binance
    symbols: [BTC-USDT]
    symbol_overrides: {BTC-USDT: XBTUSDT}
    endpoints:
      - {name: ticker, interval: 1s, weight: 0}
      - {name: ping, url: "https://x.example", method: HEAD, timeout: 1s, headers: {A: {env: KEY}}}
      - {name: more, path: /more, statuses: [200, 204], expect: [{path: a.0, equals: 1}]}
"""
    config = load_text(text)
    ticker, ping, more = targets(config.exchanges[0], BINANCE, config.probes)
    assert (ticker.url, ticker.interval) == ("https://binance.example/ticker?s=XBTUSDT", 1.0)
    assert (ticker.weight, ticker.timeout) == (0, 1.0)
    assert (ping.url, ping.method, ping.headers) == (
        "https://x.example",
        "HEAD",
        {"A": "hunter2"},
    )
    assert (ping.interval, ping.timeout, ping.weight) == (10.0, 1.0, 1)
    assert (more.url, more.statuses) == ("https://binance.example/more", frozenset({200, 204}))
    assert (more.expect[0].path, more.expect[0].equals) == ("a.0", 1)


def test_a_region_is_a_site_with_addresses_of_its_own() -> None:
    """What the config says of an address wins; the rest is the region's, or the global site's."""
    keys = ("", ", region: eea", ", region: eea, rest_url: 'https://mine.example/'")
    found = []
    for more in keys:
        exchange = load_text(f"exchanges: [{{venue: okx, symbols: [A-B]{more}}}]").exchanges[0]
        site = site_of(exchange, VENUES["okx"])
        found.append((site.rest_urls, site.stream_urls))
        urls = {each.url for each in targets(exchange, VENUES["okx"], ProbesConfig())}
        assert all(url.startswith(site.rest_urls[0] + "/") for url in urls)
    assert found == [
        (("https://binance.example",), ("wss://binance.example/stream",)),
        (("https://eea.example",), ("wss://eea.example/ws",)),
        (("https://mine.example",), ("wss://eea.example/ws",)),
    ]


def test_subscriptions_are_what_the_venue_offers() -> None:
    """Discovered symbols count, overrides win, default channels that a venue lacks are left out."""
    exchange = ExchangeConfig(
        venue="okx", symbols=("BTC-USDT", "ETH-USDT"), symbol_overrides={"ETH-USDT": "ETHX"}
    )
    found = subscriptions(exchange, exchange.streams[0], VENUES["okx"], {"BTC-USDT": "XBT"})
    assert [(each.topic, each.instrument) for each in found] == [
        ("trades:XBT", "BTC-USDT"),
        ("trades:ETHX", "ETH-USDT"),
    ]


def test_markets_are_taken_by_name_or_by_the_venue_s_own_symbol() -> None:
    """Any script; a venue's symbol whatever it looks like, and of the class that is said."""
    text = (
        "exchanges: [{venue: bybit, symbols: [BTC-USDT, BTC-USDT-PERP, 币安人生-USDT,"
        " {venue_symbol: 'a b/ü'}, {venue_symbol: BTCUSDT, product: inverse}],"
        " streams: [{channels: [trades]}]}]"
    )
    exchange = read(text, "x", names(), load).exchanges[0]
    found = subscriptions(exchange, exchange.streams[0], load("bybit"))
    assert [(str(each.instrument), each.symbol, each.product) for each in found] == [
        ("BTC-USDT", "BTCUSDT", Product.SPOT),
        ("BTC-USDT-PERP", "BTCUSDT", Product.LINEAR),
        ("币安人生-USDT", "币安人生USDT", Product.SPOT),
        ("a b/ü", "a b/ü", Product.SPOT),
        ("BTCUSDT", "BTCUSDT", Product.INVERSE),
    ]
    parts = [{each.product for each in part} for part in spread(found, load("bybit"))]
    assert parts == [{Product.SPOT}, {Product.LINEAR}, {Product.INVERSE}]
    assert connections(found, load("bybit")) == 3


def test_another_class_of_the_same_symbol_is_another_config() -> None:
    """For the hash, and for a reload, which restarts the exchange."""
    text = "exchanges: [{{venue: bybit, symbols: [{{venue_symbol: BTCUSDT{}}}]}}]"
    found = [read(text.format(more), "x", names(), load) for more in ("", ", product: linear")]
    assert config_hash(found[0]) != config_hash(found[1])
    assert found[0].exchanges != found[1].exchanges


def test_a_stream_s_address_says_what_a_bare_pair_is() -> None:
    """A Bybit whose stream_url is that of linear contracts has always meant those."""
    urls = {"wss://stream.bybit.com/v5/public/linear": Product.LINEAR, "wss://x/feed": Product.SPOT}
    for url, product in urls.items():
        text = f"exchanges: [{{venue: bybit, symbols: [BTC-USDT], stream_url: '{url}'}}]"
        exchange = read(text, "x", names(), load).exchanges[0]
        found = subscriptions(exchange, exchange.streams[0], load("bybit"))
        assert {each.product for each in found} == {product}


@pytest.mark.parametrize(
    ("venue", "symbol", "complaint"),
    [
        ("binance", "BTC-USDT-PERP", "it has no perpetuals, only spot"),
        ("coinbase", "BTC-USD-261225", "it has no dated futures, only spot"),
        ("binance_futures", "BTC-USD-PERP", "it has no inverse perpetuals, only linear"),
    ],
)
def test_a_kind_of_market_that_the_venue_lacks_is_refused(
    venue: str, symbol: str, complaint: str
) -> None:
    """It would be acknowledged under a made-up symbol and stay silent."""
    text = f"exchanges: [{{venue: {venue}, symbols: [{symbol}]}}]"
    with pytest.raises(ConfigError, match=complaint) as refused:
        read(text, "x", names(), load)
    assert refused.value.complaints[0].startswith("x:1: exchanges[0].symbols[0]: found")


def test_connections_follow_routes_and_limits() -> None:
    """Topics of different routes share no connection, and a connection holds so many."""
    exchange = ExchangeConfig(venue="binance", symbols=("A-B", "C-D", "E-F"))
    wanted = subscriptions(exchange, exchange.streams[0], BINANCE)
    # three books by two, three trades by two, three quotes by two
    assert connections(wanted, BINANCE) == 6


def test_breaker_rules_switch_on_exactly_one() -> None:
    """The mode decides; an endpoint's own idea of slow wins."""
    exchange = ExchangeConfig(
        venue="binance",
        endpoints=(
            EndpointConfig(name="a", path="/a", slow_after=0.5),
            EndpointConfig(name="b", path="/b"),
        ),
        breaker=BreakerConfig(mode="slow", ratio=0.3),
    )
    a, b = breaker_rules(exchange, "a"), breaker_rules(exchange, "b")
    assert (a.failures, a.ratio, a.slow_ratio, a.slow, b.slow) == (None, None, 0.3, 0.5, 2.0)
    usual = breaker_rules(ExchangeConfig(venue="binance"), "a")
    assert (usual.failures, usual.ratio, usual.slow_ratio) == (5, None, None)


def test_limits_can_be_named() -> None:
    """A weight a minute scales the venue's first limit, or is the only one; the share too."""
    text = "exchanges: [{venue: bybit, streams: [], limits: {weight: 120, share: 50%}}]"
    (exchange,) = load_text(text).exchanges
    assert [(each.weight, each.window) for each in rest_limits(exchange, VENUES["bybit"])] == [
        (120, 60.0)
    ]
    assert [each.weight for each in rest_limits(exchange, BINANCE)] == [120, 500]
    assert rest_limits(ExchangeConfig(venue="binance"), BINANCE) == BINANCE.rest_limits
    assert budget_share(exchange, ProbesConfig()) == 0.5
    assert budget_share(ExchangeConfig(venue="binance"), ProbesConfig()) == 0.1


def test_policies_are_the_models() -> None:
    """A word in the file is the enum that queues know."""
    config = load_text(MINIMAL + "streams: {queue_policy: drop_oldest}")
    assert config.streams.queue_policy is QueuePolicy.DROP_OLDEST
