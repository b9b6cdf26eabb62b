"""Escapes foreign text in webhook bodies from user templates, by content type."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote_plus

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape


def of_type(kind: str) -> Callable[[object], object]:
    """Return what is done to each value in a body of this content type."""
    if "urlencoded" in kind:
        return in_form
    if "xml" in kind or "html" in kind:
        return in_markup
    # What is JSON may stand in YAML, between the same quotes.
    structured = "json" in kind or "yaml" in kind
    return as_it_is if kind.startswith("text/") and not structured else in_json


class _Json(str):
    """What the filter tojson made, quotes and all. Nothing else may stand in JSON as it is.

    Jinja's own type for it is also that of what other filters (e, urlize) call safe: in HTML.
    """

    __slots__ = ()


def to_json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON, with its quotes."""
    return _Json(htmlsafe_json_dumps(value, indent=indent))


def in_json(value: object) -> object:
    """Return a value as it may stand in JSON: text without its quotes, which the template has."""
    if isinstance(value, _Json):
        return value
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return json.dumps(value, ensure_ascii=False, default=str)


def in_form(value: object) -> object:
    """Return a value as it may stand in a form."""
    return quote_plus(str(value))


def in_markup(value: object) -> object:
    """Return a value as it may stand in XML or HTML."""
    return value if isinstance(value, Markup) else escape(str(value))


def as_it_is(value: object) -> object:
    """Return a value as it is."""
    return value
