"""Breaks the shipped rules on purpose, one place at a time, and counts what the unit tests notice.

Each mutant changes one threshold, wait, window, matcher, operator or grouping of one rule. Only
the rules that it touches and the unit tests that read them are run, which takes a second or less.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.alert_rules.rules import RULE_FILES, TEST_FILES, load

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the rule by file, group and place; which key, and what it becomes."""

    file: str
    group: int
    place: int
    name: str
    kind: str
    what: str
    key: str
    value: str | None  # None: the key is left out

    def __str__(self) -> str:
        return f"{self.file}: {self.name} #{self.place}: {self.kind}: {self.what}"


def seconds(duration: str) -> int:
    """Read a duration such as 1m30s."""
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def _number(text: str, factor: float) -> str:
    return f"{float(text) * factor:g}"


# Kind, pattern, and what its match becomes: at most two mutants for each place.
def _replacements(match: re.Match[str], kind: str) -> list[str]:
    text = match.group()
    match kind:
        case "threshold":
            sign, number = match[1], match[2]
            if float(number) == 0:
                return [f"{sign} 1"]
            return [f"{sign} {_number(number, 2)}", f"{sign} {_number(number, 0.5)}"]
        case "factor":
            return [f"{_number(match[1], 2)} *", f"{_number(match[1], 0.5)} *"]
        case "operator":
            return [
                {"==": "!=", ">": "<", "<": ">", "> bool": "< bool", "== bool": "!= bool"}[text]
            ]
        case "set":
            return [{"and": "unless", "unless": "and", "or": "and"}[text]]
        case "aggregation":
            return [
                {"max": "min", "min": "max", "sum": "count", "count": "sum"}[match[1]] + match[2]
            ]
        case "window":
            length = seconds(match[1])
            return [f"[{length * 2}s]", f"[{length // 2}s]"]
        case "offset":
            return [f"offset {seconds(match[1]) * 2}s"]
        case "matcher":
            flipped = {"=": "!=", "=~": "!~", "!~": "=~", "!=": "="}[match[2]]
            return [f"{match[1]}{flipped}{match[3]}"]
    names = [name.strip() for name in match[2].split(",")]
    return [f"{match[1]} ({', '.join(names[:-1])})"] if len(names) > 1 else []


PATTERNS = {
    "threshold": r"(==|[<>]=?) (-?\d+(?:\.\d+)?)(?![\w.])(?! \*)",
    "factor": r"(?<![\w.:])(\d+(?:\.\d+)?) \*",
    "operator": r"(?<= )(?:==|>|<)(?: bool)?(?=\s)",
    "set": r"\b(?:and|unless|or)\b",
    "aggregation": r"\b(max|min|sum|count)( by\b)",
    "window": r"\[(\w+)\]",
    "offset": r"\boffset (\w+)",
    "matcher": r"(\w+)(=~|!~|!=|=)(\"[^\"]*\")",
    "grouping": r"\b(by) \(([^)]*)\)",
}
# No test can tell an aggregation from its twin over what is 1 throughout, whose maximum is its
# minimum and whose sum is its count, nor after `0 *`.
_ONES = re.compile(
    r"\s*\([^)]*\)\s*\(\s*(?:(?:max|last)_over_time\(\s*)?"
    r"(?:ALERTS\b|group by\b|[\w:]+:group\b|\w+_info\b)"
)


def _of_expression(expr: str) -> Iterator[tuple[str, str, str]]:
    for kind, pattern in PATTERNS.items():
        for match in re.finditer(pattern, expr):
            vain = _ONES.match(expr, match.end()) or expr[: match.start()].endswith("0 * ")
            if kind == "aggregation" and vain:
                continue
            for new in _replacements(match, kind):
                if new != match.group():
                    changed = expr[: match.start()] + new + expr[match.end() :]
                    yield kind, f"{match.group()} → {new}", changed


def _of_rule(entry: dict[str, Any]) -> Iterator[tuple[str, str, str, str | None]]:
    for kind, what, changed in _of_expression(entry["expr"]):
        yield kind, what, "expr", changed
    for key in ("for", "keep_firing_for"):
        if key in entry:
            length = seconds(entry[key])
            yield key, f"{entry[key]} → doubled", key, f"{length * 2 or 60}s"
            if length:
                yield key, f"{entry[key]} → none", key, None


def mutants() -> list[Mutant]:
    """Return every mutant of every shipped rule."""
    return [
        Mutant(path.name, g, p, entry.get("alert") or entry["record"], kind, what, key, value)
        for path in RULE_FILES
        for g, group in enumerate(load(path)["groups"])
        for p, entry in enumerate(group["rules"])
        for kind, what, key, value in _of_rule(entry)
    ]


# --- which rules and tests a mutant touches ----------------------------------------------------


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("alert") or entry["record"])


@cache
def _reads() -> dict[str, set[str]]:
    """Return for each rule's name the names of all rules that it reads, itself among them."""
    direct: dict[str, set[str]] = {}
    entries = [r for path in RULE_FILES for g in load(path)["groups"] for r in g["rules"]]
    names = {_name(entry) for entry in entries}
    for entry in entries:
        found = set(re.findall(r"[a-z_]+:[a-z_]+:\w+", entry["expr"]))
        for said in re.findall(r'alertname=~?"([^"]*)"', entry["expr"]):
            found |= set(said.split("|"))
        if "ALERTS" in entry["expr"] and "alertname" not in entry["expr"]:
            found |= {
                _name(each) for each in entries if "alert" in each and "ALERTS" not in each["expr"]
            }
        direct.setdefault(_name(entry), set()).update(found & names)
    whole = {}
    for name in direct:
        seen, todo = {name}, [name]
        while todo:
            fresh = direct[todo.pop()] - seen
            seen |= fresh
            todo += fresh
        whole[name] = seen
    return whole


def _asked(test: dict[str, Any]) -> set[str]:
    """Return the names of the rules that a unit test asks of."""
    names = {each["alertname"] for each in test.get("alert_rule_test", [])}
    for each in test.get("promql_expr_test", []):
        names |= set(re.findall(r"[a-z_]+:[a-z_]+:\w+", each["expr"]))
        names |= set(re.findall(r'alertname="(\w+)"', each["expr"]))
    return names & _reads().keys()


def _attempts(mutant: Mutant) -> list[tuple[Path, list[dict[str, Any]]]]:
    """Return the unit tests that can notice: those of the rule itself first, shortest first.

    They are the likeliest to notice, so that most mutants end with one of them; what only reads the
    rule by way of others follows, file by file.
    """
    near, far = [], []
    for path in TEST_FILES:
        whole = load(path)
        if f"../{mutant.file}" not in whole["rule_files"]:
            continue
        step = seconds(whole["evaluation_interval"])
        direct = [test for test in whole["tests"] if mutant.name in _asked(test)]
        near += [(_length(test) / step, path, test) for test in direct]
        indirect = [
            test
            for test in whole["tests"]
            if test not in direct and any(mutant.name in _reads()[name] for name in _asked(test))
        ]
        far += [(path, indirect)] if indirect else []
    near.sort(key=lambda each: each[0])
    far.sort(key=lambda each: len(_needed(each[1])))
    return [(path, [test]) for _, path, test in near] + far


def _length(test: dict[str, Any]) -> int:
    """Return the time that a unit test plays through, in seconds."""
    kinds = ("alert_rule_test", "promql_expr_test")
    return max(seconds(each["eval_time"]) for kind in kinds for each in test.get(kind, []))


def _needed(tests: list[dict[str, Any]]) -> set[str]:
    return set[str]().union(*(_reads()[name] for test in tests for name in _asked(test)))


def _write(folder: Path, mutant: Mutant, path: Path, tests: list[dict[str, Any]]) -> Path:
    """Write some unit tests of a file, and what they read with the mutant in it."""
    whole = load(path)
    for rule_file in whole["rule_files"]:
        source = next(each for each in RULE_FILES if each.name == Path(rule_file).name)
        _write_rules(folder / source.name, source, mutant, _needed(tests))
    names = [Path(each).name for each in whole["rule_files"]]
    file = folder / "tests.yml"
    file.write_text(json.dumps({**whole, "rule_files": names, "tests": tests}))
    return file


def _write_rules(target: Path, source: Path, mutant: Mutant, needed: set[str]) -> None:
    groups = deepcopy(load(source)["groups"])
    if source.name == mutant.file:
        entry = groups[mutant.group]["rules"][mutant.place]
        if mutant.value is None:
            del entry[mutant.key]
        else:
            entry[mutant.key] = mutant.value
    for group in groups:
        group["rules"] = [entry for entry in group["rules"] if _name(entry) in needed]
    target.write_text(json.dumps({"groups": groups}))  # which is YAML, and written faster


_PATIENCE = 300.0  # seconds


def killed(mutant: Mutant) -> bool:
    """Return whether any unit test notices."""
    with tempfile.TemporaryDirectory() as name:
        for path, tests in _attempts(mutant):
            command = ["promtool", "test", "rules", _write(Path(name), mutant, path, tests).name]
            try:
                done = subprocess.run(
                    command, cwd=name, capture_output=True, timeout=_PATIENCE, check=False
                )
            except subprocess.TimeoutExpired:
                return False  # nobody knows: not counted as noticed
            if done.returncode != 0:
                return True
    return False


def main() -> int:
    """Run all mutants, or a sample; print the survivors and the share that was killed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sample", type=int, help="only so many, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--file", help="only mutants of this rule file")
    parser.add_argument("--least", type=float, default=0.9, help="fail below this share")
    options = parser.parse_args()
    chosen = [each for each in mutants() if options.file in (None, each.file)]
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(chosen, min(options.sample, len(chosen)))
    dead = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        tried = zip(chosen, pool.map(killed, chosen), strict=True)
        for number, (mutant, noticed) in enumerate(tried, start=1):
            dead += noticed
            if not noticed:
                print(f"survived  {mutant}", flush=True)  # noqa: T201
            if number % 25 == 0:
                print(f"{number} of {len(chosen)} tried", file=sys.stderr, flush=True)  # noqa: T201
    share = dead / len(chosen)
    print(f"killed {dead} of {len(chosen)} mutants: {share:.1%}")  # noqa: T201
    return 0 if share >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
