"""Where a program answers over HTTP: its URL, a login, TLS; asked by commands, one at a time."""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit, urlunsplit

from exporter.words import why

_PATIENCE = 10.0  # seconds
_LONGEST = 64 << 20  # bytes of an answer


class ApiError(Exception):
    """The answer cannot be had; the text is one line for the user. ``status``: of HTTP, if any."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a login and of TLS."""
    add = parser.add_argument
    add("--password.file", dest="password", type=Path, metavar="FILE",
        help="file with the user's password (default: asked for)")  # fmt: skip
    add("--ca.file", dest="ca", metavar="FILE", help="authorities to trust instead of the system's")
    add("--cert.file", dest="cert", metavar="FILE", help="our certificate, with --key.file")
    add("--key.file", dest="key", metavar="FILE", help="its key")


@dataclass(frozen=True, slots=True)
class ApiSource:
    """A program's base URL without a login, the headers of a request, and how TLS is spoken."""

    url: str
    headers: Mapping[str, str]
    context: ssl.SSLContext | None

    def read(
        self, path: str, form: Mapping[str, str] | None = None, *, patience: float = _PATIENCE
    ) -> Any:
        """Return a path's JSON as plain data; ``form`` is sent by POST. Raises ApiError."""
        body = None if form is None else urlencode(form).encode()
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            f"{self.url}{path}", data=body, headers=dict(self.headers)
        )
        try:
            with urllib.request.urlopen(  # noqa: S310 - as above
                request, timeout=patience, context=self.context
            ) as answer:
                found = answer.read(_LONGEST + 1)
            if len(found) > _LONGEST:
                raise ApiError(f"{self.url}: an answer of more than {_LONGEST >> 20} MiB")
            return json.loads(found)
        except HTTPError as error:
            with error:
                said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:200]
            hint = ": name a user, https://USER@HOST" if error.code == 401 else ""
            raise ApiError(f"{self.url}: {error.code}{hint or f' {said}'}", error.code) from error
        except (OSError, ValueError) as error:
            raise ApiError(f"{self.url}: {why(getattr(error, 'reason', error))}") from error


def source(url: str, args: argparse.Namespace) -> ApiSource:
    """Return where a URL and the flags point to. Raises ApiError, OSError for their files."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError("expected a URL such as http://127.0.0.1:9717")
    headers = {}
    if parts.username:
        password = parts.password
        if password is None and args.password is not None:
            password = args.password.read_text(encoding="utf-8").rstrip("\r\n")
        if password is None:
            password = getpass.getpass(f"password of {parts.username}: ")
        pair = base64.b64encode(f"{parts.username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=args.ca)
        if args.cert:
            context.load_cert_chain(args.cert, args.key)
    host = parts.netloc.rpartition("@")[2]
    return ApiSource(
        urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), headers, context
    )
