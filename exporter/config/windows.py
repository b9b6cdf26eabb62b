"""The keys of a planned maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.config import calendar
from exporter.config.kinds import Mistake, Reading, boolean, duration, quoted, text
from exporter.config.section import key

_MOMENT = text("a local date and time such as 2026-12-01T06:00", r"\d{4}-\d\d-\d\dT\d\d:\d\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """A maintenance that is known beforehand: once, or each time that a cron expression says."""

    cron: str | None = key(
        text("five fields: minute hour day month weekday", r"\S+( +\S+){4}"),
        None,
        "Start of a recurring maintenance: minute hour day month weekday.",
    )
    duration: float | None = key(
        duration("1m", "7d"), None, "Duration of a recurring maintenance (cron)."
    )
    start: str | None = key(_MOMENT, None, "Start of a single maintenance.")
    end: str | None = key(_MOMENT, None, "End of a single maintenance (start).")
    zone: str = key(
        text("a time zone such as Asia/Tokyo", r"[A-Za-z0-9_+/-]{1,64}"),
        "UTC",
        "Time zone of these times.",
    )
    pause: bool = key(boolean(), False, "Send no probes during the maintenance.")

    def mistakes(self, reading: Reading) -> Iterator[Mistake]:
        """Complain of half a window, of two, and of one that never is."""
        given = [n for n in ("cron", "duration", "start", "end") if getattr(self, n) is not None]
        if given not in (["cron", "duration"], ["start", "end"]):
            what = " and ".join(given) or "nothing"
            yield Mistake((), f"found {what}, expected either cron and duration, or start and end")
            return
        try:
            zone = ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            wrong = f"found {quoted(self.zone)}, expected a time zone that this system knows"
            yield Mistake(("zone",), wrong)
            return
        place = "start"
        try:
            if self.cron is not None:
                place = "cron"
                calendar.cron(self.cron)
            else:
                first = calendar.moment(str(self.start), zone)
                place = "end"
                if calendar.moment(str(self.end), zone) <= first:
                    yield Mistake(("end",), f"found {self.end}, expected it after start")
        except (ValueError, OverflowError) as error:
            wrong = f"{error}"
            if place != "cron":  # in Python's words, whose tail is another from version to version
                wrong = f"no date: {wrong.partition(', not ')[0]}"
            yield Mistake((place,), f"found {wrong}")
