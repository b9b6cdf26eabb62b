"""One board an exchange: what is planned, announced and admitted, each thing once."""

from __future__ import annotations

from exporter.config import calendar
from exporter.maintenance import Maintenance, Notice, NoticeKind
from exporter.metrics.families import MaintenanceSource
from exporter.probes.notices import NoticeBoard

NOW = 1_800_000_000.0
PAGE, VENUE, CONFIG = (
    MaintenanceSource.STATUS_PAGE, MaintenanceSource.VENUE, MaintenanceSource.CONFIG
)  # fmt: skip


def notice(title: str, kind: NoticeKind = NoticeKind.INCIDENT, **more: float) -> Notice:
    return Notice(kind=kind, title=title, **more)  # type: ignore[arg-type]  # times only


def said(*notices: Notice) -> Maintenance:
    titles = "; ".join(each.title for each in notices if each.kind is NoticeKind.INCIDENT)
    return Maintenance(active=False, incident=titles, notices=notices)


def test_what_page_and_venue_both_say_stands_once() -> None:
    """Kraken's endpoint repeats its page: the page's word counts, it has times."""
    board = NoticeBoard()
    board.note(PAGE, said(notice("API", declared=NOW - 60.0)), NOW)
    board.note(VENUE, said(notice("API"), notice("Other")), NOW + 5.0)
    assert [(each.source, each.notice.title) for each in board.declared] == [
        (PAGE, "API"), (VENUE, "Other")
    ]  # fmt: skip
    assert board.incident == "API; Other"
    board.note(PAGE, said(), NOW + 10.0)
    assert [each.source for each in board.declared] == [VENUE, VENUE]


def test_what_has_no_time_is_dated_by_its_first_sight() -> None:
    """A venue without times is as candid as our probes are often; one that comes back is new."""
    board = NoticeBoard()

    def declared(at: float, *notices: Notice) -> list[float | None]:
        board.note(VENUE, said(*notices), NOW + at)
        return [each.notice.declared for each in board.declared]

    assert declared(0.0, notice("API")) == [NOW]
    assert declared(30.0, notice("API"), notice("More")) == [NOW, NOW + 30.0]
    assert declared(60.0) == []
    assert declared(90.0, notice("API")) == [NOW + 90.0]


def test_a_venue_without_a_list_is_in_the_calendar_too() -> None:
    """Binance says 1 and no more, KuCoin a sentence: that is one entry, from when it was seen."""
    board = NoticeBoard()
    board.note(VENUE, Maintenance(active=True, title="Upgrade", end=NOW + 600.0), NOW)
    board.note(VENUE, Maintenance(active=True, title="Upgrade", end=NOW + 900.0), NOW + 30.0)
    (entry,) = board.calendar(NOW + 30.0)
    assert (entry.notice.title, entry.notice.start, entry.notice.end) == (
        "Upgrade", NOW, NOW + 900.0
    )  # fmt: skip
    upcoming = notice("Next", NoticeKind.MAINTENANCE, start=NOW + 999.0)
    board.note(VENUE, Maintenance(active=True, title="Now", notices=(upcoming,)), NOW + 60.0)
    assert [each.notice.title for each in board.calendar(NOW + 60.0)] == ["Now", "Next"]


def test_the_next_beginning_is_of_whoever_says_the_earliest() -> None:
    """Windows of the config count, those that go on do not, and what has begun is over as next."""
    once = calendar.Once(NOW + 100.0, NOW + 200.0)
    board = NoticeBoard([once, calendar.Once(NOW - 50.0, NOW + 50.0)])
    assert board.next_start(NOW) == NOW + 100.0
    early = notice("Early", NoticeKind.MAINTENANCE, start=NOW + 20.0)
    board.note(PAGE, said(early), NOW)
    assert board.next_start(NOW) == NOW + 20.0
    assert board.next_start(NOW + 20.0) == NOW + 100.0
    assert board.next_start(NOW + 100.0) is None
    found = board.calendar(NOW)
    assert [(each.source, each.notice.start) for each in found] == [
        (CONFIG, NOW - 50.0), (PAGE, NOW + 20.0), (CONFIG, NOW + 100.0)
    ]  # fmt: skip


def test_a_maintenance_without_a_time_is_on_no_date() -> None:
    """Kraken may announce one before it knows when: it neither goes on nor begins."""
    board = NoticeBoard()
    board.note(VENUE, said(notice("Some day", NoticeKind.MAINTENANCE)), NOW)
    assert board.calendar(NOW) == []
    assert board.next_start(NOW) is None
