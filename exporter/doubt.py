"""What a venue file is not certain of, and which look at the venue would settle it."""

from __future__ import annotations

from enum import StrEnum


class VenueLook(StrEnum):
    """A look at a venue, as `check --online` takes it. ``of`` of a doubt says what at."""

    ENDPOINT = "endpoint"  # the endpoint of this name answers with a body that can be read
    ANSWER = "answer"  # so does the REST answer that cross-checks of this channel ask for
    CHANNELS = "channels"  # first messages of these channels come, and can be read
    UNKNOWN = "unknown"  # a market that is not listed is "silent", or "refused"
    HEADERS = "headers"  # answers name what is used of the limits
    SNAPSHOT = "snapshot"  # a book by REST has at most so many levels a side
    SPELLING = "spelling"  # listed markets of these classes are spelled as our rule does
    REGIONS = "regions"  # the addresses of these regions answer


class Doubt(str):
    """A doubt, in words, that a look settles. Where none does, a plain text stands for it."""

    __slots__ = ("look", "of")
    look: VenueLook
    of: tuple[str, ...]

    def __new__(cls, what: str, look: VenueLook, *of: str) -> Doubt:
        """Make one of a text."""
        made = super().__new__(cls, what)
        made.look, made.of = look, of
        return made
