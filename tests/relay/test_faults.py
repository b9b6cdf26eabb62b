"""Providers that fail in every way, a full disk, hostile senders: real process, real sockets."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.programs import eventually, get, get_json
from tests.relay import fakes
from tests.relay.programs import alert, inside, metric, post_of, quiet, receiver, relay, send, write

pytestmark = pytest.mark.live
CERTIFICATES = Path(__file__).parent.parent / "http" / "certificates"


def _times(count: int, answer: fakes.Answer | str) -> Callable[[], fakes.Answer | str | None]:
    left = [count]

    def fault() -> fakes.Answer | str | None:
        left[0] -= 1
        return answer if left[0] >= 0 else None

    return fault


KINDS = ("line", "discord", "twilio", "webhook", "slack", "telegram", "pagerduty")


def test_every_receiver_is_told_once_of_begin_and_end(tmp_path: Path) -> None:
    """One post from each of two Alertmanagers: one message a receiver; the end edits or follows."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver(kind, providers.url) for kind in KINDS])
        with inside(file) as url:
            for external in ("http://am1:9093", "http://am2:9093"):
                assert send(url, post_of(alert(), externalURL=external)) == 200
            for external in ("http://am1:9093", "http://am2:9093"):
                ended = post_of(alert(status="resolved"), externalURL=external)
                assert send(url, ended) == 200
            eventually(lambda: len(providers.taken) == 2 * len(KINDS), "all told")
            quiet(0.5)
            assert metric(url, "alert_relay_deduplicated_total") == 2
            assert metric(url, 'alert_relay_received_total{status="firing"}') == 2
            line = 'alert_relay_deliveries_total{channel="%s",outcome="ok"}'
            assert [metric(url, line % kind) for kind in KINDS] == [2] * len(KINDS)
            page = get(f"{url}/")
            assert "ExchangeDown" in page
            assert "resolved" in page
        assert providers.refused == []
        assert [each.edit for each in providers.of("discord")] == [False, True]
        assert [each.edit for each in providers.of("telegram")] == [False, True]
        assert list(providers.incidents.values()) == [["trigger", "resolve"]]
        texts = [each.body["messages"][0]["text"] for each in providers.of("line")]
        assert texts[0].startswith("[CRITICAL] ExchangeDown okx\n• okx: okx does not answer")
        assert texts[1].startswith("[RESOLVED after 29 min] ExchangeDown okx")


def test_provider_down_then_up(tmp_path: Path) -> None:
    """Resets and 5xx: all is delivered, and in order within each incident."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        with inside(file) as url:
            troubles: list[fakes.Answer | str] = [
                "close",
                (503, {}, b""),
                (500, {}, b"oops"),
                "close",
            ] * 3
            providers.fault["webhook"] = lambda: troubles.pop() if troubles else None
            for number in range(5):
                assert send(url, post_of(alert(f"A{number}"), group=f"g{number}")) == 200
                ended = post_of(alert(f"A{number}", status="resolved"), group=f"g{number}")
                assert send(url, ended) == 200
            eventually(lambda: len(providers.of("webhook")) == 10, "all told")
        said: dict[str, list[str]] = {}
        for each in providers.of("webhook"):
            said.setdefault(each.body["incident"], []).append(each.body["status"])
        assert list(said.values()) == [["firing", "resolved"]] * 5


def test_rate_limit_is_obeyed_and_refusals_die_alone(tmp_path: Path) -> None:
    """429 with Retry-After keeps the receiver quiet so long; a 400 stops one message, no other."""
    with fakes.serving() as providers:
        words = b'{"message":"You are being rate limited.","retry_after":1.2,"global":false}'
        limited = (429, {"Retry-After": "1"}, words)
        providers.fault["discord"] = _times(1, limited)
        providers.fault["webhook"] = _times(1, (400, {}, b"no"))
        kinds = ("discord", "webhook")
        file = write(tmp_path, [receiver(kind, providers.url) for kind in kinds])
        with inside(file) as url:
            began = time.monotonic()
            for number in range(3):
                assert send(url, post_of(alert(f"A{number}"), group=f"g{number}")) == 200
            eventually(lambda: len(providers.of("discord")) == 3, "told in the end")
            assert time.monotonic() - began >= 1.2
            arrivals = [at for service, at in providers.requests if service == "discord"]
            first = min(arrivals)
            assert max(arrivals) - first >= 1.1
            eventually(lambda: len(providers.of("webhook")) == 2, "the others")
            eventually(lambda: metric(url, "alert_relay_dead_letters") == 1, "counted")
            failed = 'alert_relay_deliveries_total{channel="webhook",outcome="failed"}'
            assert metric(url, failed) == 1


@pytest.mark.timed
def test_slow_loris_and_hanging_provider(tmp_path: Path) -> None:
    """A provider that never ends its answer costs one deadline, and others nothing."""
    with fakes.serving() as providers:
        providers.fault["line"] = _times(1, "loris")
        providers.fault["slack"] = _times(1, "hang")
        file = write(
            tmp_path,
            [
                receiver(kind, providers.url, timeout="500ms")
                for kind in ("line", "slack", "webhook")
            ],
        )
        with inside(file) as url:
            began = time.monotonic()
            assert send(url, post_of(alert())) == 200
            eventually(lambda: providers.of("webhook"), "the healthy one")
            assert time.monotonic() - began < 0.5
            eventually(lambda: providers.of("line") and providers.of("slack"), "told")
        assert len(providers.of("line")) == 1


def test_tls_is_verified(tmp_path: Path) -> None:
    """A provider whose certificate is not trusted is told nothing; trusted, it is told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "valid.pem")
    with fakes.serving(context) as providers:
        url_of = providers.url.replace("127.0.0.1", "localhost")
        file = write(tmp_path, [receiver("slack", url_of)])
        with inside(file) as url:
            assert send(url, post_of(alert())) == 200
            retried = 'alert_relay_deliveries_total{channel="slack",outcome="retry"}'
            eventually(lambda: metric(url, retried) >= 2, "it is tried")
            assert providers.requests == []
        write(tmp_path, [receiver("slack", url_of)], http={"ca_file": str(CERTIFICATES / "ca.pem")})
        with inside(file):
            eventually(lambda: providers.of("slack"), "told after all")


def test_storm_becomes_a_digest(tmp_path: Path) -> None:
    """Beyond the rate messages are held back and added up; none is left out of the sum."""
    with fakes.serving() as providers:
        storm = {"messages": 5, "window": "1m", "digest_every": "1s"}
        kinds = ("webhook", "discord")
        file = write(tmp_path, [receiver(kind, providers.url, storm=storm) for kind in kinds])
        with inside(file) as url:
            for number in range(60):
                assert send(url, post_of(alert(f"A{number % 3}", labels={"n": str(number)}),
                                         group=f"g{number}")) == 200  # fmt: skip

            def digest() -> list[fakes.Taken]:
                return [t for t in providers.of("webhook") if t.body["occasion"] == "digest"]

            eventually(digest, "a digest")
            quiet(0.3)
            assert metric(url, 'alert_relay_held_total{channel="webhook",reason="storm"}') == 55
        single = [t for t in providers.of("webhook") if t.body["occasion"] == "firing"]
        told = len(single) + sum(
            int(group["labels"]["count"]) for t in digest() for group in t.body["alerts"]
        )
        assert (len(single), told) == (5, 60)
        assert "55 firing" in digest()[0].body["title"]
        assert len(providers.of("discord")) == 5 + len(digest())


def test_heartbeat_pages_once_and_says_when_it_is_back(tmp_path: Path) -> None:
    """A watchdog that stops is an incident; what ends meanwhile is lost, not resolved."""
    with fakes.serving() as providers:
        ping = {"ping_url": f"{providers.url}/snitch", "ping_every": "1s"}

        def heartbeat(timeout: str) -> dict[str, str]:
            return {"timeout": timeout, **ping}

        file = write(tmp_path, [receiver("webhook", providers.url)], heartbeat=heartbeat("1s"))
        watchdog = post_of(alert("Watchdog", labels={"severity": "none"}), group="w")
        with inside(file) as url:
            quiet(1.5)
            assert providers.of("webhook") == []  # no watchdog was ever seen: no alarm
            assert send(url, post_of(alert())) == 200
            eventually(lambda: len(providers.of("webhook")) == 1, "the alert is told")
            assert send(url, watchdog) == 200
            eventually(lambda: len(providers.of("webhook")) == 2, "the silence is told")
            assert metric(url, "alert_relay_heartbeat_lost") == 1
            assert send(url, post_of(alert(status="resolved"))) == 200
            eventually(lambda: len(providers.of("webhook")) == 3, "the loss is told")
        with inside(file):  # a restart neither forgets it nor says it again
            quiet(1.5)
            assert len(providers.of("webhook")) == 3
        # It is not silent again before that is looked at.
        write(tmp_path, [receiver("webhook", providers.url)], heartbeat=heartbeat("60s"))
        with inside(file) as url:
            assert send(url, watchdog) == 200
            eventually(lambda: len(providers.of("webhook")) == 4, "it is back")
            assert metric(url, "alert_relay_heartbeat_lost") == 0
            assert providers.of("snitch")
        said = [(t.body["alerts"][0]["name"], t.body["occasion"]) for t in providers.of("webhook")]
        assert said == [
            ("ExchangeDown", "firing"),
            ("AlertingPathSilent", "firing"),
            ("ExchangeDown", "lost"),
            ("AlertingPathSilent", "resolved"),
        ]


@pytest.mark.timed
def test_triage_never_holds_a_page(tmp_path: Path) -> None:
    """Whatever the model does, pages go out at once; its answer follows as edit or message."""
    with fakes.serving() as providers:
        slow, good = 0.8, fakes.completion(fakes.ADVICE)

        def model(body: dict[str, object]) -> fakes.Answer | str:
            time.sleep(slow)
            return good

        providers.model = model
        ask = {"enabled": True, "base_url": f"{providers.url}/model/v1", "model": "deepseek-v3.2",
               "grace": "2s",
               "api_key": {"env": "MODEL_KEY"}, "deadline": "3s"}  # fmt: skip
        kinds = ("discord", "webhook", "line", "twilio", "pagerduty")
        file = write(tmp_path, [receiver(kind, providers.url) for kind in kinds], triage=ask)
        with inside(file) as url:
            began = time.monotonic()
            assert send(url, post_of(alert())) == 200
            for kind in ("discord", "webhook", "twilio", "pagerduty"):
                eventually(lambda kind=kind: providers.of(kind), f"{kind} is told")  # type: ignore[misc]  # bound now
            assert time.monotonic() - began < 0.7
            eventually(lambda: providers.of("line"), "LINE is told")
            eventually(lambda: len(providers.of("discord")) == 2, "the edit")
            eventually(lambda: len(providers.of("webhook")) == 2, "the second message")
            # The second incident is a warning, the third the same again: neither is asked about.
            calm = alert("Calm", labels={"severity": "warning"})
            assert send(url, post_of(calm, group="calm")) == 200
            assert send(url, post_of(alert())) == 200
            quiet(0.5)
        assert len(providers.asked) == 1
        texts = [m["text"] for m in providers.of("line")[0].body["messages"]]
        assert len(texts) == 2  # one billed request
        assert "Cause: Probably the exchange's edge" in texts[1]
        edit = providers.of("discord")[1]
        assert edit.edit
        assert "Cause: Probably" in str(edit.body["embeds"][0]["fields"])
        assert len(providers.of("twilio")) == 2  # two pages and no triage
        asked = providers.asked[0]
        assert (asked["model"], asked["temperature"], asked["max_tokens"]) == (
            "deepseek-v3.2", 0.3, 200)  # fmt: skip
        assert "okx" in asked["messages"][1]["content"]


BROKEN: list[tuple[fakes.Answer | str, str]] = [
    ((429, {}, b"{}"), "error"),
    ((500, {}, b"oops"), "error"),
    ((402, {}, b'{"error":{"message":"Insufficient Balance"}}'), "error"),
    (fakes.completion(None), "error"),
    (fakes.completion("I am sorry."), "error"),
    ((200, {}, b"\x00\xff{"), "error"),
    ((200, {}, b"x" * 300_000), "error"),
    ("close", "error"),
    ("loris", "timeout"),
]


def test_a_broken_model_changes_nothing(tmp_path: Path) -> None:
    """The page goes out all the same, LINE's after its grace at the latest, and once."""
    with fakes.serving() as providers:
        ask = {"enabled": True, "base_url": f"{providers.url}/model/v1", "model": "deepseek-v3.2",
               "grace": "200ms",
               "api_key": {"env": "MODEL_KEY"}, "deadline": "700ms"}  # fmt: skip
        kinds = ("discord", "line")
        for at, (answer, outcome) in enumerate(BROKEN):
            folder = tmp_path / str(at)  # a new relay each: its breaker would stop asking
            folder.mkdir()
            file = write(folder, [receiver(kind, providers.url) for kind in kinds], triage=ask)
            providers.model = lambda body, answer=answer: answer  # type: ignore[misc]  # bound now
            with inside(file) as url:
                assert send(url, post_of(alert())) == 200
                for kind in kinds:
                    eventually(
                        lambda kind=kind, at=at: len(providers.of(kind)) == at + 1,  # type: ignore[misc]  # bound now
                        f"{kind} is told in spite of {answer!r}"[:200],
                    )
                count = f'alert_relay_triage_total{{outcome="{outcome}"}}'
                counted = f"{outcome} for {answer!r}"[:200]
                eventually(lambda url=url, count=count: metric(url, count) == 1, counted)  # type: ignore[misc]  # bound now
        assert [len(providers.of(kind)) for kind in kinds] == [len(BROKEN)] * 2
        assert len(providers.asked) == len(BROKEN)


def test_incidents_are_told_in_full_over_the_api(tmp_path: Path) -> None:
    """A digest by name stands in the message; each alert stands under /api/v1/incidents."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        with relay(file) as (running, url):
            many = [alert(f"A{n % 7}", labels={"n": str(n)}) for n in range(1000)]
            assert send(url, post_of(*many, truncatedAlerts=3)) == 200
            eventually(lambda: providers.of("webhook"), "told")
            told = providers.of("webhook")
            found = get_json(f"{url}/api/v1/incidents/{told[0].body['incident']}")
            assert len(found["alerts"]) == 1000
            state = get_json(f"{url}/api/v1/state")  # what `watch` shows
            assert [each["count"] for each in state["incidents"]] == [1003]
            assert (state["open"], state["deliveries"][0]["receiver"]) == (1, "webhook")
            assert running.memory() < 120e6
        assert len(told) == 1
        assert "1003 alerts" in told[0].body["text"]
        assert told[0].body["text"].count("×") == 7
        assert "143 × A0" in told[0].body["text"]
