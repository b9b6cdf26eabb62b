"""`check --online`: symbols held against what exchanges list, over real HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from exporter import venues
from exporter.__main__ import main
from exporter.simulator import Simulator

SYMBOLS = ("BTC-USDT", "ETH-USDT")


def check(tmp_path: Path, text: str, *faults: dict[str, object]) -> tuple[int, Path]:
    """Run the command on a config against a simulator; ``{binance}`` stands for its address."""
    file = tmp_path / "c.yml"

    async def run() -> int:
        names = ("binance", "bybit", "okx")
        async with Simulator(venue_names=names, symbols=SYMBOLS) as simulator:
            for fault in faults:
                simulator.inject(fault)
            places = {name: simulator.rest_url(name) for name in names}
            streams = {
                f"{name}_streams": simulator.stream_url(
                    name, urlsplit(venues.load(name).stream_urls[0]).path
                )
                for name in names
            }
            file.write_text(text.format(**places, **streams))
            return await asyncio.to_thread(main, ["check", "--online", str(file)])

    return asyncio.run(asyncio.wait_for(run(), 100.0)), file


def test_listed_symbols_are_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two exchanges, each asked; the usual report, and how many markets each one has."""
    status, _ = check(
        tmp_path,
        "exchanges:\n"
        "  - {{venue: binance, rest_url: '{binance}', stream_url: '{binance_streams}',"
        " symbols: [BTC-USDT, ETH-USDT]}}\n"
        "  - {{venue: okx, rest_url: '{okx}', stream_url: '{okx_streams}', symbols: [BTC-USDT]}}\n",
    )
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert "is valid: config hash" in out
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if " markets " in line)
    assert [line.split() for line in lines[at : at + 3]] == [
        ["exchange", "markets", "symbols"],
        ["binance", "2", "2"],
        ["okx", "2", "1"],
    ]


def test_patterns_come_to_what_is_listed_and_cost_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Series and requests of the markets that there are, what the bound left out, and no more."""
    status, file = check(
        tmp_path,
        "exchanges:\n"
        "  - {{venue: binance, rest_url: '{binance}', stream_url: '{binance_streams}',"
        ' symbols: ["*-USDT"], symbols_limit: 50}}\n'
        "  - {{venue: okx, rest_url: '{okx}', stream_url: '{okx_streams}', symbols_limit: 1,\n"
        "     symbols: [{{top: 2, by: volume, quote: USDT}}]}}\n",
    )
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["binance", "2", "2"] in lines
    assert ["okx", "2", "1"] in lines
    (left,) = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert left.startswith("left out: okx: symbols_limit, 1, leaves out 1 more markets: ")
    # Twenty of exchangeInfo, and nothing of volumes, every quarter of an hour.
    assert [
        "binance",
        "lists",
        "of",
        "markets",
        "0.0667",
        "per",
        "1m",
        "1.333",
        "per",
        "1m",
    ] in lines
    now = next(line for line in lines if line[:2] == ["binance", "binance"])
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    most = next(line for line in map(str.split, out.splitlines()) if line[:2] == now[:2])
    assert (now[6], most[6]) == ("6", "150")
    assert int(now[7]) < int(most[7])
    assert "binance: its patterns are counted as 50 markets, the most that symbols_limit" in out


def test_unlisted_symbols_are_refused_where_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line, key, what was found, and what is near: of symbols, streams and overrides."""
    status, file = check(
        tmp_path,
        "exchanges:\n"
        "  - venue: binance\n"
        "    rest_url: '{binance}'\n"
        "    symbols:\n"
        "      - BTC-USDT\n"
        "      - BTC-UDST\n"
        "      - FOO-BAR\n"
        "    symbol_overrides: {{FOO-BAR: FOOBAR}}\n"
        "    streams: [{{symbols: [EHT-USDT]}}]\n",
    )
    out, err = capsys.readouterr()
    assert (status, out) == (1, "")
    key = "exchanges[0]."
    assert err.splitlines() == [
        f'{file}:6: {key}symbols[1]: found "BTC-UDST", expected a market that binance lists; '
        'did you mean "BTC-USDT" or "ETH-USDT"?',
        f'{file}:8: {key}symbol_overrides.FOO-BAR: found "FOOBAR", expected a symbol that binance '
        "lists",
        f'{file}:9: {key}streams[0].symbols[0]: found "EHT-USDT", expected a market that binance '
        'lists; did you mean "ETH-USDT" or "BTC-USDT"?',
        "3 mistakes",
    ]


def test_who_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One failure does not hide the others' results, and is no mistake of the config."""
    text = (
        "exchanges:\n"
        "  - {{venue: binance, rest_url: '{binance}', symbols: [BTC-USDT], streams: []}}\n"
        "  - {{venue: bybit, rest_url: '{bybit}', symbols: [BTC-USDT], streams: []}}\n"
        "  - {{venue: okx, rest_url: '{okx}', symbols: [BTC-USDT], streams: []}}\n"
    )
    status, _ = check(
        tmp_path,
        text,
        {"fault": "error", "venue": "binance", "status": 500},
        {"fault": "garbage_body", "venue": "okx", "form": "html"},
    )
    out, err = capsys.readouterr()
    assert status == 3
    assert ["bybit", "2", "1"] in [line.split() for line in out.splitlines()]
    first, second = err.splitlines()
    assert first.startswith("could not be checked: binance: http://")
    assert ": http_5xx (status 500" in first
    assert second.startswith("could not be checked: okx: http://")
    assert ": body_invalid (" in second


def test_a_mistake_outweighs_a_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 where one exchange refuses a symbol and another cannot be asked."""
    status, _ = check(
        tmp_path,
        "exchanges:\n"
        "  - {{venue: binance, rest_url: '{binance}', symbols: [DOGE-EUR]}}\n"
        "  - {{venue: bybit, rest_url: '{bybit}', symbols: [BTC-USDT]}}\n",
        {"fault": "error", "venue": "bybit", "status": 503},
    )
    err = capsys.readouterr().err.splitlines()
    assert status == 1
    assert 'found "DOGE-EUR"' in err[0]
    assert err[1].startswith("could not be checked: bybit: http://")
    assert err[2] == "1 mistake"


def test_each_class_of_markets_is_asked_for_where_it_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A swap is no spot market, nor is a linear contract: their lists are asked, each once."""
    lists = {
        "/v5/market/instruments-info?category=spot": _bybit("spot", ("BTCUSDT", "BTC", "USDT", {})),
        "/v5/market/instruments-info?category=linear&limit=1000": _bybit(
            "linear",
            ("ETHUSDT", "ETH", "USDT", {"contractType": "LinearPerpetual", "deliveryTime": "0"}),
            ("1000XUSDT", "1000X", "USDT", {"contractType": "NewPerpetual"}),
            ("BTCUSDT-25DEC26", "BTC", "USDT", {"deliveryTime": "1798185600000"}),
        ),
        "/api/v5/public/instruments?instType=SWAP": _okx(
            {"instId": "BTC-USD-SWAP", "instType": "SWAP", "ctType": "inverse"}
        ),
        "/api/v5/public/instruments?instType=FUTURES": _okx(
            {"instId": "BTC-USD-261225", "instType": "FUTURES", "ctType": "inverse"}
        ),
    }
    asked: list[str] = []
    file = tmp_path / "c.yml"

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response(lists[request.path_qs])

    async def run() -> int:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            served = web.TCPSite(runner, "127.0.0.1", 0)
            await served.start()
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            file.write_text(
                "exchanges:\n"
                f"  - {{venue: bybit, rest_url: '{base}', symbols: [BTC-USDT, ETH-USDT-PERP,\n"
                "      1000X-USDT-PERP, BTC-USDT-261225,\n"
                "      {venue_symbol: BTCUSDT-25DEC26, product: linear}]}\n"
                f"  - {{venue: okx, rest_url: '{base}', symbols: [BTC-USD-PERP, BTC-USD-261225,\n"
                "      BTC-USDT-PERP]}\n"
            )
            return await asyncio.to_thread(main, ["check", "--online", str(file)])
        finally:
            await runner.cleanup()

    status = asyncio.run(asyncio.wait_for(run(), 100.0))
    _, err = capsys.readouterr()
    assert sorted(asked) == sorted(lists)
    assert status == 1
    assert err.splitlines() == [
        f'{file}:6: exchanges[1].symbols[2]: found "BTC-USDT-PERP", expected a market that okx '
        'lists; did you mean "BTC-USD-PERP"?',
        "1 mistake",
    ]


def _bybit(category: str, *rows: tuple[str, str, str, dict[str, str]]) -> dict[str, object]:
    listed = [
        {"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": "Trading", **more}
        for symbol, base, quote, more in rows
    ]
    return {"retCode": 0, "result": {"category": category, "list": listed}}


def _okx(*rows: dict[str, str]) -> dict[str, object]:
    return {"code": "0", "data": [{"state": "live", **row} for row in rows]}
