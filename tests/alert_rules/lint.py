"""What promtool cannot know: whether names, labels and values in PromQL are ours, and used right.

`lint_expression` takes an expression that parses (ask promtool first) with template variables
replaced. It reads names and selectors with a small scanner, not a parser: what it cannot tell, it
does not complain of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.alert_rules.catalogue import Catalogue

_COUNTING = frozenset({"rate", "irate", "increase", "resets", "changes", "absent_over_time"})
_RATES = frozenset({"rate", "irate", "increase"})
# Fine around a counter, too: they ask whether it is there, how many there are, or when it was read.
_PRESENCE = frozenset(
    {
        "count",
        "absent",
        "present_over_time",
        "count_over_time",
        "group",
        "timestamp",
        "count_values",
    }
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = (
    frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end"})
    | _GROUPING
)

_TOKEN = re.compile(
    r"""
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
  | (?P<duration>\[[^\]]*\])
  | (?P<number>(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:ms|[smhdwy])?(?:\d+(?:ms|[smhdwy]))*)
  | (?P<name>[a-zA-Z_:][\w:]*)
  | (?P<comment>\#[^\n]*)
  | (?P<operator>=~|!~|!=|==|>=|<=|[-+*/%^(){}<>=,@.])
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector: ``state="open"``."""

    label: str
    operator: str
    value: str


@dataclass(slots=True)
class Use:
    """One metric in an expression: its matchers, and the functions around it, innermost first."""

    metric: str
    matchers: list[Matcher] = field(default_factory=list)
    around: tuple[str, ...] = ()
    ranged: bool = False


@dataclass(slots=True)
class Reading:
    """What an expression names."""

    uses: list[Use] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)  # labels in by (), on () and the like
    made: set[str] = field(default_factory=set)  # labels that the expression makes itself


def _tokens(expression: str) -> list[tuple[str, str]]:
    found = []
    for match in _TOKEN.finditer(expression):
        kind = match.lastgroup or ""
        if kind != "comment":
            found.append((kind, match.group()))
    return found


def read(expression: str) -> Reading:
    """List what an expression names."""
    tokens = _tokens(expression)
    reading = Reading()
    stack: list[str] = []  # of the open parentheses: the function before each, or ""
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text.lower() in _GROUPING:
            labels, place = _labels(tokens, place + 1)
            if text.lower() in {"group_left", "group_right"}:
                reading.made |= labels
            else:
                reading.grouped |= labels
                # `sum by (x) (y)`: the parenthesis that follows is still sum's.
                if place < len(tokens) and tokens[place][1] == "(" and place >= 1:
                    stack.append(_aggregation(tokens, place))
                    place += 1
            continue
        if kind == "name" and text.lower() not in _WORDS and after not in {"(", "by", "without"}:
            use = Use(text, around=tuple(name for name in reversed(stack) if name))
            place = _selector(tokens, place + 1, use)
            reading.uses.append(use)
            continue
        if kind == "name" and text in {"label_replace", "label_join", "count_values"}:
            reading.made |= _made(text, tokens, place)
        if text == "(":
            before = tokens[place - 1] if place else ("", "")
            stack.append(before[1] if before[0] == "name" and before[1] not in _WORDS else "")
        elif text == ")" and stack:
            stack.pop()
        place += 1
    return reading


def _labels(tokens: list[tuple[str, str]], place: int) -> tuple[set[str], int]:
    """Read ``(a, b)``; return the names and the place after it."""
    if place >= len(tokens) or tokens[place][1] != "(":
        return set(), place
    labels = set()
    place += 1
    while place < len(tokens) and tokens[place][1] != ")":
        if tokens[place][0] == "name":
            labels.add(tokens[place][1])
        place += 1
    return labels, place + 1


def _aggregation(tokens: list[tuple[str, str]], place: int) -> str:
    """Name the function before a ``by (...)`` that ends before ``place``; "" after on (...)."""
    place -= 1
    while place > 0 and tokens[place][1] != "(":
        place -= 1
    word = tokens[place - 1][1].lower()
    return tokens[place - 2][1] if word in {"by", "without"} and place >= 2 else ""


def _selector(tokens: list[tuple[str, str]], place: int, use: Use) -> int:
    if place < len(tokens) and tokens[place][1] == "{":
        place += 1
        while place < len(tokens) and tokens[place][1] != "}":
            if tokens[place][0] == "name" and place + 2 < len(tokens):
                label, operator, value = (text for _, text in tokens[place : place + 3])
                use.matchers.append(Matcher(label, operator, value[1:-1]))
                place += 3
            else:
                place += 1
        place += 1
    if place < len(tokens) and tokens[place][0] == "duration":
        use.ranged = True
        place += 1
    return place


def _made(function: str, tokens: list[tuple[str, str]], place: int) -> set[str]:
    """Return the label that a function writes: its first string, which is the name of a label."""
    depth = 0
    for kind, text in tokens[place + 1 :]:
        depth += (text == "(") - (text == ")")
        if kind == "string" and depth == 1 and re.fullmatch(r"[a-z_]\w*", text[1:-1]):
            return {text[1:-1]}
    return set()


def _values(matcher: Matcher) -> tuple[str, ...]:
    """Return the values that a matcher names; none where it is a real pattern or a variable."""
    if "$" in matcher.value or matcher.value == "":
        return ()
    if matcher.operator in {"=", "!="}:
        return (matcher.value,)
    plain = re.fullmatch(r"\w[\w.|+-]*", matcher.value) and "+" not in matcher.value
    return tuple(matcher.value.split("|")) if plain else ()


def _complaints(use: Use, catalogue: Catalogue) -> Iterator[str]:
    metric = catalogue.get(use.metric)
    if metric is None:
        yield f"{use.metric}: no such metric"
        return
    for matcher in use.matchers:
        if matcher.label not in metric.labels:
            yield f"{use.metric}: no label {matcher.label}"
            continue
        known = metric.values.get(matcher.label)
        for value in _values(matcher) if known is not None else ():
            if known is not None and value not in known:
                yield f"{use.metric}: label {matcher.label} is never {value!r}"
    around = {name.lower() for name in use.around}
    innermost = use.around[0].lower() if use.around else ""
    if metric.kind == "gauge" and innermost in _RATES:
        yield f"{use.metric}: {innermost} of a gauge"
    if metric.kind == "counter" and not around & (_COUNTING | _PRESENCE):
        yield f"{use.metric}: a bare counter, expected rate or increase"


def lint_expression(expr: str, catalogue: Catalogue) -> list[str]:
    """Complain of what an expression names and nothing publishes, or uses wrongly.

    Every metric, label and label value must exist; no rate of a gauge, no counter without rate.
    """
    reading = read(expr)
    complaints = [text for use in reading.uses for text in _complaints(use, catalogue)]
    labels = set(reading.made)
    for use in reading.uses:
        metric = catalogue.get(use.metric)
        labels |= metric.labels if metric else set()
    complaints += [
        f"grouped by {label}, which no metric of the expression has"
        for label in sorted(reading.grouped - labels)
    ]
    return list(dict.fromkeys(complaints))
