"""Secrets are hidden in every spelling in which they come back, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.redact import STAND_IN, Redactor

secret = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40)


@given(secret=secret, before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_spelling_of_a_secret_is_left(secret: str, before: str, after: str) -> None:
    """As it is, in a URL, in JSON, in Python's quotes, in the middle of text."""
    veil = Redactor([secret])
    for spell in (str, quote, quote_plus, lambda text: quote(text, safe=""), json.dumps, repr):
        spelt = spell(secret)
        core = spelt[1:-1] if spell in (json.dumps, repr) else spelt
        hidden = veil.over(f"{before}|{spelt}|{after}")
        assert core not in hidden.replace(STAND_IN, "") or core in f"{before}|{after}"
        assert STAND_IN in hidden


@given(
    secret=st.binary(min_size=12, max_size=40).map(bytes.hex),
    before=st.binary(max_size=9),
    after=st.binary(max_size=9),
    url_safe=st.booleans(),
)
def test_a_secret_within_base64_is_found(
    secret: str, before: bytes, after: bytes, url_safe: bool
) -> None:
    """Behind a user's name of any length, as in a basic login."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    encoded = encode(before + secret.encode() + after).decode()
    hidden = Redactor([secret]).over(f"Basic {encoded}")
    assert STAND_IN in hidden
    # What is left at either side holds a byte of the secret at most.
    left, _, right = hidden.partition(STAND_IN)
    assert len(left.removeprefix("Basic ")) <= len(encode(before)) + 1
    assert len(right) <= len(encode(after)) + 4


def test_the_longer_of_two_is_hidden_whole() -> None:
    """One secret may begin like another."""
    assert Redactor(["hunter", "hunter22"]).over("hunter22 hunter") == "*** ***"


@pytest.mark.parametrize("secrets", [[], [""], ["abc"]])
def test_what_is_too_short_stays(secrets: list[str]) -> None:
    """A secret of three letters would black out words."""
    assert Redactor(secrets).over("abcdef") == "abcdef"


def test_the_secret_parts_of_a_url_are_hidden_alone() -> None:
    """A service names the path or the token it did not like, not the whole address."""
    veil = Redactor(
        ["https://bot:hunter22@chat.example/api/webhooks/1100/t0kenOfTheHook?key=queryKey99&x=1"]
    )
    text = "no webhook t0kenOfTheHook below /api/webhooks, key queryKey99 of hunter22"
    assert veil.over(text) == "no webhook *** below /api/webhooks, key *** of ***"
