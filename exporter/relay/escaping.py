"""Sanitizes foreign text for messages and for prompts.

Alert text is data: an exchange's error message may stand in it. Source for the signs that turn
or hide text: Unicode Standard Annex 9, section 2; Unicode Technical Report 36, section 2.
"""

from __future__ import annotations

import re
from typing import Final

ELLIPSIS: Final = "…"
_FAR: Final = 8  # times the limit: what is beyond is not even looked at

# Tabs and newlines become spaces; other control characters, direction overrides and isolates,
# invisible signs, tags, half surrogates and private planes vanish.
_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\u2800\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000effff\U000f0000-\U0010ffff]"
)
_MARKS = re.compile(r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{2})"
                    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]+")  # fmt: skip
_SCHEME = re.compile(
    r"(?i)\b(h)tt(ps?)(?=:\s*/\s*/)"
    r"|\b(javascript|data|file|tg|discord|slack|line|mailto|tel|sms|facetime)(?=:\S)"
    r"|\b((?!(?:ws|hxxp)s?:)[a-z][a-z0-9+.-]{1,19})(?=://)"  # a phone opens an app for any of them
)
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{3,490}")


def line(text: str, limit: int) -> str:
    """Return ``text`` as one visible line of at most ``limit`` characters, links taken apart."""
    text = text[: limit * _FAR]
    text = _SPACES.sub(" ", _HIDDEN.sub("", _SPACES.sub(" ", text))).strip()
    text = _MARKS.sub(r"\1", text)  # a tower of accents would cover the lines above
    text = _SCHEME.sub(_unlinked, text)
    return cut(text, limit)


def _unlinked(match: re.Match[str]) -> str:
    return f"{match[1]}xx{match[2]}" if match[1] else f"{match[3] or match[4]} "


def cut(text: str, limit: int) -> str:
    """Cut to ``limit`` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + ELLIPSIS


def utf16_units(text: str) -> int:
    """Count UTF-16 code units, as several services do: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def link(text: str) -> str:
    """Return ``text`` when it is a plain web address that one may click, else nothing."""
    return text if _LINK.fullmatch(text) else ""


_MENTION = re.compile(r"([@\uff20])(?=\w)")
# Apps make links of names in any zone, and of addresses with a path: "claim-okx.top", "1.2.3.4/x".
_BARE = re.compile(r"(?i)(?<=[\w-])\.(?=[^\W\d_]{2}|\d{1,3}(?::\d{1,5})?/)")


def defused(text: str, gap: str = "\N{WORD JOINER}") -> str:
    """Break mentions, and addresses that are links without a scheme, by a ``gap``.

    A word joiner is invisible, and ends what an app would make a mention or a link of.
    """
    return _BARE.sub(f"{gap}.", _MENTION.sub(rf"\1{gap}", text))


# --- what a model may not see -------------------------------------------------------------------

# What is open at its beginning is looked for once in a run of such letters: else a long text of
# strangers would take quadratic time.
_SECRETS = re.compile(
    r"(?ix)"
    r"-----BEGIN[\s\S]{0,8000}?-----END[^-]{0,40}-----"
    r"|\b(?:bearer|basic)\s+[\w.~+/=-]{6,}"
    r"|(?<![\w-])[\w-]*(?:api[_-]?key|secret|token|passw(?:or)?d|passwd|authorization|cookie|signature)"
    r"[\"']?\s*[:=]\s*[\"']?[^\s\"',;&}]{3,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"  # JSON Web Token
    r"|\b(?:sk|pk|rk|ghp|gho|xox[abprs])[-_][\w-]{10,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\b0x[0-9a-f]{40,64}\b"  # Ethereum address, transaction
    r"|\b(?:bc1|tb1|ltc1|addr1)[0-9a-z]{20,100}\b"
    r"|\b[13LMDrT][1-9A-HJ-NP-Za-km-z]{25,43}\b"  # Base58 addresses
    r"|\b[0-9a-f]{24,}\b"
    r"|(?<![\w+/-])(?=[\w+/-]*[0-9])(?=[\w+/-]*[A-Za-z])[\w+/-]{32,}={0,2}"
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_USERINFO = re.compile(r"(?<=://)[^/@\s]{1,200}@")
_QUERY = re.compile(r"(?<=\?)[\w.%-]+=\S+")
_IPV4 = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_IPV6 = re.compile(r"(?i)(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:])")
_PHONE = re.compile(r"(?<![\w.])\+\d[\d -]{7,16}\d\b")
_LINE_ID = re.compile(r"\b[UCR][0-9a-f]{32}\b")


def redacted(text: str) -> str:
    """Return ``text`` without keys, tokens, and addresses of machines, wallets and people."""
    for pattern, stand_in in (
        (_USERINFO, "***@"),
        (_LINE_ID, "[id]"),
        (_SECRETS, "[secret]"),
        (_EMAIL, "[email]"),
        (_QUERY, "***"),
        (_IPV4, "[address]"),
        (_IPV6, "[address]"),
        (_PHONE, "[phone]"),
    ):
        text = pattern.sub(stand_in, text)
    return text
