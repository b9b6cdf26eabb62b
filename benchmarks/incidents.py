"""Score the shipped chain on labelled incidents of our own, from seeds.

Run: python benchmarks/incidents.py [--json], or exchange-exporter backtest --own-incidents

exporter/app/incidents.py says what the cases are and which half of them no threshold was set on.
"""

from __future__ import annotations

import argparse
import json

from exporter.app.incidents import run, table


def main() -> None:
    """Run all cases and print what was found, by half and by kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    figures = run()
    print(json.dumps(figures, indent=2) if as_json else table(figures))


if __name__ == "__main__":
    main()
