"""Requests and replies of the web server, the kinds of routes, and their lookup."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


Following: TypeAlias = AsyncGenerator[bytes, None]


class RefusedError(Exception):
    """A handler's way to answer with a status of its own and one line that says why."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a handler may know of a request. ``parameters`` are the ``{names}`` of its route."""

    path: str
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]  # any spelling of a name finds it
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a handler answers; ``pieces`` of the body are sent as they are.

    ``following`` are pieces that come later, for as long as somebody reads them.
    """

    pieces: Sequence[bytes]
    following: Following | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": TEXT})


Handler = Callable[[Request], Awaitable[Response]]


def refuse_foreign(request: Request, *, login: bool = False) -> None:
    """Turn away what a page of another site makes its reader's browser ask. Raises RefusedError.

    Such a page's own name may lead to us (DNS rebinding): then `Host` is that name, and only a
    ``login`` that it cannot know tells it from a name of ours.
    """
    headers = request.headers
    origin, host = headers.get("Origin"), headers.get("Host", "")
    elsewhere = headers.get("Sec-Fetch-Site", "none").strip().lower() not in ("none", "same-origin")
    if elsewhere or (origin is not None and _netloc(origin) != host):
        raise RefusedError(403, "requests from pages of other sites are not allowed")
    if not (login or _ours(host)):
        raise RefusedError(
            403,
            "Host is a name that anyone could register: use an IP address or set a login",
        )


def _netloc(origin: str) -> str | None:
    """Return the host and port of an Origin; None for what is no URL, which is nobody's."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


# What may stand in Host (RFC 9110, section 7.2): a name or an address, and a port.
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%A-Za-z]+\])(?::\d{1,5})?")
# Names below these belong to no public zone (RFC 6761, 6762, 8375; ICANN on .internal, 2024).
_PRIVATE = (".localhost", ".local", ".internal", ".svc", ".home.arpa")


def _ours(host: str) -> bool:
    """Return whether a Host is an address, localhost, or a name that no public DNS can give.

    None at all is HTTP/1.0, which no browser speaks.
    """
    if not host:
        return True
    if (match := _HOST.fullmatch(host)) is None:
        return False
    name = match[1].strip("[]").partition("%")[0].rstrip(".").lower()
    with suppress(ValueError):
        return bool(ip_address(name))
    return "." not in name or name.endswith(_PRIVATE)


# --- kinds of routes --------------------------------------------------------------------------


def text_reply(text: str, status: int = 200) -> Response:
    """Answer with one line of text."""
    return Response(pieces=(f"{text}\n".encode(),), status=status)


def scrape_route(
    page: Callable[[str, str], Awaitable[tuple[Mapping[str, str], Sequence[bytes]]]],
) -> Handler:
    """Serve metrics: ``page`` takes the headers Accept and Accept-Encoding."""

    async def handler(request: Request) -> Response:
        accept = request.headers.get("Accept", "")
        headers, pieces = await page(accept, request.headers.get("Accept-Encoding", ""))
        return Response(pieces=pieces, headers=headers)

    return handler


def json_route(answer: Callable[[Request], Awaitable[object]]) -> Handler:
    """Serve what ``answer`` gives: dataclasses, enums, mappings, sequences, numbers, text."""

    async def handler(request: Request) -> Response:
        return json_reply(await answer(request))

    return handler


def json_reply(answer: object, status: int = 200) -> Response:
    """Answer with one value as JSON."""
    body = msgspec.json.encode(answer)
    return Response(pieces=(body,), status=status, headers={"Content-Type": JSON})


def events(items: AsyncGenerator[object, None]) -> Response:
    """Answer with server-sent events, one for each item, as JSON."""

    async def pieces() -> Following:
        async with aclosing(items) as each:
            async for item in each:
                yield b"data: " + msgspec.json.encode(item) + b"\n\n"

    return Response(
        pieces=(), following=pieces(), headers={"Content-Type": "text/event-stream; charset=utf-8"}
    )


def html_route(page: Callable[[], Awaitable[str]]) -> Handler:
    """Serve a page for people."""

    async def handler(request: Request) -> Response:
        return Response(pieces=((await page()).encode(),), headers={"Content-Type": HTML})

    return handler


def file_route(content_type: str, content: bytes) -> Handler:
    """Serve a file held in memory; browsers may keep it for an hour."""
    headers = {"Content-Type": content_type, "Cache-Control": "max-age=3600"}

    async def handler(request: Request) -> Response:
        return Response(pieces=(content,), headers=headers)

    return handler


def health_route(obstacle: Callable[[], str | None]) -> Handler:
    """Answer 200, or 503 with what ``obstacle`` names."""

    async def handler(request: Request) -> Response:
        reason = obstacle()
        return text_reply("OK") if reason is None else text_reply(reason, status=503)

    return handler


class Routes:
    """Which handlers a path has, by method."""

    def __init__(self, routes: Mapping[str, Handler]) -> None:
        self._exact: dict[str, dict[str, Handler]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Handler]]] = []
        by_path: dict[str, dict[str, Handler]] = {}
        for route, handler in routes.items():
            method, _, path = route.rpartition(" ")
            for name in (method,) if method else ("GET", "HEAD"):
                by_path.setdefault(path, {})[name] = handler
        for path, methods in by_path.items():
            if "{" in path:
                pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))
                self._patterns.append((re.compile(pattern), methods))
            else:
                self._exact[path] = methods

    def find(self, path: str) -> tuple[Mapping[str, Handler], Mapping[str, str]]:
        """Return the handlers by method, and the path's parameters. Raises RefusedError (404)."""
        if path in self._exact:
            return self._exact[path], {}
        for pattern, methods in self._patterns:
            if match := pattern.fullmatch(path):
                return methods, match.groupdict()
        raise RefusedError(404, "nothing here")
