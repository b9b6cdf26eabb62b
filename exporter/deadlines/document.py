"""The signed file of known deadlines: facts about venues' APIs, each with its source and date.

A YAML document whose last line is a comment, ``# ed25519: `` and the base64 of the signature of
all bytes before that line. One file, so that nothing can come between facts and signature. No line
of a file from elsewhere is parsed before its signature is verified.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

import msgspec
import yaml

from exporter.metrics.families import ApiChange, ApiPart

LONGEST: Final = 1 << 18  # bytes; a fact takes some 300
_MOST: Final = 500  # facts
_SIGNATURE = re.compile(rb"# ed25519: ([A-Za-z0-9+/]{86}==)\n?\Z")

PROJECT_KEY: Final = "Yqo/IxkjJjUpfgplj1MlQCq+zkgfWvxe6vTABfwRLPQ="
"""Whose signature counts unless the config names another key; base64 of 32 bytes."""

_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Rejection(StrEnum):
    """Why a file of deadlines is not followed."""

    UNREACHABLE = "unreachable"  # it could not be read or fetched
    SIGNATURE = "signature"  # it is not signed with the key
    INVALID = "invalid"  # it is signed, but no list of deadlines
    OLDER = "older"  # it was issued before the one in force


class RejectedFileError(Exception):
    """A file of deadlines is not followed."""

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class _Fact(msgspec.Struct, forbid_unknown_fields=True):
    venue: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    day: date = msgspec.field(name="date")
    change: ApiChange
    replacement: _Line
    source: _Line
    read: date
    address: _Line | None = None
    path: _Line | None = None
    channel: _Line | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    issued: Annotated[datetime, msgspec.Meta(tz=True)]
    deadlines: Annotated[list[_Fact], msgspec.Meta(max_length=_MOST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDeadline:
    """One announced end or change of a part of a venue's API; ``at`` in epoch seconds.

    ``what`` is an address (URL, all below it), a REST path (all below it) or the name of a channel
    as topics begin.
    """

    venue: str
    part: ApiPart
    what: str
    change: ApiChange
    at: float
    replacement: str
    source: str
    read: date


@dataclass(frozen=True, slots=True)
class KnownDeadlines:
    """All deadlines of one file, and when it was signed; epoch seconds."""

    issued: float
    deadlines: tuple[ApiDeadline, ...]


def decoded_key(text: str) -> bytes:
    """Return the public key of 44 characters of base64."""
    return base64.b64decode(text, validate=True)


def read(raw: bytes, key: bytes) -> KnownDeadlines:
    """Return what a signed file says. Raises RejectedFileError."""
    if len(raw) > LONGEST:
        raise RejectedFileError(Rejection.INVALID, f"longer than {LONGEST >> 10} KiB")
    found = _SIGNATURE.search(raw)
    if found is None:
        raise RejectedFileError(Rejection.SIGNATURE, "the last line is no signature")
    signed = raw[: found.start()]
    if not _is_signed(key, signed, base64.b64decode(found[1])):
        raise RejectedFileError(Rejection.SIGNATURE, "it is not that of the key")
    return _parse(signed)


@cache
def shipped() -> KnownDeadlines:
    """Return what came with the program; the tests hold its signature against the key."""
    return _parse(files("exporter.deadlines").joinpath("deadlines.yml").read_bytes())


def _is_signed(key: bytes, signed: bytes, signature: bytes) -> bool:
    # 6 MB, for who configures a newer file alone.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _parse(signed: bytes) -> KnownDeadlines:
    try:
        document = msgspec.convert(yaml.safe_load(signed), _Document)
        return KnownDeadlines(
            issued=document.issued.timestamp(),
            deadlines=tuple(map(_deadline, document.deadlines)),
        )
    except (msgspec.ValidationError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise RejectedFileError(Rejection.INVALID, str(error)[:300]) from error


def _deadline(fact: _Fact) -> ApiDeadline:
    parts = {
        ApiPart.ADDRESS: fact.address,
        ApiPart.PATH: fact.path,
        ApiPart.CHANNEL: fact.channel,
    }
    named = [(part, what) for part, what in parts.items() if what is not None]
    if len(named) != 1:
        raise ValueError(f"{fact.venue}: expected one of address, path and channel")
    (part, what) = named[0]
    return ApiDeadline(
        venue=fact.venue,
        part=part,
        what=what,
        change=fact.change,
        # Of a day that is announced without an hour the first counts.
        at=datetime.combine(fact.day, time(), UTC).timestamp(),
        replacement=fact.replacement,
        source=fact.source,
        read=fact.read,
    )
