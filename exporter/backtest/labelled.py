"""Series with known incidents, from files: CSV with labels beside the values, or in a JSON file.

CSV: a header with ``timestamp`` and ``value``, and ``label`` where rows tell by themselves whether
they belong to an incident (1, 0). JSON: ``{"folder/name.csv": [[begin, end], ...]}``, the layout
of the Numenta Anomaly Benchmark's ``combined_windows.json``. Times are epoch seconds or ISO 8601,
in UTC where they name no zone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from exporter.signals import Floats

Window = tuple[float, float]  # first and last second of an incident, epoch seconds

_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")


class LabelledError(ValueError):
    """A file that cannot be used; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One series. ``times`` (n,) epoch seconds, never falling; ``values`` (n,), NaN for a gap.

    ``windows`` are its incidents, None where nobody has said.
    """

    name: str
    times: Floats
    values: Floats
    windows: tuple[Window, ...] | None


def read_series(path: Path) -> Labelled:
    """Read a CSV file. Raises OSError and LabelledError."""
    times, values, labels = list[float](), list[float](), list[bool]()
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = [name.strip().lower() for name in next(rows, [])]
        if "timestamp" not in header or "value" not in header:
            found = ", ".join(header)[:80] or "an empty file"
            raise LabelledError(f"{path}:1: found {found}, expected columns timestamp and value")
        columns = [header.index(name) for name in ("timestamp", "value", "label") if name in header]
        try:
            for row in rows:
                if row:
                    time, value, *label = (row[column].strip() for column in columns)
                    times.append(_moment(time))
                    values.append(_number(value))
                    labels.append(_label(label[0]) if label else False)
        except (ValueError, IndexError, csv.Error, UnicodeDecodeError) as error:
            why = "too few columns" if isinstance(error, IndexError) else str(error)
            raise LabelledError(f"{path}:{rows.line_num}: {why[:200]}") from error
    if not times:
        raise LabelledError(f"{path}: no row")
    # A clock that was set back when it was recorded makes rows come twice or out of order.
    order = np.argsort(times, kind="stable")
    times, labels = [times[row] for row in order], [labels[row] for row in order]
    windows = tuple(_runs(times, labels)) if "label" in header else None
    return Labelled(
        name=str(path), times=np.array(times), values=np.array(values)[order], windows=windows
    )


def read_windows(path: Path) -> dict[str, tuple[Window, ...]]:
    """Read a file of windows, by the series' names. Raises OSError and LabelledError."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("expected an object of lists")
        return {
            str(name): tuple(sorted((_moment(begin), _moment(end)) for begin, end in windows))
            for name, windows in found.items()
        }
    except (ValueError, TypeError, RecursionError) as error:
        raise LabelledError(f"{path}: {str(error)[:200]}") from error


def windows_of(name: str, known: Mapping[str, tuple[Window, ...]]) -> tuple[Window, ...] | None:
    """Return the windows whose key is the longest end of a series' name, None without any."""
    parts = name.replace("\\", "/").split("/")
    for first in range(len(parts)):
        found = known.get("/".join(parts[first:]))
        if found is not None:
            return found
    return None


def _runs(times: Sequence[float], labels: Sequence[bool]) -> Iterator[Window]:
    begin: float | None = None
    for place, (time, label) in enumerate(zip(times, labels, strict=True)):
        if label and begin is None:
            begin = time
        if begin is not None and not label:
            yield begin, times[place - 1]
            begin = None
    if begin is not None:
        yield begin, times[-1]


def _moment(found: object) -> float:
    text = str(found)
    try:
        time = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        time = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isfinite(time):
        raise ValueError(f"{text[:40]!r} is no time")
    return time


def _number(text: str) -> float:
    if not text:
        return nan
    value = float(text)
    return value if isfinite(value) else nan


def _label(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"found label {text[:40]!r}, expected 1 or 0")
    return text.lower() in _TRUE
