"""Any HTTP and any WebSocket service by configuration alone, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import aiohttp
from aiohttp import WSMsgType, web

from exporter import config as settings
from exporter import venues
from exporter.model import Lost, Reason, SubscriptionState
from exporter.runtime.app import App, RunOptions
from tests.runtime.running import wait_until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def site(handler: Handler) -> AsyncIterator[str]:
    """Serve every path with one handler; yield host and port."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        assert runner.addresses
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def watching(text: str) -> AsyncIterator[tuple[App, str]]:
    """Run the program by a config's text; yield it and its URL."""
    text = f"anomaly: {{tick: 100ms}}\n{text}"
    config = settings.read(text, "test", venues.choices(), venues.load, {"KEY": "hunter2"})
    ports = asyncio.Queue[int]()
    app = App(config, RunOptions(listen_address="127.0.0.1:0", ready=ports.put_nowait))
    async with asyncio.TaskGroup() as tasks:
        program = tasks.create_task(app.run())
        try:
            async with asyncio.timeout(30.0):
                port = await ports.get()
            yield app, f"http://127.0.0.1:{port}"
        finally:
            program.cancel()


async def fetched(url: str) -> str:
    """Return a page of the program."""
    async with aiohttp.ClientSession() as session, session.get(url) as page:
        return await page.text()


AHEAD = 300.0  # seconds by which the service's clock is wrong


async def service(request: web.Request) -> web.StreamResponse:
    """Play a service that has nothing to do with an exchange."""
    body = await request.text()
    said: dict[str, object] = {
        "method": request.method,
        "type": request.headers.get("Content-Type", ""),
        "body": body,
        "now": int((time.time() + AHEAD) * 1000),  # noqa: TID251 - the other side's clock
        "made": time.time() - 2.0,  # noqa: TID251
        "queue": {"length": 7},
        "state": "closed",
    }
    headers = {"X-Left": "40", "Date": formatdate(time.time() + AHEAD, usegmt=True)}  # noqa: TID251
    return web.json_response(said, status=int(request.query.get("status", "200")), headers=headers)


HTTP = """
exchanges:
  - name: shop
    venue: http
    rest_url: http://{host}
    limits: {{weight: 100, window: 10s, remaining_header: X-Left, share: 100%}}
    endpoints:
      - {{name: json, path: /a, json: {{ask: [1, two, null]}}, expect: [
          {{path: method, equals: POST}}, {{path: type, equals: application/json}},
          {{path: body, equals: '{{"ask": [1, "two", null]}}'}}]}}
      - {{name: form, path: /b, form: {{user: me, token: {{env: KEY}}}}, expect: [
          {{path: body, equals: user=me&token=hunter2}},
          {{path: type, equals: application/x-www-form-urlencoded}}]}}
      - {{name: put, path: /c, method: PUT, expect: [{{contains: '"PUT"'}}]}}
      - {{name: head, path: /d, method: HEAD, expect: [{{header: X-Left, less_than: 41}}]}}
      - {{name: classes, path: '/e?status=204', statuses: 2xx}}
      - {{name: fresh, path: /f, expect: [
          {{path: made, within: 30s}}, {{path: gone, exists: false}}]}}
      - {{name: stale, path: /f, expect: [{{path: now, within: 30s}}]}}
      - {{name: long, path: /f, expect: [{{path: queue.length, less_than: 7}}]}}
      - {{name: there, path: /f, expect: [
          {{path: queue, exists: true}}, {{header: x-none, exists: false}}]}}
      - {{name: clock, path: /g, clock: {{path: now}}}}
      - {{name: rule, path: '/h?status=503', maintenance: {{
          when: {{path: state, equals: closed}}, title: state, end: now}}}}
"""


def test_any_http_service_is_watched_by_configuration_alone() -> None:
    """Methods, bodies, expectations, clock, maintenance and limits are what the config says."""

    async def main() -> None:
        async with site(service) as host, watching(HTTP.format(host=host)) as (app, url):
            (shop,) = app.exchanges
            await wait_until(lambda: shop.begun)
            ends = {name: state.last for name, state in shop.probing.endpoints.items()}
            failed = {name: last.reason for name, last in ends.items() if last and last.reason}
            assert failed == {
                "stale": Reason.BODY_INVALID,
                "long": Reason.BODY_INVALID,
                "rule": Reason.HTTP_5XX,
            }
            assert ends["stale"]
            assert "expected a time within 30 s of now, got 300 s ahead" in ends["stale"].detail
            assert ends["long"]
            assert ends["long"].detail == "queue.length: expected less than 7, got 7"
            assert shop.probing.maintenance.active
            assert shop.probing.maintenance.title == "closed"
            offset = shop.probing.offset.read(asyncio.get_running_loop().time())
            assert abs(offset.value - AHEAD) < 5.0
            await wait_until(lambda: shop.probing.skew.offset > AHEAD - 5.0)
            page = await fetched(f"{url}/metrics")
            assert 'exchange_rate_limit_used_ratio{exchange="shop",limit="config"} 0.6' in page
            assert 'exchange_maintenance_active{exchange="shop",source="venue"} 1' in page
            assert 'exchange_probe_success{exchange="shop",endpoint="json"} 1' in page
            assert "hunter2" not in await fetched(f"{url}/api/v1/exchanges/shop/failures")

    asyncio.run(main())


def test_a_date_header_is_a_clock_of_whole_seconds() -> None:
    """Where nothing else tells the time, its error is half a second and the way."""

    async def main() -> None:
        text = """
exchanges:
  - {{name: shop, venue: http, endpoints: [
      {{name: clock, url: 'http://{host}/', clock: {{header: Date}}}}]}}
"""
        async with site(service) as host, watching(text.format(host=host)) as (app, _):
            (shop,) = app.exchanges
            await wait_until(lambda: shop.begun)
            offset = shop.probing.offset.read(asyncio.get_running_loop().time())
            assert abs(offset.value - AHEAD) <= offset.error + 0.01
            assert offset.error >= 0.5

    asyncio.run(main())


APART = """
exchanges:
  - venue: {venue}
    symbols: [BTC-USDT]
    streams: []
    rest_url: http://127.0.0.1:9
    status_page: false
    endpoints:
      - {{name: time, url: 'http://{host}/own', expect: [{{path: state, equals: closed}}]}}
      - {{name: refused, url: 'http://{host}/own?status=429'}}
      - {{name: wrong, url: 'http://{host}/own', expect: [{{path: state, equals: open}}]}}
"""


def test_an_endpoint_at_its_own_address_is_judged_by_expect_alone() -> None:
    """No venue's envelope, clock, limit or ban has a say in it, and the page says so."""

    async def main(venue: str) -> None:
        async with (
            site(service) as host,
            watching(APART.format(host=host, venue=venue)) as (app, url),
        ):
            (exchange,) = app.exchanges
            await wait_until(lambda: exchange.begun)
            probing = exchange.probing
            ends = {name: state.last for name, state in probing.endpoints.items()}
            found = {name: last.reason for name, last in ends.items() if last}
            assert found == {
                "time": None,
                "refused": Reason.RATE_LIMITED,
                "wrong": Reason.BODY_INVALID,
            }
            assert probing.ban.admit()
            assert all(budget.used_ratio() == 0.0 for budget in probing.budgets.values())
            assert "at another address, checked by expect only" in await fetched(url)
            overview = json.loads(await fetched(f"{url}/api/v1/exchanges/{venue}"))
            assert all(endpoint["apart"] for endpoint in overview["endpoints"])

    for venue in ("okx", "bybit", "kucoin"):
        asyncio.run(main(venue))


FEED = """
streams: {{backoff_base: 10ms, backoff_cap: 100ms, ping_interval: 1s}}
exchanges:
  - name: feed
    venue: websocket
    stream_url: ws://{host}/feed
    streams:
      - name: ticks
        send: ['{{"op":"subscribe"}}', hello]
        alive: {{path: topic, equals: ticks}}
        silence: 1s
        ping: are-you-there
        ping_every: 1s
"""


def test_any_websocket_is_watched_by_configuration_alone() -> None:
    """It sends what it was told, counts what shows life, and connects anew after a silence."""
    said: list[list[str]] = []

    async def feed(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        mine: list[str] = []
        said.append(mine)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            mine.append(message.data)
            await socket.send_str('{"topic":"other"}')
            await socket.send_str("no json")
            # The first connection shows no life at all, whatever else it says.
            if len(said) > 1:
                await socket.send_str('{"topic":"ticks","p":1}')
        return socket

    async def main() -> None:
        async with site(feed) as host, watching(FEED.format(host=host)) as (app, url):
            (exchange,) = app.exchanges
            await wait_until(lambda: bool(exchange.streams))
            (stream,) = exchange.streams
            (watch,) = stream.watches.values()
            await wait_until(lambda: watch.feed.count > 0)
            assert said[0][:2] == ['{"op":"subscribe"}', "hello"]
            assert (stream.losses, stream.lost) == (1, Lost.STALE_SUBSCRIPTION)
            await wait_until(lambda: stream.subscription("ticks") is SubscriptionState.LIVE)
            await wait_until(lambda: said[-1][2:3] == ["are-you-there"])
            names = 'exchange="feed",channel="messages",symbol="ticks"'
            page = await fetched(f"{url}/metrics")
            assert f"exchange_stream_last_message_timestamp_seconds{{{names}}}" in page
            assert f"exchange_stream_stale_after_seconds{{{names}}} 1" in page
            assert 'exchange_stream_connected{exchange="feed",stream="ticks"} 1' in page
            ours = 'exchange_stream_parse_errors_total{exchange="feed",channel="messages"} 0'
            assert ours in page
            pongs = 'exchange_stream_ping_rtt_seconds_count{exchange="feed",stream="ticks"}'
            while f"{pongs} 0" in page:
                await asyncio.sleep(0.2)
                page = await fetched(f"{url}/metrics")

    asyncio.run(asyncio.wait_for(main(), 60.0))
