"""What the relay takes, from whom, and what it says while it can take nothing."""

from __future__ import annotations

import base64
import http.client
from contextlib import closing
from pathlib import Path

from exporter.relay.store import connect
from tests.live.programs import eventually
from tests.relay import fakes
from tests.relay.fakes import told
from tests.relay.programs import alert, inside, metric, post_of, quiet, receiver, relay, send, write


def _readiness(url: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/-/ready")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_relay_that_takes_no_posts_is_not_ready(tmp_path: Path) -> None:
    """A table that is damaged while it runs: it says so, where, and what to do; that helps."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        with inside(file) as url:
            assert _readiness(url)[0] == 200
            with closing(connect(tmp_path / "relay.db")) as db:
                db.execute("ALTER TABLE incidents RENAME COLUMN state TO other")
            eventually(lambda: _readiness(url)[0] == 503, "found without any post")
            assert str(tmp_path / "relay.db") in _readiness(url)[1]
            assert "restart the relay" in _readiness(url)[1]
            assert send(url, post_of(alert())) == 503
        (tmp_path / "relay.db").write_bytes(b"\0" * 5000)
        with inside(file) as url:
            assert _readiness(url)[0] == 200
            assert send(url, post_of(alert())) == 200
            eventually(lambda: len(providers.of("webhook")) == 2, "told, and what may be lost")
        names = [each.body["alerts"][0]["name"] for each in providers.of("webhook")]
        assert sorted(names) == ["AlertsUnreadable", "ExchangeDown"]


def test_full_spool_says_503_and_recovers(tmp_path: Path) -> None:
    """Nothing is acknowledged that does not fit; what was is delivered all the same."""
    with fakes.serving() as providers:
        providers.fault["webhook"] = lambda: "close"
        file = write(
            tmp_path, [receiver("webhook", providers.url, storm={"messages": 1000})],
            spool={"size": "400KiB"},
        )  # fmt: skip
        with inside(file) as url:
            taken, refused = [], 0
            for number in range(400):
                big = alert(f"A{number}", annotations={"description": "x" * 900})
                status = send(url, post_of(big, group=f"g{number}"))
                if status == 200:
                    taken.append(f"A{number}")
                else:
                    assert status == 503
                    refused += 1
                if refused >= 3:
                    break
            assert refused >= 3
            assert len(taken) >= 10
            eventually(lambda: "spool.size" in _readiness(url)[1], "ready says no, and why")
            assert _readiness(url)[0] == 503
            assert metric(url, 'alert_relay_refused_total{reason="full"}') == refused
            del providers.fault["webhook"]
            eventually(lambda: len(providers.of("webhook")) == len(taken), "all told")
            late = post_of(alert("Late"), group="late")
            eventually(lambda: send(url, late) == 200, "the past makes room")
            eventually(lambda: _readiness(url)[0] == 200, "and it is ready again")
            eventually(lambda: len(providers.of("webhook")) > len(taken), "it goes on")
        names = {each.body["alerts"][0]["name"] for each in providers.of("webhook")}
        assert names == {*taken, "Late"}


def _raw(url: str, path: str, **headers: str) -> int:
    """Post with any headers, Host too; return the status."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b'{"title": "Page", "alerts": [{"labels": {"alertname": "Page"}}]}'
    if path.endswith("/alert"):
        body = b'{"title": "Page"}'
    try:
        connection.request("POST", path, body=body, headers=named)
        return connection.getresponse().status
    finally:
        connection.close()


FOREIGN: list[tuple[dict[str, str], int]] = [
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "text/plain; x=application/json"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ({}, 415),
    ({"Content-Type": "application/json", "Origin": "https://evil.example"}, 403),
    ({"Content-Type": "application/json", "Origin": "null"}, 403),
    ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
    ({"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, 403),
    ({"Content-Type": "application/json", "Host": "evil.example:9719"}, 403),
    *(
        ({"Content-Type": "application/json", "Host": host}, 403)
        for host in (
            "127.0.0.1.evil.example", "[::1].evil.example", "a@127.0.0.1", "evil\\.local", "::1",
            "evil%2eexample", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example.",
        )
    ),
    ({"Content-Type": "application/json", "Host": "evil.example:9719",
      "Origin": "http://evil.example:9719", "Sec-Fetch-Site": "same-origin"}, 403),
]  # fmt: skip


def test_no_web_page_can_page_people(tmp_path: Path) -> None:
    """Simple requests of other sites, and names of theirs that lead to us, reach nobody."""
    with fakes.serving() as providers:
        chosen = write(tmp_path, [receiver("webhook", providers.url)], server={"changes": True})
        with inside(chosen) as url:
            paths = ("/api/v1/alert", "/api/v1/alertmanager", "/api/v1/grafana")
            for headers, status in FOREIGN:
                assert {_raw(url, path, **headers) for path in paths} == {status}, headers
                if status == 403:
                    assert _raw(url, "/-/reload", **headers) == 403, headers
            counted = metric(url, 'alert_relay_refused_total{reason="foreign"}')
            assert counted == len(FOREIGN) * len(paths)
            for host in ("127.0.0.1:9719", "[::1]:9719", "localhost", "LOCALHOST:1", "relay:9719",
                         "[fe80::1%25eth0]:9719", "localhost.", "relay.LOCAL",
                         "relay.monitoring.svc", "relay.monitoring.svc.cluster.local"):  # fmt: skip
                json = {"Content-Type": "Application/JSON; charset=utf-8", "Host": host}
                assert _raw(url, "/api/v1/alertmanager", **json) == 200, host
            eventually(lambda: len(providers.of("webhook")) == 1, "the owner's pages arrive")


def test_logins_of_any_spelling(tmp_path: Path) -> None:
    """The scheme's case does not matter; bytes that are no text are a wrong login."""
    with fakes.serving() as providers:
        token = {"bearer_token": {"env": "RELAY_TOKEN"}}
        with inside(write(tmp_path, [receiver("webhook", providers.url)], intake=token)) as url:
            json = {"Content-Type": "application/json", "Host": "pages.example.com"}
            for right in ("Bearer relay-token", "bearer relay-token", "BEARER  relay-token"):
                assert _raw(url, "/api/v1/alertmanager", Authorization=right, **json) == 200
            for wrong in (
                "Bearer caf\xe9",
                "\xff\xfe",
                "Bearer",
                "relay-token",
                "",
                "Basic relay-token",
            ):
                assert _raw(url, "/api/v1/alertmanager", Authorization=wrong, **json) == 401


def test_people_hear_once_of_what_cannot_be_read(tmp_path: Path) -> None:
    """One alert of a hundred, then whole posts: one message, and the ninety-nine are told."""
    with fakes.serving() as providers:
        with inside(write(tmp_path, [receiver("webhook", providers.url)])) as url:
            entries = [alert(labels={"n": str(n)}) for n in range(99)]
            assert send(url, post_of(*entries) | {"alerts": [*entries, None]}) == 200
            eventually(lambda: len(providers.of("webhook")) == 2, "both are told")
            for _ in range(3):
                assert send(url, b"{") == 400
            quiet(1.2)
            assert metric(url, "alert_relay_unreadable_total") == 4
        with inside(tmp_path / "relay.yml") as url:  # nor after a restart
            assert send(url, b"{") == 400
            quiet(1.2)
        told = {each.body["alerts"][0]["name"]: each.body for each in providers.of("webhook")}
        assert sorted(told) == ["AlertsUnreadable", "ExchangeDown"]
        assert len(providers.of("webhook")) == 2
        assert "99 alerts" in told["ExchangeDown"]["text"]
        assert "no object" in told["AlertsUnreadable"]["text"]


def test_intake_is_strict(tmp_path: Path) -> None:
    """A wrong login is 401, rubbish 400, too much 413; never 429, never a redirect."""
    with fakes.serving() as providers:
        file = write(
            tmp_path,
            [receiver("webhook", providers.url)],
            intake={"bearer_token": {"env": "RELAY_TOKEN"}, "body_limit": "64KiB"},
        )
        login = {"Authorization": "Bearer relay-token"}
        with relay(file) as (running, url):
            body = post_of(alert())
            assert send(url, body) == 401
            assert send(url, body, headers={"Authorization": "Bearer relay-tokem"}) == 401
            assert send(url, b"{", headers=login) == 400
            assert send(url, {"alerts": []}, headers=login) == 400
            assert send(url, {"alerts": [{"status": "burning"}]}, headers=login) == 400
            assert send(url, {"alerts": [{"labels": {"a": 1}}]}, headers=login) == 200
            assert send(url, b"[" * 60_000, headers=login) == 400
            assert send(url, b" " * 70_000, headers=login) == 413
            assert send(url, body, headers=login) == 200
            plain = {"title": "Deploy failed", "severity": "warning", "message": "see the log"}
            assert send(url, plain, path="/api/v1/alert", headers=login) == 200
            assert send(url, {"titel": "x"}, path="/api/v1/alert", headers=login) == 400
            grafana = {**post_of(alert("G"), group="grafana"), "orgId": 1, "title": "t",
                       "state": "alerting", "version": "1"}  # fmt: skip
            assert send(url, grafana, path="/api/v1/grafana", headers=login) == 200
            wanted = {"AlertsUnreadable", "Deploy failed", "ExchangeDown", "G", "alert"}
            eventually(lambda: told(providers) >= wanted, "what can be read, and that some cannot")
            assert metric(url, 'alert_relay_refused_total{reason="unauthorized"}') == 2
            assert "relay-token" not in running.output
            assert "signing-key" not in running.output
            write(tmp_path, [receiver("webhook", providers.url)],
                  intake={"username": "am", "password": {"env": "RELAY_TOKEN"}})  # fmt: skip
        with inside(file) as url:
            basic = base64.b64encode(b"am:relay-token").decode()
            assert send(url, body, headers={"Authorization": f"Basic {basic}"}) == 200
            assert send(url, body) == 401
