"""Make the labelled series beside this anew: ``python -m tests.anomaly.series.make``.

They have the shapes that public benchmarks of operations data have: rows of five minutes, a day's
rhythm or none, and incidents of the usual kinds. Two have no incident at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exporter.signals import Floats

HERE = Path(__file__).parent
ROWS = 1200
STEP = 300.0  # seconds
BEGIN = 1_700_006_400  # a midnight in UTC
Window = tuple[int, int]  # first row, and the one after the last


def series() -> dict[str, tuple[Floats, Sequence[Window]]]:
    """Return values and incidents by name."""
    chance = np.random.default_rng(2026)
    day = np.sin(np.arange(ROWS) * STEP / 86_400.0 * 2 * np.pi)
    noise = chance.normal(size=(6, ROWS))
    load = 60.0 + 25.0 * day + 2.0 * noise[0]
    load[900:960] += 60.0
    latency = 0.12 * np.exp(0.15 * noise[1])
    for first, last, factor in ((500, 512, 6.0), (1000, 1040, 4.0)):
        latency[first:last] *= factor
    requests = 900.0 + 12.0 * noise[2]
    requests[700:730] = 3.0 + np.abs(noise[2, 700:730])
    memory = 40.0 + 0.4 * noise[3]
    memory[800:900] += np.linspace(0.0, 30.0, 100)
    calm = 10.0 + 1.5 * noise[4]
    steps = np.where(np.arange(ROWS) * STEP % 86_400.0 < 43_200.0, 20.0, 80.0) + noise[5]
    return {
        "daily_load_with_a_rush": (load, [(900, 960)]),
        "latency_with_two_spells": (latency, [(500, 512), (1000, 1040)]),
        "requests_that_stop": (requests, [(700, 730)]),
        "memory_that_leaks": (memory, [(800, 900)]),
        "calm_noise": (calm, []),
        "daily_steps": (steps, []),
    }


def main() -> None:
    """Write all of them."""
    for name, (values, windows) in series().items():
        rows = ["timestamp,value,label"]
        for row, value in enumerate(values):
            label = int(any(first <= row < last for first, last in windows))
            rows.append(f"{BEGIN + row * int(STEP)},{value:.4f},{label}")
        (HERE / f"{name}.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
