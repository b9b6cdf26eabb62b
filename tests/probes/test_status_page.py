"""Status pages are read for what goes on, and asked no more than is polite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from exporter.contracts import FetchFailedError
from exporter.decoding import ParseError
from exporter.instrument import Product
from exporter.maintenance import Maintenance, Notice, NoticeKind, WatchedMarkets
from exporter.model import Answer, Reason
from exporter.probes.status_page import (
    LEAST_INTERVAL,
    MOST_PAGES,
    PageListener,
    StatusPages,
    read,
)
from tests.fakes import FakeClock, run_virtual


def page(*updates: dict[str, object], incidents: tuple[dict[str, object], ...] = ()) -> bytes:
    return json.dumps(
        {"page": {"id": "x"}, "scheduled_maintenances": updates, "incidents": incidents}
    ).encode()


def update(
    status: str = "in_progress",
    until: str | None = "2026-01-01T02:00:00.000Z",
    name: str = "Upgrade",
    components: tuple[str, ...] = (),
) -> dict[str, object]:
    named = [{"name": each} for each in components]
    return {"name": name, "status": status, "scheduled_until": until, "components": named}


END = 1767232800.0


@pytest.mark.parametrize(
    ("body", "components", "said"),
    [
        (page(), None, Maintenance(active=False)),
        (page(update("scheduled")), None, Maintenance(active=False)),
        (page(update("completed")), None, Maintenance(active=False)),
        (page(update()), None, Maintenance(active=True, end=END, title="Upgrade")),
        (page(update("verifying", None)), None, Maintenance(active=True, title="Upgrade")),
        (
            page(update(), update(until="2026-01-01T03:00:00+00:00", name="More")),
            None,
            Maintenance(active=True, end=END + 3600.0, title="Upgrade; More"),
        ),
        (page(update(components=("Commerce",))), "^Trading", Maintenance(active=False)),
        (
            page(update(components=("Commerce", "Trading API"))),
            "^Trading",
            Maintenance(active=True, end=END, title="Upgrade"),
        ),
        (page(update()), "^Trading", Maintenance(active=True, end=END, title="Upgrade")),
    ],
)
def test_what_goes_on(body: bytes, components: str | None, said: Maintenance) -> None:
    """Only what has begun and is not over, and of that only what concerns us."""
    assert replace(read(body, components), notices=()) == said


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", page(update(until="soon"))])
def test_what_cannot_be_read_is_said_so(body: bytes) -> None:
    """A page of another make is no maintenance, and no crash."""
    with pytest.raises(ParseError):
        read(body)


@dataclass
class Site:
    """``contracts.Fetch`` of status pages that know conditional requests."""

    body: bytes = field(default_factory=page)
    status: int = 200
    extra: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[float, str, Mapping[str, str]]] = field(default_factory=list)

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        body_limit: int,
        body: bytes | None = None,
    ) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), url, headers))
        if not self.status:
            raise FetchFailedError(Reason.DNS)
        tag = f'"{hash(self.body)}"'
        same = headers.get("If-None-Match") == tag
        return Answer(
            status=304 if same and self.status == 200 else self.status,
            headers={"etag": tag, "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT", **self.extra},
            body=b"" if same else self.body,
            new_connection=True,
            phases={},
        )


async def _run_for(pages: StatusPages, duration: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pages.run())
        await asyncio.sleep(duration)
        running.cancel()


def test_a_page_is_asked_once_an_interval_and_conditionally() -> None:
    """Two exchanges that share it cost one request; what did not change is not sent again."""
    site, told = Site(), list[tuple[str, Maintenance]]()

    async def main() -> None:
        pages = StatusPages(site, FakeClock(), interval=1.0)
        pages.want([
            ("http://s", PageListener(tell=lambda m: told.append(("a", m)))),
            ("http://s", PageListener(tell=lambda m: told.append(("b", m)), components="^X")),
        ])  # fmt: skip
        await _run_for(pages, 125.0)
        site.body = page(update(components=("Y",)))
        await _run_for(pages, 60.0)

    run_virtual(main())
    times = [time for time, _, _ in site.asked]
    assert min(b - a for a, b in pairwise(times)) >= LEAST_INTERVAL
    assert len(times) == 4
    assert [("If-None-Match" in headers) for _, _, headers in site.asked] == [False] + 3 * [True]
    assert site.asked[1][2]["If-Modified-Since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert [(who, said.active) for who, said in told] == [
        ("a", False), ("b", False), ("a", True), ("b", False)
    ]  # fmt: skip


@pytest.mark.parametrize("status", [0, 503, 404])
def test_who_fails_is_asked_ever_more_rarely(status: int) -> None:
    """The wait doubles up to an hour, and what was known stays known."""
    site = Site(status=status)

    async def main() -> None:
        pages = StatusPages(site, FakeClock(), interval=60.0)
        pages.want([("http://s", PageListener(tell=lambda m: pytest.fail("nothing was said")))])
        await _run_for(pages, 4 * 3600.0)

    run_virtual(main())
    times = [time for time, _, _ in site.asked]
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:4] == [120.0, 240.0, 480.0, 960.0]
    assert max(gaps) == 3600.0


def test_retry_after_is_honoured() -> None:
    """A page that asks for rest gets it."""
    site = Site(status=429, extra={"retry-after": "5000"})

    async def main() -> None:
        pages = StatusPages(site, FakeClock(), interval=60.0)
        pages.want([("http://s", PageListener(tell=lambda m: None))])
        await _run_for(pages, 6000.0)

    run_virtual(main())
    assert site.asked[1][0] - site.asked[0][0] >= 5000.0


def test_wishes_change_while_running() -> None:
    """A page that is kept keeps its turn, a new one has its own soon, an old one is let go.

    No more pages than the bound are followed; the rest is said to be left out.
    """
    site = Site()

    async def main() -> None:
        pages = StatusPages(site, FakeClock(), interval=100.0)

        def tell(said: Maintenance) -> None:
            assert not said.active

        listener = PageListener(tell=tell)
        pages.want([("http://a", listener), ("http://b", listener)])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(pages.run())
            await asyncio.sleep(50.0)
            pages.want([("http://a", listener), ("http://c", listener)])
            await asyncio.sleep(49.0)
            running.cancel()
        many = [(f"http://{number}", listener) for number in range(MOST_PAGES + 3)]
        assert pages.want(many) == 3

    run_virtual(main())
    assert [url[7] for _, url, _ in site.asked] == ["a", "b", "c"]
    assert site.asked[2][0] <= 56.0


def incident(
    name: str = "API is slow",
    components: tuple[str, ...] = (),
    created: str = "2026-01-01T01:00:00.000Z",
    **more: object,
) -> dict[str, object]:
    named = [{"name": each} for each in components]
    known = {"id": "k1", "name": name, "status": "investigating", "impact": "major"}
    link = "https://stspg.io/k1"
    return {**known, "created_at": created, "shortlink": link, "components": named, **more}


SPOT = WatchedMarkets(instruments=("BTC-USD", "ETH-USD"), products=frozenset({Product.SPOT}))
PERPS = WatchedMarkets(instruments=("BTC-USD-PERP",), products=frozenset({Product.INVERSE}))


def test_what_is_admitted_and_announced() -> None:
    """Unresolved incidents are declared, and the next maintenance is known before it begins."""
    said = read(
        page(
            {**update("scheduled", "2026-01-03T03:00:00Z", "Later"), "id": "m2",
             "scheduled_for": "2026-01-03T02:00:00Z", "created_at": "2026-01-01T00:00:00Z"},
            {**update("scheduled", "2026-01-02T03:00:00Z", "Next"),
             "scheduled_for": "2026-01-02T02:00:00Z"},
            incidents=(
                incident(),
                incident("Over", status="resolved"),
                incident("Told", status="postmortem"),
                incident("News", impact="none"),
                incident("Odd link", components=("REST",), shortlink="javascript:alert(1)"),
            ),
        )
    )  # fmt: skip
    assert not said.active
    assert said.start == END + 86400.0  # 2 January, 02:00
    assert said.incident == "API is slow; Odd link"
    assert said.notices[0] == Notice(
        kind=NoticeKind.INCIDENT, title="API is slow", start=END - 3600.0, declared=END - 3600.0,
        id="k1", url="https://stspg.io/k1",
    )  # fmt: skip
    assert said.notices[1].url == ""
    assert [(each.title, each.start, each.end) for each in said.notices[2:]] == [
        ("Later", END + 2 * 86400.0, END + 2 * 86400.0 + 3600.0),
        ("Next", END + 86400.0, END + 86400.0 + 3600.0),
    ]


@pytest.mark.parametrize(
    ("name", "components", "watched", "ours"),
    [
        ("Outage", (), SPOT, True),
        ("Delayed ATOM withdrawals", (), SPOT, False),
        ("Problems", ("WebSocket",), SPOT, True),
        ("Problems", ("Digital Currency Funding - Ethereum (ETH) - Polygon",), SPOT, False),
        ("Problems", ("0x (ZRX) - Ethereum",), SPOT, False),
        ("Problems", ("Mobile App", "REST"), SPOT, True),
        ("Problems", ("Mobile App", "Login"), SPOT, False),
        ("Problems", ("Futures Trading",), SPOT, False),
        ("Problems", ("Futures Trading",), PERPS, True),
        ("Problems", ("Spot Trading",), PERPS, False),
        ("Problems", ("Spot and Futures",), PERPS, True),
        ("Problems", ("BTC-USD",), SPOT, True),
        ("Problems", ("SOL/USD", "DOGE/USD"), SPOT, False),
        ("Problems", ("SOL/USD", "BTC/USD"), SPOT, True),
        ("Problems", ("Something New",), SPOT, True),
        ("Problems", ("Futures Trading",), WatchedMarkets(), True),
    ],
)
def test_what_is_affected_is_matched_with_what_is_watched(
    name: str, components: tuple[str, ...], watched: WatchedMarkets, ours: bool
) -> None:
    """Deposits of a coin are no incident of its market data, nor is another market's."""
    body = page(incidents=(incident(name, components),))
    assert bool(read(body, watched=watched).incident) is ours
    muted = page({**update(name=name, components=components), "status": "in_progress"})
    assert read(muted, watched=watched).active is ours


def test_an_incident_that_is_dated_back_was_declared_when_it_appeared() -> None:
    """Pages may set the time of creation: what was not there at the last look was not told then.

    The first look has nothing to hold it against, and believes it.
    """
    site = Site(body=page(incidents=(incident(created="2020-01-01T00:00:00Z"),)))
    clock, told = FakeClock(), list[Maintenance]()

    async def main() -> None:
        pages = StatusPages(site, clock, interval=60.0)
        pages.want([("http://s", PageListener(tell=told.append))])
        await _run_for(pages, 59.0)
        later = incident("Second", id="k2", created="2020-01-02T00:00:00Z")
        site.body = page(incidents=(later, incident(created="2020-01-01T00:00:00Z")))
        await _run_for(pages, 150.0)

    run_virtual(main())
    first = told[0].notices[0].declared
    assert first == 1577836800.0
    second, known = told[-1].notices
    assert known.declared == first
    # It was not there at the start, and a page may be cached for a minute.
    assert second.declared is not None
    assert clock.epoch - 60.0 <= second.declared < clock.epoch + 1.0


def test_other_markets_are_matched_anew_with_a_page_that_did_not_change() -> None:
    """Who watches other markets hears of what concerned none of those before."""
    site = Site(body=page(incidents=(incident(components=("SOL/USD",)),)))
    told, watched = list[Maintenance](), [SPOT]

    async def main() -> None:
        pages = StatusPages(site, FakeClock(), interval=60.0)
        pages.want([("http://s", PageListener(tell=told.append, watched=lambda: watched[0]))])
        await _run_for(pages, 100.0)
        watched[0] = replace(SPOT, instruments=("SOL-USD",))
        await _run_for(pages, 100.0)

    run_virtual(main())
    assert [said.incident for said in told] == ["", "API is slow"]
