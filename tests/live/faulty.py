"""The exporter with a fault of ours planted: reading one venue's answers fails while a file exists.

python -m tests.live.faulty VENUE FILE run --config.file=...
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from exporter import __main__ as program
from exporter import venues
from exporter.contracts import Venue
from exporter.model import Answer, Reason


def plant(name: str, trigger: Path) -> None:
    """Let one venue's reader of answers divide by zero while ``trigger`` exists."""
    load = venues.load

    def broken(wanted: str) -> Venue:
        venue = load(wanted)

        def fault(answer: Answer) -> Reason | None:
            if trigger.exists():
                raise ZeroDivisionError("a planted fault")
            return venue.fault(answer)

        return replace(venue, fault=fault) if wanted == name else venue

    venues.load = broken  # type: ignore[assignment]  # of the same use, without a cache


if __name__ == "__main__":
    plant(sys.argv[1], Path(sys.argv[2]))
    sys.exit(program.main(sys.argv[3:]))
