"""Texts for people: what was found, quoted so that nothing hides in it, and errors in words."""

from __future__ import annotations

import json
import re

_NUMBER = re.compile(r"\[Errno -?\d+\] ")  # within the text of several errors


def quoted(text: str | bytes | bytearray) -> str:
    """Return text, or what bytes say in UTF-8, as JSON on one line, in its own script.

    What does not show, looks like a space or moves a terminal's cursor is escaped.
    """
    if not isinstance(text, str):
        text = text.decode("utf-8", "replace")
    written = json.dumps(text, ensure_ascii=False)
    if written.isprintable():
        return written
    return "".join(char if char.isprintable() else _escape(char) for char in written)


def _escape(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]


def why(error: BaseException, about: object = "") -> str:
    """Return an error without its number, behind the file that it is about: its own, or that."""
    cause = getattr(error, "reason", None)  # of what urllib raises around it
    if isinstance(error, OSError) and isinstance(cause, OSError):
        error = cause
    text = _NUMBER.sub("", str(error)) or type(error).__name__
    if isinstance(error, FileExistsError):
        text, about = "exists already, as a file", error.filename or about
    elif isinstance(error, OSError) and error.strerror:
        text, about = error.strerror, error.filename or about
    return f"{about}: {text}" if about else text
