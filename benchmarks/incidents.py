"""Score the shipped chain on labelled incidents of our own, from seeds.

Run: python benchmarks/incidents.py [--json], or exchange-exporter backtest --own-incidents

exporter/backtest/incidents.py says what the cases are; no threshold was set on half of them.
"""

from __future__ import annotations

import argparse
import json

from exporter.backtest.incidents import run, table


def main() -> None:
    """Run all cases and print what was found, by half and by kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    figures = run()
    print(json.dumps(figures, indent=2) if as_json else table(figures))


if __name__ == "__main__":
    main()
