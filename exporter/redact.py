"""Hides secrets in text that others wrote: an answer, an error, a line of the log may repeat them.

A secret comes back as it is, or as it stood in a URL, in JSON, in a header's base64 or in Python's
own spelling; base64 of a longer text holds it in one of three ways, by where it begins.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

STAND_IN: Final = "***"
_SHORTEST: Final = 4  # characters worth hiding: shorter ones would black out half of any text
_SHORTEST_BASE64: Final = 8
# Words of a URL that nobody says in another sense: long, or mixed with digits or capitals.
_RANDOM: Final = re.compile(r"(?=.*[^a-z]).{8,}|.{16,}")


class Redactor:
    """Blacks out secrets in every spelling; built once, it costs one search a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(each for each in secrets if len(each) >= _SHORTEST)
        whole = {part for each in self.secrets for part in (each, *_parts(each))}
        forms = {form for each in whole for form in _forms(each)}
        # The longest first: one may contain another.
        longest = sorted(forms, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, longest))) if longest else None

    def over(self, text: str) -> str:
        """Return ``text`` without secrets. Cut it afterwards: half a secret is not recognised."""
        return text if self._found is None else self._found.sub(STAND_IN, text)


def _parts(url: str) -> Iterator[str]:
    """Yield what makes a URL secret, which may come back without the rest of it."""
    try:
        found = urlsplit(url)
        login = (found.username or "", found.password or "")
    except ValueError:
        return
    if not found.scheme or not found.netloc:
        return
    words = [*found.path.split("/"), *re.split("[&=]", found.query), *login]
    yield from (unquote(word) for word in words if _RANDOM.fullmatch(word))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    for before in range(3):
        found = _encoded(secret.encode("utf-8", "surrogateescape"), before)
        if len(found) >= _SHORTEST_BASE64:
            yield found
            yield found.replace("+", "-").replace("/", "_")


def _encoded(secret: bytes, before: int) -> str:
    """Return the base64 characters that depend on the secret alone, after so many other bytes."""
    encoded = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
    partial = (before + len(secret)) % 3 != 0
    return encoded[(0, 2, 3)[before] : len(encoded) - partial]
