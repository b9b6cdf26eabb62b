"""Regular expressions of the config, matched in linear time.

Python's own engine backtracks: ``^(\\w+\\s?)+$`` takes minutes for a text of 31 characters, holds
the interpreter's lock meanwhile, and cannot be ended. RE2 has no such pattern, at the price of
lookaround and back references. Its engine is loaded only where a pattern is configured.
Source: the documentation of google-re2 1.1, ``re2/__init__.py``, read 2026-11-30.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from exporter.flow.workers import Workers

LONGEST: Final = 500  # characters
AT_ONCE: Final = 4096  # bytes that may be searched on the event loop: a few milliseconds at worst
SEARCHES: Final = Workers("patterns", limit=2, waiting=200)
# Instructions of the compiled pattern. A text costs up to their number for each byte: `.{1,100}`
# has 900 of them, `[ab]{0,900}[ab]{0,900}c` 3600 and may take 28 seconds for a mebibyte.
_INSTRUCTIONS: Final = 1000
_MISSING: Final = {
    "(?=": "lookahead",
    "(?!": "lookahead",
    "(?<": "lookbehind",
    "(?>": "atomic groups",
}


class PatternError(ValueError):
    """A pattern that the engine rejects, and why."""


def occurs(pattern: str, text: str | bytes) -> bool:
    """Return whether a pattern is found in a text. Raises PatternError.

    The interpreter's lock is not held meanwhile: a long text is for a thread of ``SEARCHES``.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return compiled(pattern).search(raw) is not None


@lru_cache(1000)
def compiled(pattern: str) -> Any:
    """Compile a pattern. Raises PatternError."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        engine = re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternError(_why(error)) from None
    size = max(engine.programsize, engine.reverseprogramsize)
    if size > _INSTRUCTIONS:
        raise PatternError(f"too large: {size} instructions, at most {_INSTRUCTIONS}")
    return engine


def _why(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(error)
    for sign, name in _MISSING.items():
        if sign in text:
            return f"{text}: the engine, RE2, has no {name}"
    if text.startswith("invalid escape sequence"):
        return f"{text}: the engine, RE2, has no back references, and \\z where Python has \\Z"
    return text
