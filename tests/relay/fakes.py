"""Exact stand-ins for the services that the relay speaks to: each refuses what the real one does.

One HTTP server on loopback, a thread a connection; the first part of the path names the service.
What it takes is kept in ``taken`` with its time; what it is told to do wrong, it does wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.clock import SystemClock
from exporter.relay.notifiers.twilio import segments

Answer = tuple[int, dict[str, str], bytes]
LINE_TOKEN, TELEGRAM_TOKEN, ROUTING_KEY = "line-token", "123:telegram", "a" * 32
SID, AUTH = "AC" + "0" * 32, "twilio-auth"
SIGNING = "signing-key"


@dataclass(frozen=True)
class Taken:
    """A message that a service accepted. ``time`` is the wall clock at the request's arrival."""

    service: str
    time: float
    body: Any
    key: str = ""
    id: str = ""
    edit: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def _json(status: int, body: object, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **names}, json.dumps(body).encode()


class Providers:
    """All services at once. ``fault``: service → what to do instead, None: answer rightly."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.refused: list[tuple[str, int, str]] = []  # service, status, why
        self.requests: list[tuple[str, float]] = []  # every request that arrived
        self.fault: dict[str, Callable[[], Answer | str | None]] = {}
        self.answering = ""  # the path that is being answered, for a fault that is of one kind
        self.keys: dict[str, str] = {}  # LINE's and the webhook's retry keys → id
        self.messages: dict[str, dict[str, Any]] = {}  # what Discord and Telegram show
        self.incidents: dict[str, list[str]] = {}  # PagerDuty's, by key: events
        self.model: Callable[[dict[str, Any]], Answer | str] = lambda body: completion(ADVICE)
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.here = threading.local()  # .connection: of the request that this thread answers
        self.url = ""

    def of(self, service: str) -> list[Taken]:
        """Return what one service took, in order."""
        return [each for each in self.taken if each.service == service]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | str:
        """Answer a request; a word instead of an answer says how to break the connection."""
        arrived = SystemClock().wall()
        service, _, rest = path.strip("/").partition("/")
        with self.lock:
            self.requests.append((service, arrived))
            self.answering = path
            trouble = self.fault.get(service, lambda: None)()
            if trouble is not None and trouble != "lost":
                if isinstance(trouble, tuple):
                    self.refused.append((service, trouble[0], "as told"))
                return trouble
            handler = getattr(self, f"_{service}", None)
            if handler is None:
                return _json(404, {"message": "no such service"})
            found: Answer | str = handler(method, f"/{rest}", headers, body, arrived)
            if isinstance(found, tuple) and found[0] >= 400:
                self.refused.append((service, found[0], found[2].decode(errors="replace")[:300]))
        return "close" if trouble == "lost" else found

    # --- LINE -----------------------------------------------------------------------------------

    def _line(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        if headers.get("authorization") != f"Bearer {LINE_TOKEN}":
            return _json(401, {"message": "Authentication failed."})
        if method == "GET" and path == "/v2/bot/message/quota":
            return _json(200, {"type": "limited", "value": 200})
        if method == "GET" and path == "/v2/bot/message/quota/consumption":
            return _json(200, {"totalUsage": len(self.of("line"))})
        if path not in ("/v2/bot/message/push", "/v2/bot/message/multicast"):
            return _json(404, {"message": "Not found"})
        key = headers.get("x-line-retry-key", "")
        try:
            uuid.UUID(key)
        except ValueError:
            return _json(400, {"message": "Invalid retry key"})
        if key in self.keys:
            known = {"X_Line_Accepted_Request_Id": self.keys[key]}
            return _json(409, {"message": "The retry key is already accepted"}, **known)
        if len(body) > 2 << 20:
            return _json(413, {"message": "too large"})
        found = json.loads(body)
        wrong = self._line_mistakes(path, found)
        if wrong:
            details = [{"message": wrong, "property": "messages"}]
            return _json(400, {"message": "The request body has 1 error(s)", "details": details})
        self.keys[key] = str(uuid.uuid4())
        self.taken.append(Taken("line", at, found, key=key, id=self.keys[key]))
        return _json(200, {"sentMessages": [{"id": str(4612309668 + len(self.taken)),
                                             "quoteToken": "q"}]})  # fmt: skip

    @staticmethod
    def _line_mistakes(path: str, body: dict[str, Any]) -> str:
        to = body.get("to")
        if path.endswith("push") and not (
            isinstance(to, str) and re.fullmatch("[UCR][0-9a-f]{32}", to)
        ):
            return "The property, 'to', in the request body is invalid"
        if path.endswith("multicast") and not (
            isinstance(to, list)
            and 1 <= len(to) <= 500
            and all(re.fullmatch("U[0-9a-f]{32}", each) for each in to)
        ):
            return "The property, 'to', in the request body is invalid"
        messages = body.get("messages")
        if not isinstance(messages, list) or not 1 <= len(messages) <= 5:
            return "Size must be between 1 and 5"
        for message in messages:
            if message.get("type") != "text" or not message.get("text"):
                return "May not be empty"
            if len(message["text"].encode("utf-16-le")) // 2 > 5000:
                return "Length must be between 0 and 5000"
        return ""

    # --- Discord --------------------------------------------------------------------------------

    def _discord(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        parts = urllib.parse.urlsplit(path)
        hook = re.fullmatch(r"/api/webhooks/\d+/[\w-]+(?:/messages/(\d+))?", parts.path)
        if not hook:
            return _json(404, {"message": "Unknown Webhook", "code": 10015})
        found = json.loads(body)
        if wrong := self._discord_mistakes(found):
            return _json(400, {"code": 50035, "message": "Invalid Form Body", "errors": wrong})
        if found.get("allowed_mentions") != {"parse": []}:
            raise AssertionError("mentions are on")
        if method == "PATCH":
            if hook[1] not in self.messages:
                return _json(404, {"message": "Unknown Message", "code": 10008})
            self.messages[hook[1]] = found
            self.taken.append(Taken("discord", at, found, id=hook[1], edit=True))
            return _json(200, {"id": hook[1]})
        number = str(10**18 + len(self.messages))
        self.messages[number] = found
        self.taken.append(Taken("discord", at, found, id=number))
        if "wait=true" not in parts.query:
            return 204, {}, b""
        return _json(200, {"id": number, "type": 0}, X_RateLimit_Limit="5",
                     X_RateLimit_Remaining="4", X_RateLimit_Reset_After="1")  # fmt: skip

    @staticmethod
    def _discord_mistakes(body: dict[str, Any]) -> dict[str, str]:
        embeds = body.get("embeds", [])
        if not embeds and not body.get("content"):
            return {"content": "Cannot send an empty message"}
        if len(body.get("content") or "") > 2000 or len(embeds) > 10:
            return {"content": "Must be 2000 or fewer in length."}
        total = 0
        for embed in embeds:
            fields = embed.get("fields", [])
            lengths = [(embed.get("title", ""), 256), (embed.get("description", ""), 4096)]
            for each in fields:
                if not each.get("name") or not each.get("value"):
                    return {"fields": "This field is required"}
                lengths += [(each["name"], 256), (each["value"], 1024)]
            if len(fields) > 25 or any(len(text) > most for text, most in lengths):
                return {"embeds": "Must be fewer in length."}
            total += sum(len(text) for text, _ in lengths)
            if (url := embed.get("url")) and not re.fullmatch(r"https?://\S+", url):
                return {"url": "Not a well formed URL."}
        return {"embeds": "Embed size exceeds maximum size of 6000"} if total > 6000 else {}

    # --- Twilio ---------------------------------------------------------------------------------

    def _twilio(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        login = base64.b64encode(f"{SID}:{AUTH}".encode()).decode()
        if headers.get("authorization") != f"Basic {login}":
            return _json(401, {"code": 20003, "message": "Authenticate", "status": 401})
        if path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return _json(404, {"code": 20404, "message": "not found", "status": 404})
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        if not re.fullmatch(r"\+[1-9]\d{6,14}", form.get("To", "")):
            return _json(400, {"code": 21211, "message": "invalid 'To'", "status": 400})
        if "From" not in form and "MessagingServiceSid" not in form:
            return _json(400, {"code": 21603, "message": "'From' is required", "status": 400})
        text = form.get("Body", "")
        if not text or len(text) > 1600:
            return _json(400, {"code": 21617, "message": "body exceeds 1600", "status": 400})
        sid = f"SM{len(self.taken):032x}"
        self.taken.append(Taken("twilio", at, form, id=sid))
        return _json(201, {"sid": sid, "status": "queued", "num_segments": str(segments(text))})

    # --- Slack, Telegram, PagerDuty -------------------------------------------------------------

    def _slack(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        found = json.loads(body)
        blocks = found.get("blocks", [])
        ok = (
            found.get("text")
            and len(blocks) <= 50
            and all(0 < len(block["text"]["text"]) <= 3000 for block in blocks)
        )
        if not ok:
            return 400, {"Content-Type": "text/html"}, b"invalid_payload"
        self.taken.append(Taken("slack", at, found))
        return 200, {"Content-Type": "text/html"}, b"ok"

    def _telegram(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        def no(code: int, text: str) -> Answer:
            return _json(code, {"ok": False, "error_code": code, "description": text})

        action = path.removeprefix(f"/bot{TELEGRAM_TOKEN}/")
        if action == path:
            return no(401, "Unauthorized")
        found = json.loads(body)
        text = found.get("text", "")
        if not text:
            return no(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            return no(400, "Bad Request: message is too long")
        if "chat_id" not in found:
            return no(400, "Bad Request: chat_id is empty")
        if action == "editMessageText":
            number = str(found["message_id"])
            if number not in self.messages:
                return no(400, "Bad Request: message to edit not found")
            if self.messages[number]["text"] == text:
                return no(400, "Bad Request: message is not modified")
        else:
            number = str(len(self.messages) + 1)
        self.messages[number] = found
        self.taken.append(Taken("telegram", at, found, id=number, edit=action == "editMessageText"))
        return _json(200, {"ok": True, "result": {"message_id": int(number)}})

    def _pagerduty(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        found = json.loads(body)
        errors = []
        if path != "/v2/enqueue":
            return _json(404, {})
        if found.get("routing_key") != ROUTING_KEY:
            errors.append("Invalid routing key")
        action, key = found.get("event_action"), found.get("dedup_key", "")
        if action not in ("trigger", "acknowledge", "resolve") or len(key) > 255 or not key:
            errors.append("'event_action' or 'dedup_key' is invalid")
        if action == "trigger":
            payload = found.get("payload", {})
            if not 0 < len(payload.get("summary", "")) <= 1024 or not payload.get("source"):
                errors.append("'payload.summary' is missing or blank")
            if payload.get("severity") not in ("critical", "error", "warning", "info"):
                errors.append("'payload.severity' is invalid")
        if errors or len(body) > 512 * 1024:
            return _json(400, {"status": "invalid event", "message": "Event object is invalid",
                               "errors": errors})  # fmt: skip
        self.incidents.setdefault(key, []).append(action)
        self.taken.append(Taken("pagerduty", at, found, key=key))
        return _json(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    # --- webhook, model, dead man's switch ------------------------------------------------------

    def _webhook(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        signed = headers.get("x-timestamp", "").encode() + b"." + body
        digest = hmac.new(SIGNING.encode(), signed, hashlib.sha256).hexdigest()
        if headers.get("x-signature") != f"sha256={digest}":
            return _json(401, {"message": "bad signature"})
        key = headers.get("x-delivery-id", "")
        if key in self.keys:  # a receiver that knows the key takes it once
            return _json(200, {"known": True})
        self.keys[key] = key
        self.taken.append(Taken("webhook", at, json.loads(body), key=key, headers=headers))
        return _json(202, {})

    def _snitch(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer:
        self.taken.append(Taken("snitch", at, None))
        return 200, {}, b"Got it"

    def _model(
        self, method: str, path: str, headers: dict[str, str], body: bytes, at: float
    ) -> Answer | str:
        if path != "/v1/chat/completions" or method != "POST":
            return _json(404, {"error": {"message": "not found"}})
        if headers.get("authorization") != "Bearer model-key":
            return _json(401, {"error": {"message": "Authentication Fails"}})
        found = json.loads(body)
        if not found.get("model") or not found.get("messages") or found.get("stream"):
            return _json(422, {"error": {"message": "Invalid parameters"}})
        self.asked.append(found)
        return "model"  # answered outside the lock: it may take its time


ADVICE = json.dumps(
    {
        "cause": "Probably the exchange's edge in one region fails.",
        "action": "Switch to the second address and watch the error rate.",
        "prevention": "Probe both addresses all the time.",
    }
)


def completion(content: str | None, **more: object) -> Answer:
    """Return a chat completion with this content."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content},
              "finish_reason": "stop", **more}  # fmt: skip
    usage = {"prompt_tokens": 200, "completion_tokens": 80, "total_tokens": 280}
    return _json(200, {"id": "c1", "choices": [choice], "usage": usage, "model": "deepseek-v3.2"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def _serve(self) -> None:
        providers: Providers = self.server.providers  # type: ignore[attr-defined]  # set below
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        providers.here.connection = self.connection
        found = providers.answer(self.command, self.path, headers, body)
        if found == "model":
            found = providers.model(providers.asked[-1])
        self._send(found)

    def _send(self, found: Answer | str) -> None:
        if isinstance(found, str):
            self.close_connection = True
            if found == "loris":  # a header that never ends
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 200:
                    try:
                        self.connection.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)
            if found == "hang":
                time.sleep(5)
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, body = found
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - names of the standard library

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed is part of the tests."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Providers]:
    """Serve all services for the length of a ``with``."""
    providers = Providers()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.providers = providers  # type: ignore[attr-defined]  # read by the handler
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if context else "http"
    providers.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield providers
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def told(providers: Providers) -> set[str]:
    """Return the names of the alerts that the webhook was told of."""
    return {each["name"] for taken in providers.of("webhook") for each in taken.body["alerts"]}
