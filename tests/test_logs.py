"""Log lines: one an event, readable by machines, with nothing secret in them."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs import SPARING, Formatter, Sparing, _template, setup
from exporter.model import Channel
from tests.conftest import ROOT

log = logging.getLogger("exporter.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Yield what is logged, and put the root logger back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def line(kind: Literal["logfmt", "json"], text: str, *values: object, secret: str = "") -> str:
    """Format one message."""
    record = logging.LogRecord("exporter.test", logging.WARNING, "", 0, text, values, None)
    record.created = 1700000000.1234
    return Formatter(kind, [secret]).format(record)


def test_event_and_pairs_become_fields() -> None:
    """The event name and each key=value of the format string are fields of their own."""
    text, values = "stream_lost venue=%s reason=%s retry_in_s=%.1f", ("acme", "went away", 2.04)
    head = "ts=2023-11-14T22:13:20.123Z level=warning logger=exporter.test"
    assert line("logfmt", text, *values) == (
        f'{head} event=stream_lost venue=acme reason="went away" retry_in_s=2.0'
    )
    assert json.loads(line("json", text, *values)) == {
        "ts": "2023-11-14T22:13:20.123Z",
        "level": "warning",
        "logger": "exporter.test",
        "event": "stream_lost",
        "venue": "acme",
        "reason": "went away",
        "retry_in_s": 2.0,
    }


def test_foreign_messages_stay_whole() -> None:
    """What a library logs in its own way is one field."""
    assert line("logfmt", "Unclosed %s (%d%%)", "session", 5).endswith(
        'msg="Unclosed session (5%)"'
    )
    assert line("logfmt", "just_a_word").endswith("event=just_a_word")
    assert line("logfmt", "half a=%s b", 1).endswith('msg="half a=1 b"')


@given(st.text(max_size=40))
def test_a_value_never_breaks_its_line(value: str) -> None:
    """Newlines, quotes and control characters stay inside the value, which can be read back."""
    written = line("json", "event detail=%r", value)
    assert json.loads(written)["detail"] == value
    for kind in ("logfmt", "json"):
        assert line(kind, "event detail=%s", value).isprintable()


def test_values_keep_their_types_in_json() -> None:
    """Numbers, booleans and null are such, also where a message spells them with %s or %r."""
    text = "event a=%s b=%r c=%.3f d=%s e=%s f=%d g=%s"
    found = json.loads(line("json", text, 3, "it's", 0.5, True, None, 7, float("nan")))
    assert {key: found[key] for key in "abcdefg"} == {
        "a": 3, "b": "it's", "c": 0.5, "d": True, "e": None, "f": 7, "g": "nan",
    }  # fmt: skip
    assert line("logfmt", text, 3, "it's", 0.5, True, None, 7, 1e300).endswith(
        "a=3 b=it's c=0.500 d=true e=null f=7 g=1e+300"
    )


@pytest.mark.parametrize(
    "value",
    [
        "https://user:hunter22@example.com/x",
        "Authorization: Bearer hunter22",
        '{"api_key": "hunter22"}',
        "https://example.com/?token=hunter22&x=1",
        "password=hunter22",
        "X-MBX-APIKEY: hunter22",
    ],
)
def test_what_is_secret_by_name_is_hidden(value: str) -> None:
    """Headers, query parameters and URLs with credentials are masked without being listed."""
    for kind in ("logfmt", "json"):
        assert "hunter22" not in line(kind, "request_failed detail=%s", value)
        assert "hunter22" not in line(kind, f"oh no: {value}")
        assert "***" in line(kind, "request_failed detail=%s", value)


def test_listed_secrets_are_hidden_everywhere() -> None:
    """A secret from the config is masked in values, foreign messages and tracebacks."""
    formatter = Formatter("logfmt", ["s3cr3t", "s3cr3t-and-longer", "abc"])
    try:
        raise ValueError("bad s3cr3t-and-longer")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "", 0, "a b=%s", ("s3cr3t abc",), info)
    written = formatter.format(record)
    assert "s3cr3t" not in written
    assert "and-longer" not in written
    assert "abc" in written  # too short to be told from ordinary text
    assert "\n" not in written
    assert "ValueError: bad ***" in written


def test_setup_sends_everything_there_once(stream: io.StringIO) -> None:
    """Setting up twice does not write twice; the level holds."""
    setup("json", "info", stream=stream)
    setup("json", "info", stream=stream)
    log.info("started port=%d", 9717)
    log.debug("noise")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["port"] == 9717


def test_lines_that_others_cause_are_few_and_say_how_many_were_left_out() -> None:
    """A flood of one event leaves five lines a minute; the other events lose none of theirs."""
    now = [0.0]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter("logfmt"))
    handler.addFilter(Sparing(lambda: now[0]))
    flooded = logging.Logger("exporter.flooded")
    flooded.addHandler(handler)
    for number in range(1000):
        flooded.warning("post_foreign reason=%r", str(number), extra=SPARING)
    flooded.warning("stream_lost stream=%s", "acme/main")
    now[0] = 61.0
    flooded.warning("post_foreign reason=%r", "late", extra=SPARING)
    now[0] = 122.0
    flooded.warning("post_foreign reason=%r", "later", extra=SPARING)
    lines = stream.getvalue().splitlines()
    assert [line.split("event=")[1] for line in lines[4:]] == [
        "post_foreign reason=4",
        "stream_lost stream=acme/main",
        "post_foreign reason=late left_out=995",
        "post_foreign reason=later",
    ]


def test_no_event_of_ours_fills_the_disk() -> None:
    """A thousand lines of one event at once, then one a second; so for other libraries."""
    now = [0.0]
    sparing = Sparing(lambda: now[0])

    def written(count: int, name: str, text: str) -> int:
        found = (
            sparing.filter(logging.LogRecord(name, logging.ERROR, "", 0, text, (), None))
            for _ in range(count)
        )
        return sum(found)

    assert written(5000, "exporter.relay", "delivered receiver=a") == 1000
    assert written(1500, "asyncio", "anything at all") == 1000
    now[0] = 10.0
    assert written(100, "exporter.relay", "delivered receiver=a") == 10


def test_a_refused_peer_leaves_no_traceback_of_the_loop(stream: io.StringIO) -> None:
    """What uvloop's TLS layer says of a false certificate is left out, other errors are not."""
    setup(stream=stream)
    for what in (
        "Fatal error on SSL protocol",
        "Future exception was never retrieved\nfuture: <Future exception=SSLCertVerificationError>",
        "Task exception was never retrieved",
    ):
        logging.getLogger("asyncio").error("%s\nprotocol: <SSLProtocol>" % what)  # noqa: UP031 - as asyncio does
    assert [each.split("msg=")[1][:13] for each in stream.getvalue().splitlines()] == [
        '"Task excepti'
    ]


def _calls() -> Iterator[tuple[str, ast.Call, ast.expr]]:
    """Yield each call that logs: where, the call, and its message."""
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log" | "audit"), attr=name)
                ) if name in ("debug", "info", "warning", "error", "exception", "log"):
                    texts = node.args[1:] if name == "log" else node.args
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, texts[0]
                case _:
                    pass


def test_every_message_is_an_event_with_keys() -> None:
    """A name that stays and key=value: nothing is told that a machine cannot tell apart."""
    read = 0
    for where, _, text in _calls():
        if isinstance(text, ast.Constant):
            assert _template(text.value) is not None, where
            read += 1
        else:
            assert isinstance(text, ast.Name | ast.Subscript | ast.Call), where
    assert read > 80


def test_no_value_is_spelled_before_it_is_logged() -> None:
    """`repr` is Python's, and a boolean made text would be text in JSON, too."""
    for where, call, _ in _calls():
        spelled = ast.unparse(call)
        assert "repr(" not in spelled, where
        assert "!r}" not in spelled, where
        assert ".lower()" not in spelled, where


def test_no_value_is_written_as_python_writes_it() -> None:
    """Lists, errors, paths and members of enums are logged as their text, by either format."""
    missing = FileNotFoundError(2, "No such file or directory", "/etc/x.yml")
    values = (["a", "b"], missing, Path("/tmp"), Channel.TRADES, (1, True, None), ValueError())
    found = json.loads(line("json", "event a=%s b=%s c=%s d=%s e=%r f=%s", *values))
    assert {key: found[key] for key in "abcdef"} == {
        "a": "a,b",
        "b": "/etc/x.yml: No such file or directory",
        "c": "/tmp",
        "d": "trades",
        "e": "1,true,null",
        "f": "ValueError",
    }
