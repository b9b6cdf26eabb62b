"""Configured patterns: linear, and refused with the reason where the engine has no such thing."""

from __future__ import annotations

import pytest

from exporter.flow.patterns import PatternError, compiled, occurs


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"^(\w+\s?)+$", b"a" * 31 + b"!", False),
        (r"^(\w+\s?)+$", b"word and " * 80_000 + b"!", False),
        (r"(a|aa)+$", b"a" * 100_000 + b"b", False),
        (r"(?i)\bupgrade\b", b"Scheduled UPGRADE of the engine", True),
        (r"\d{3}", "é123".encode(), True),
        ("^é.$", "éß".encode(), True),
        ("x", b"\xff\xfe x", True),
    ],
)
def test_found(pattern: str, text: bytes, expected: bool) -> None:
    """What takes a backtracking engine for ever is found or not, at any length."""
    assert occurs(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?=a)", "lookahead"),
        (r"(?!a)b", "lookahead"),
        (r"(?<!a)b", "lookbehind"),
        (r"(?<=a)b", "lookbehind"),
        (r"(?>a)", "atomic groups"),
        (r"(a)\1", "back references"),
        (r"a\Z", r"\\z where Python has \\Z"),
        (r"(", "missing \\)"),
        (r"a{1,5000}", "invalid repetition size"),
        (r"[ab]{0,900}[ab]{0,900}c", "too large: 36.. instructions, at most 1000"),
        ("\udc80", "surrogates"),
    ],
)
def test_refused(pattern: str, why: str) -> None:
    """The complaint names what the engine lacks, or what would cost too much."""
    with pytest.raises(PatternError, match=why):
        compiled(pattern)
