"""Draws what detectors made of a series, with the optional extra `plots`."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from exporter.backtest.backtest import BacktestOutcome

MISSING = "plots need matplotlib: pip install 'exchange-exporter[plots]'"
_INK, _BAND, _INCIDENT, _ALARM = "#1f3b5b", "#9db8d6", "#f3b1ab", "#b3201f"
_HIGHEST = 10.0  # scores are cut here in the picture


def available() -> bool:
    """Return whether the extra is installed."""
    return find_spec("matplotlib") is not None


def draw(outcome: BacktestOutcome, folder: Path, number: int) -> Path:
    """Write one PNG: the series in its band above, its score below. Raises OSError."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    series, trace = outcome.series, outcome.trace
    assert trace is not None  # noqa: S101 - who wants a plot has traced
    moments = (series.times * 1000.0).astype("datetime64[ms]")
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(12.8, 6.4), height_ratios=(3, 1), layout="constrained"
    )
    _shade(above, outcome)
    _shade(below, outcome)
    above.fill_between(
        moments, *_shown(trace.lower, trace.center, trace.upper), color=_BAND, alpha=0.35, lw=0,
        label="usual",
    )  # fmt: skip
    above.plot(moments, series.values, color=_INK, lw=0.8, label="value")
    for one in outcome.alarms:
        wrong = one.time in outcome.false_alarms
        above.axvline(
            _moment(one.time), color=_ALARM, lw=1.2, ls=":" if wrong else "-",
            label="_" if wrong else "alarm",
        )  # fmt: skip
    finite = series.values[np.isfinite(series.values)]
    if finite.size:
        room = 0.08 * (float(np.ptp(finite)) or 1.0)
        above.set_ylim(float(finite.min()) - room, float(finite.max()) + room)
    below.plot(moments, np.minimum(trace.scores, _HIGHEST), color=_INK, lw=0.8)
    below.axhline(1.0, color=_ALARM, lw=0.8, ls="--")
    below.set_ylabel("score")
    below.set_xlabel("UTC; dashed: the threshold")
    above.set_title(_title(outcome), loc="left", fontsize=11)
    handles, labels = above.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    above.legend(unique.values(), unique.keys(), loc="upper left", frameon=False, ncols=4)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.0)
    name = re.sub(r"[^\w.-]+", "_", "_".join(Path(series.name).parts[-3:])).strip("._")
    path = folder / f"{number:03d}_{name[:100]}.png"
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return path


def _shade(axes: Any, outcome: BacktestOutcome) -> None:
    for begin, end in outcome.series.windows or ():
        axes.axvspan(_moment(begin), _moment(end), color=_INCIDENT, alpha=0.45, lw=0,
                     label="incident")  # fmt: skip


def _shown(lower: Any, center: Any, upper: Any) -> tuple[Any, Any]:
    """Return a band's edges; a side whose departures do no harm ends at the center."""
    return np.where(np.isfinite(lower), lower, center), np.where(np.isfinite(upper), upper, center)


def _moment(time: float) -> Any:
    return np.datetime64(round(time * 1000.0), "ms")


def _title(outcome: BacktestOutcome) -> str:
    windows = outcome.series.windows
    said = f"alarms: {len(outcome.alarms)}"
    if windows is not None:
        said = f"incidents found: {len(outcome.found)} of {len(windows)}, "
        said += f"false alarms (dotted): {len(outcome.false_alarms)}"
    return f"{Path(outcome.series.name).name}: {said}"
