"""What tells one frame or answer from others: values at paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.decoding import ParseError, json_path
from exporter.expectations import same


@dataclass(frozen=True, slots=True)
class Condition:
    """One of them. ``exists``: only whether anything but null stands there; else ``test`` asks."""

    path: str
    test: Callable[[Any], bool]
    exists: bool | None = None
    values: tuple[Any, ...] = ()  # what may stand there, where that is all

    def holds(self, document: Any) -> bool:
        """Whether a parsed JSON document is so."""
        try:
            value = json_path(document, self.path)
        except ParseError:
            return self.exists is False
        return (value is not None) is self.exists if self.exists is not None else self.test(value)


def conditions(when: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return what a `when` asks for."""
    return tuple(
        Condition(path, _never, wanted["exists"])
        if isinstance(wanted, dict)
        else Condition(path, _test(wanted), None, listed(wanted))
        for path, wanted in when.items()
    )


def hold(wanted: Iterable[Condition], document: Any) -> bool:
    """Whether all of some conditions hold."""
    return all(each.holds(document) for each in wanted)


def listed(value: Any) -> tuple[Any, ...]:
    """Return one value or a list of them as a tuple; nothing for None."""
    return () if value is None else tuple(value) if isinstance(value, list) else (value,)


def _never(value: Any) -> bool:
    return False


def _test(wanted: Any) -> Callable[[Any], bool]:
    tests = [_single(each) for each in listed(wanted)]
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)


def _single(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, str) and "*" in wanted:
        before, _, after = wanted.partition("*")
        least = len(before) + len(after)
        return lambda value: (
            isinstance(value, str)
            and len(value) >= least
            and value.startswith(before)
            and value.endswith(after)
        )
    return lambda value: same(value, wanted)
