"""What a model is asked, and what of its answer gets through."""

from __future__ import annotations

import json

import pytest

from exporter.relay import triage
from exporter.relay.evidence import summary
from exporter.relay.incident import IncidentRules, advance
from exporter.relay.triage import Model, TriageAnswerError, length, read
from tests.relay.hostile import TEXTS
from tests.relay.parts import EPOCH, make

FENCE = "=== 0123456789abcdef ==="


def _answer(content: str | None, **more: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}}], **more}).encode()


def _parts(cause: str, action: str = "Do it now.", prevention: str = "Think ahead.") -> str:
    return json.dumps({"cause": cause, "action": action, "prevention": prevention})


def test_the_question() -> None:
    """Model, temperature and tokens as configured; the alert between two fences, redacted."""
    annotations = {"summary": "\n".join(TEXTS.values())[:3000], "note": TEXTS["secrets"]}
    for text in TEXTS.values():
        found, _ = advance(
            None, [make(annotations={**annotations, "x": text[:2000]})], group="g", serial=1,
            now=EPOCH, rules=IncidentRules(),
        )  # fmt: skip
        assert found is not None
        model = Model(url="http://m/v1", name="deepseek-v3.2", key="k")
        request = triage.request(model, found, TEXTS["fence"] + TEXTS["secrets"], FENCE)
        body = json.loads(request.body)
        assert (body["model"], body["temperature"], body["max_tokens"]) == (
            "deepseek-v3.2", 0.3, 200)  # fmt: skip
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        user = body["messages"][1]["content"]
        assert user.count(FENCE) == 2
        assert user.startswith(FENCE)
        assert user.endswith(FENCE)
        assert "level: critical\n" in user
        assert "title: ExchangeDown\n" in user
        for secret in ("sk-abc", "hunter22", "AKIA", "10.0.0.5"):
            assert secret not in user
        assert request.headers["Authorization"] == "Bearer k"


def test_answers_in_many_forms() -> None:
    """JSON, JSON in a fence, cut short by the token limit, or lines: the three parts are found."""
    wanted = {"cause": "The edge fails.", "action": "Switch over.", "prevention": "Probe both."}
    whole = json.dumps(wanted)
    for content in (
        whole,
        f"```json\n{whole}\n```",
        f"Sure!\n{whole}",
        whole[:-1],
        whole[:-3],
        "Cause: The edge fails.\n**Action:** Switch over.\n- Prevention: Probe both.",
        "Likely cause: The edge fails. Recommended action: Switch over. Prevention: Probe both.",
        "Cause: The edge fails. Action: Switch over. Prevention: Probe both.",
        "## Cause\nThe edge fails.\n\n## Action\nSwitch over.\n\n## Prevention\nProbe both.",
        "1. **Cause**: The edge fails.\n2. **Action**: Switch over.\n3. *Prevention*: Probe both.",
        "Cause - The edge fails.\nAction - Switch over.\nPrevention - Probe both.",
        whole.title()
        .replace("The Edge Fails", "The edge fails")
        .replace("Over", "over")
        .replace("Both", "both"),
        json.dumps({"triage": {**wanted, "action": ["Switch over."]}}),
        f"<think>Either {{a}} or cause: x, action: y.</think>{whole}",
        f"What is the cause: DNS? The action: wait.</think>\n{whole}",
    ):
        found = read(b"\n\n" + _answer(content), Model(url="", name="m"))
        got = {name: text.rstrip(".") for name, text in found.parts.items() if name in wanted}
        assert got == {name: text.rstrip(".") for name, text in wanted.items()}, content
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    found = read(_answer(whole, usage=usage), Model(url="", name="m"))
    assert (found.prompt_tokens, found.completion_tokens) == (7, 5)
    parted = {"choices": [{"message": {"content": [{"type": "text", "text": whole}]}}]}
    for body in (json.dumps(parted).encode(), b"\xef\xbb\xbf" + _answer(whole)):
        assert read(body, Model(url="", name="m")).parts["cause"] == "The edge fails."


@pytest.mark.parametrize(
    ("message", "usage"),
    [
        (b'{"content":"Cause: It fails. Action: Wait. \\ud83d"}', b"null"),
        (b'{"content":"Cause: It fails. Action: Wait.\nPrevention: A caf\xe9"}', b"null"),
        (b'{"content":"Cause: It fails. Action: Wait."}', b'{"total":1e999}'),
        (b'{"content":"Cause: It fails. Action: Wait."}', b'{"total":NaN}'),
        (b'{"content":["Cause: It fails. ",null,{"text":"Action: Wait."}]}', b"null"),
        (b'null},{},{"message":{"content":"Cause: It fails. Action: Wait."}', b"null"),
    ],
)
def test_what_strict_json_refuses_costs_no_answer(message: bytes, usage: bytes) -> None:
    """Half a surrogate, a byte or a number that is none, an odd part: the answer is there."""
    body = b'{"choices":[{"message":' + message + b'}],"usage":' + usage + b"}"
    found = read(body, Model(url="", name="m"))
    assert (found.parts["cause"], found.parts["action"]) == ("It fails.", "Wait.")


@pytest.mark.parametrize("usage", [None, [], "7", {"prompt_tokens": None}, {"prompt_tokens": "7"},
                                   {"prompt_tokens": 7.5}, {"prompt_tokens": -7}])  # fmt: skip
def test_an_odd_count_of_tokens_costs_no_answer(usage: object) -> None:
    """What is only for the metrics is read if it can be."""
    found = read(_answer(_parts("It fails."), usage=usage), Model(url="", name="m"))
    assert found.parts["cause"] == "It fails."
    assert (found.prompt_tokens, found.completion_tokens) in ((0, 0), (7, 0))


@pytest.mark.parametrize(
    "piece", ["{", '{"a":', "<think>", '"cause": "', "\n", " -", "Cause ", "[]("]
)
def test_a_degenerate_answer_takes_no_time(piece: str) -> None:
    """The whole length of one piece again and again is refused at once: the relay waits for it.

    Patterns that begin anew at each piece would take minutes, the deadline of a test.
    """
    with pytest.raises(TriageAnswerError):
        read(_answer(piece * (60_000 // len(json.dumps(piece)))), Model(url="", name="m"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'{"choices": []}',
        _answer(None),
        _answer("   "),
        _answer("I cannot help with that."),
        _answer(json.dumps({"cause": 5, "action": ["x"]})),
        _answer(_parts("")),
        _answer(_parts("ขัดข้อง", "สลับ", "ตรวจสอบ")),
        b"\xff\xfe",
        b"[" * 100_000,
        _answer('{"a":' * 9_000 + "1" + "}" * 9_000),
        _answer("<think>Probably the cause: DNS. The action: wait for"),
        _answer([{"type": "refusal"}]),  # type: ignore[arg-type]  # another kind of part
        b'{"error": {"message": "overloaded"}}',
        b"<html><body>Sign in</body></html>",
        b"data: " + _answer("x"),
    ],
)
def test_junk_is_refused(body: bytes) -> None:
    """No triage rather than nonsense."""
    with pytest.raises(TriageAnswerError):
        read(body, Model(url="", name="m"))


def test_answers_are_plain_text() -> None:
    """Links, mentions, markup and control signs do not get through."""
    dirty = _parts(
        "See [status](https://evil.example/x) or https://evil.example, www.evil.example, evil.com",
        "@everyone **run** <script>now</script> \u202eback\x1b[31m `rm -rf`",
        "discord.gg/abc sk-abcdefghijklmnopqrstuvwx",
    )
    parts = read(_answer(dirty), Model(url="", name="m")).parts
    said = " ".join(parts.values())
    for bad in ("http", "evil", "@", "*", "<", "`", "\u202e", "\x1b", "discord.gg", "sk-abc"):
        assert bad not in said
    assert "run" in said


@pytest.mark.parametrize(
    ("language", "word"),
    [("en", "word "), ("th", "ระบบขัดข้อง"), ("zh", "交易所连接失败"), ("ja", "接続が切れました")],
)
def test_the_limit_of_words_is_kept_in_code(language: str, word: str) -> None:
    """Words where there are spaces; elsewhere characters, as many as a word takes."""
    model = Model(url="", name="m", language=language, words=30)
    found = read(_answer(_parts(word * 200, word * 50, word * 50)), model)
    parts = {name: text for name, text in found.parts.items() if name != "language"}
    most = 30 * {"en": 1, "th": 6, "zh": 2, "ja": 3}[language]
    assert sum(length(text, language) for text in parts.values()) <= most + 3  # the ellipses
    assert all(text.endswith("…") for text in parts.values())
    assert all(not text[0].isspace() for text in parts.values())


def test_language_is_checked() -> None:
    """An answer in another script than asked for is no answer; names in Latin are allowed."""
    assert triage.in_language("OKX API ขัดข้อง เปลี่ยนไปใช้ endpoint สำรอง", "th")
    assert not triage.in_language("The exchange is down", "th")
    assert triage.in_language("okx 的 WebSocket 连接中断，请切换线路", "zh")
    assert not triage.in_language("交易所连接失败", "en")
    assert not triage.in_language("123 !!!", "en")


def test_evidence_is_what_a_person_would_write() -> None:
    """What fails since when and why, the figures in milliseconds, others, verdicts; short."""
    endpoint = {
        "name": "time", "ok": False, "circuit": "open", "last_success": EPOCH, "health": "down",
        "before": {"median": 0.051234567890123456, "p95": 0.2},
        "lately": {"median": 0.9, "p95": 1.2},
    }  # fmt: skip
    fine = {**endpoint, "name": "fine", "circuit": "closed", "health": "up"}
    rows = [{"state": "stale"}] * 2 + [{"state": "live"}]
    stream = {"name": "market", "connected": True, "subscriptions": rows, "health": "degraded"}
    okx = {
        "name": "okx",
        "health": "degraded",
        "domain": "path",
        "endpoints": [endpoint, fine],
        "streams": [stream],
    }
    verdict = {"exchange": "okx", "time": EPOCH, "change": "opened", "sentence": "latency is 9x"}
    state = {
        "now": EPOCH + 120.0,
        "exchanges": [okx, {"name": "kraken", "health": "up"}],
        "anomalies": {"verdicts": [verdict] * 40},
    }
    failure = {"reason": "http", "status": 503, "phases": {"connect": 0.02, "first_byte": 0.7}}
    failures = {"endpoints": {"time": [failure] * 12 + [{"reason": "timeout"}, failure]}}
    text = summary(json.dumps(state).encode(), json.dumps(failures).encode(), "okx")
    assert text.startswith(
        "okx is degraded; the fault lies with the path to it; endpoint time down, "
        "last failures: 13 x http 503, 1 x timeout, "
        "no success since 14 Nov 22:13Z (2 min), breaker open, p50 51 ms p95 200 ms before, "
        "p50 900 ms p95 1200 ms in the last minute, phases connect 20 ms first_byte 700 ms; "
        "stream market connected, subscriptions: 2 stale, 1 live; other exchanges: kraken up; "
    )
    assert text.count("latency is 9x") == 5
    assert len(text) < 1500
    many = {**okx, "endpoints": [{**endpoint, "name": f"e{n}" * 99} for n in range(99)]}
    big = json.dumps({**state, "exchanges": [many] * 30}).encode()
    assert len(summary(big, b"{}", "okx")) < 1500
    for odd in (b"", b"[]", b"{", b'{"exchanges": 7}', b'{"exchanges": [7, {"name": "okx"}]}'):
        assert len(summary(odd, odd, "okx")) < 100


def test_what_the_venue_declares_is_evidence() -> None:
    """With how long before or after we knew; without a comparison there is none."""
    rows = [
        {"title": "API is slow\n", "declared": EPOCH, "lead": 240.5},
        {"title": "Orders", "declared": EPOCH, "lead": -61.0},
        {"title": "Old", "declared": EPOCH, "lead": None},
    ]
    state = {"exchanges": [{"name": "okx", "health": "down", "declared": rows}]}
    text = summary(json.dumps(state).encode(), b"{}", "okx")
    at = "it declared an incident at 14 Nov 22:13Z"
    assert f"{at}: API is slow, 4 min after we knew" in text
    assert f"{at}: Orders, 1 min before we knew" in text
    assert f"{at}: Old;" in f"{text};"
    odd = {"exchanges": [{"name": "okx", "declared": [1, {"lead": "x", "declared": "soon"}]}]}
    assert "declared an incident at ?" in summary(json.dumps(odd).encode(), b"{}", "okx")
