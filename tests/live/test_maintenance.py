"""Maintenance is known from whoever says so, and probes pause only where the config wants it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import icalendar
import pytest

from tests.live import programs
from tests.live.conftest import World, config
from tests.live.worlds import NO_LIMITS, simulated, watched

pytestmark = pytest.mark.live
ACTIVE = "exchange_maintenance_active"


def _config(there: dict[str, str]) -> str:
    """Kraken has its status page, Binance an open window, OKX one for which probes pause."""
    today = datetime.now(UTC)
    start, end = (f"{today + timedelta(hours=h):%Y-%m-%dT%H:%M}" for h in (-1, 1))
    window = f"start: {start}, end: {end}"
    text = config(there)
    for name, more in {
        "kraken": f"  status_page_url: {there['kraken']}/statuspage",
        "binance": f"  maintenance: [{{{window}}}]",
        "okx": f"  maintenance: [{{{window}, pause: true}}]",
    }.items():
        text = text.replace(f"- venue: {name}\n", f"- venue: {name}\n{more}\n")
    return text


def test_maintenance_by_every_source(tmp_path: Path) -> None:
    """The venue's page, the config's calendar; the announced end stands beside them."""
    venues = "--venues=binance,okx,kraken"
    with simulated(tmp_path, _config, venues, NO_LIMITS) as (simulator, url, file):
        fault = {"fault": "maintenance", "venue": "kraken", "announced": 1800, "streams": False}
        programs.post_json(f"{url}/control/faults", fault)
        with watched(simulator, url, file) as world:
            _check(world)


def test_a_page_that_admits_late_is_compared_with_what_we_saw(tmp_path: Path) -> None:
    """Kraken takes cancels only, and says why some time later: we knew before.

    The calendar has its incident and the config's windows, and icalendar reads them.
    """
    with simulated(tmp_path, _config, "--venues=binance,okx,kraken", NO_LIMITS) as (
        simulator, url, file,
    ), watched(simulator, url, file) as world:  # fmt: skip
        page, venue = (
            {"exchange": "kraken", "source": source} for source in ("status_page", "venue")
        )
        declared = "exchange_incident_declared"
        programs.eventually(lambda: world.scrape().values(declared, **page) == [0], "it is read")
        world.inject(fault="restricted", venue="kraken", mode="cancel_only")
        mode = {"exchange": "kraken", "mode": "cancel_only"}
        programs.eventually(
            lambda: world.scrape().values("exchange_trading_mode", **mode) == [1], "we know"
        )
        world.inject(
            fault="incident", venue="kraken", title="Orders are late", components="REST,WebSocket"
        )
        programs.eventually(lambda: world.scrape().values(declared, **venue) == [1], "they know")
        lead = "exchange_incident_lead_seconds"
        programs.eventually(
            lambda: len(world.scrape().values(lead, exchange="kraken")) == 1, "lead"
        )
        (first,) = world.scrape().values(lead, exchange="kraken")
        assert 0 < first < 60
        state = json.loads(programs.get(f"{world.url}/api/v1/exchanges/kraken"))
        assert [each["title"] for each in state["declared"]] == ["Orders are late"]
        assert state["declared"][0]["lead"] == pytest.approx(first)
        entries = json.loads(programs.get(f"{world.url}/api/v1/calendar"))["entries"]
        found = {(each["exchange"], each["kind"], each["source"]) for each in entries}
        assert found == {
            ("kraken", "incident", "venue"),
            ("binance", "maintenance", "config"),
            ("okx", "maintenance", "config"),
        }
        body = programs.get(f"{world.url}/api/v1/calendar.ics")
        events = icalendar.Calendar.from_ical(body).walk("VEVENT")
        assert sorted(str(each["SUMMARY"]) for each in events) == [
            "binance: Planned maintenance", "kraken: Orders are late", "okx: Planned maintenance"
        ]  # fmt: skip


def _check(world: World) -> None:
    programs.eventually(
        lambda: world.scrape().total(ACTIVE, exchange="kraken", source="status_page") == 1,
        "Kraken's page tells of it",
    )
    programs.eventually(
        lambda: world.scrape().total(ACTIVE, source="config") == 2, "windows are open"
    )
    skipped = "exchange_probe_skipped_total"
    programs.eventually(
        lambda: world.scrape().total(skipped, reason="maintenance") > 5, "OKX rests"
    )
    page = world.scrape()
    assert page.total(skipped, reason="maintenance", exchange="okx") == page.total(
        skipped, reason="maintenance"
    )
    ends = {
        s.labels["exchange"]: s.value - datetime.now(UTC).timestamp()
        for s in page.found
        if s.name == "exchange_maintenance_end_timestamp_seconds"
    }
    assert 1700 < ends["kraken"] < 1800
    assert 3500 < ends["binance"] <= 3600


def test_a_restricted_mode_is_no_maintenance_and_ends_in_one(tmp_path: Path) -> None:
    """The mode is shown as the venue says it, and no more once the venue says none, whoever talks.

    The status page and the calendar say nothing about modes, and take nothing away.
    """
    with simulated(tmp_path, _config, "--venues=binance,okx,kraken", NO_LIMITS) as (
        simulator, url, file,
    ), watched(simulator, url, file) as world:  # fmt: skip

        def shown(mode: str) -> list[float]:
            return world.scrape().values("exchange_trading_mode", exchange="kraken", mode=mode)

        programs.eventually(lambda: shown("trading") == [1], "Kraken trades")
        world.inject(fault="restricted", venue="kraken", mode="cancel_only")
        programs.eventually(lambda: shown("cancel_only") == [1], "the mode is shown")
        assert shown("trading") == [0]
        assert world.scrape().total(ACTIVE, exchange="kraken") == 0
        world.inject(fault="maintenance", venue="kraken", announced=1800)
        programs.eventually(lambda: shown("cancel_only") == [], "no mode in maintenance")
        declared = {"exchange": "kraken", "source": "venue"}
        programs.eventually(lambda: world.scrape().total(ACTIVE, **declared) == 1, "it is told")
        world.clear()
        programs.eventually(lambda: shown("trading") == [1], "Kraken trades again")
        assert world.scrape().total(ACTIVE, exchange="binance", source="config") == 1


def test_announcements_and_incidents_are_no_maintenance(tmp_path: Path) -> None:
    """Each venue with words for them tells when the next one begins and that something fails."""
    venues = ("bybit", "kraken", "okx")
    with simulated(tmp_path, config, f"--venues={','.join(venues)}", NO_LIMITS) as (
        simulator, url, file,
    ), watched(simulator, url, file) as world:  # fmt: skip
        start, incident = (
            "exchange_maintenance_start_timestamp_seconds",
            "exchange_incident_declared",
        )
        programs.eventually(lambda: world.scrape().values(incident) == [0, 0, 0], "all is well")
        before = datetime.now(UTC).timestamp()
        world.inject(fault="announced", venue="*", ahead=7200)
        world.inject(fault="incident", venue="*", title="Orders are late")
        programs.eventually(lambda: world.scrape().values(incident) == [1, 1, 1], "incidents show")
        programs.eventually(lambda: len(world.scrape().values(start)) == 3, "beginnings show")
        for begin in world.scrape().values(start):
            assert before + 7199 <= begin <= datetime.now(UTC).timestamp() + 7200
        assert world.scrape().total(ACTIVE) == 0
        # Each stands among what is wrong, and in its exchange's row.
        assert programs.get(f"{world.url}/").count("Orders are late") == 2 * 3
        world.clear()
        programs.eventually(lambda: world.scrape().values(incident) == [0, 0, 0], "it is over")
        programs.eventually(lambda: world.scrape().values(start) == [], "nothing is announced")
