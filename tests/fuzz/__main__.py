"""Fuzz for long: ``python -m tests.fuzz [--executions N] [--seed S] [TARGET...]``.

Prints how many inputs each reader survived. A finding is kept under ``tests/fuzz/seeds``, where
the tests try it for ever. Exit status 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
from time import monotonic

from tests.fuzz.loop import SEEDS, Finding, fuzz
from tests.fuzz.targets import targets


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=100_000, help="a reader; slow ones less")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    args = parser.parse_args()
    total, failed = 0, 0
    for target in targets():
        if args.targets and target.name not in args.targets:
            continue
        begun = monotonic()
        try:
            done = fuzz(target, int(args.executions * target.weight), args.seed, 3600.0, SEEDS)
        except Finding as finding:
            failed += 1
            print(f"FINDING {finding}", flush=True)  # noqa: T201
            continue
        total += done
        rate = done / max(monotonic() - begun, 1e-9)
        print(f"{target.name:24} {done:>9} executions {rate:>9.0f}/s", flush=True)  # noqa: T201
    print(f"{'total':24} {total:>9} executions, {failed} findings")  # noqa: T201
    return 1 if failed else 0


sys.exit(main())
