"""Texts that strangers send, through our own patterns: a long one takes no more than linear time.

A pattern that tries each word of a run anew would take hours for these; nothing here measures it,
pytest's time limit ends it.
"""

from __future__ import annotations

import logging

import pytest

from exporter.logs import Formatter
from exporter.relay import escaping, triage

LONG = 400_000  # characters


@pytest.mark.parametrize(
    "seed", ["a-", "a.", "_", "[", "x-a-", "a@", "1.", "0:", "key=", "<a", "//a"]
)
def test_texts_of_strangers(seed: str) -> None:
    """Log lines, and what a model or a notification is given."""
    text = seed * (LONG // len(seed)) + "\x01"
    record = logging.LogRecord("aiohttp", logging.WARNING, "", 0, "%s", (text,), None)
    assert "aiohttp" in Formatter("logfmt").format(record)
    assert escaping.redacted(text)
    assert triage._DOMAIN.sub("", text) is not None
    assert triage._LINKED.sub("", text) is not None


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Proxy-Authorization: Basic abc", "Proxy-Authorization: ***"),
        ("set-cookie=abc", "set-cookie=***"),
        ("x-mbx-key: abc", "x-mbx-key: ***"),
        ("my-api-key='abc'", "my-api-key='abc'"),
        ('"api_key": "abc"', '"api_key": "***"'),
        ("url?token=abc&x=1", "url?token=***&x=1"),
        ("author=me", "author=me"),
    ],
)
def test_names_of_secrets(said: str, written: str) -> None:
    """What is secret by its name is hidden, from the name's beginning on."""
    record = logging.LogRecord("aiohttp", logging.WARNING, "", 0, "%s", (said,), None)
    line = Formatter("json").format(record)
    assert written.replace('"', '\\"') in line
