"""The running relay follows its config and its web config, and loses nothing over it."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.http.servers import CERTIFICATES
from tests.live.programs import command, eventually, get
from tests.relay import fakes
from tests.relay.programs import (
    SECRETS,
    alert,
    inside,
    metric,
    post_of,
    receiver,
    relay,
    send,
    write,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

OPEN = {"server": {"changes": True}}
GOOD = "exchange_exporter_config_last_reload_successful"


def reload(url: str, **headers: str) -> tuple[int, str]:
    """Ask for a reload; gives status and answer."""
    request = urllib.request.Request(f"{url}/-/reload", method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(reply.status), reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_reload_changes_who_is_told_and_loses_nothing(tmp_path: Path) -> None:
    """Those who stay work on with what they have counted, what waits is delivered once."""
    with fakes.serving() as providers:
        calm = [receiver(kind, providers.url) for kind in ("webhook", "slack")]
        file = write(tmp_path, calm, **OPEN)
        with relay(file) as (_, url):
            assert send(url, post_of(alert(), group="one")) == 200
            eventually(lambda: len(providers.taken) == 2, "both were told")
            providers.fault["webhook"] = lambda: (503, {}, b"later")
            assert send(url, post_of(alert("Two"), group="two")) == 200
            eventually(lambda: len(providers.of("slack")) == 2, "slack was told")

            patient = receiver("webhook", providers.url, timeout="3s")
            write(tmp_path, [patient, receiver("telegram", providers.url)], **OPEN)
            status, answer = reload(url)
            assert status == 200, answer
            assert json.loads(answer) == {
                "added": ["telegram"],
                "removed": ["slack"],
                "restarted": ["webhook"],
                "kept": [],
                "at_next_start": [],
            }
            assert send(url, post_of(alert("Three"), group="three")) == 200
            eventually(lambda: len(providers.of("telegram")) == 1, "the new one")
            del providers.fault["webhook"]
            eventually(lambda: len(providers.of("webhook")) == 3, "all of it came")
            told = [json.dumps(each.body) for each in providers.of("webhook")]
            for name in ("ExchangeDown", '"Two', '"Three'):
                assert sum(name in each for each in told) == 1, told
            assert len(providers.of("slack")) == 2
            # A delivery is counted a moment after its receiver was asked.
            counted = 'alert_relay_deliveries_total{channel="webhook",outcome="ok"} 3'
            eventually(lambda: counted in get(f"{url}/metrics"), "all were counted")
            page = get(f"{url}/metrics")
            assert 'channel="slack"' not in page
            assert f"{GOOD} 1" in page


def test_who_did_not_change_is_left_alone(tmp_path: Path) -> None:
    """A reload that adds one receiver restarts no other, and says what waits for a start."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)], **OPEN)
        with relay(file) as (_, url):
            both = [receiver(kind, providers.url) for kind in ("webhook", "line")]
            more: dict[str, Any] = {"intake": {"body_limit": "1MiB"}, "spool": {"size": "1GiB"}}
            write(tmp_path, both, **OPEN, **more)
            status, answer = reload(url)
            assert status == 200, answer
            assert json.loads(answer) == {
                "added": ["line"],
                "removed": [],
                "restarted": [],
                "kept": ["webhook"],
                "at_next_start": ["spool", "intake.body_limit"],
            }
            assert send(url, post_of(alert())) == 200
            eventually(lambda: len(providers.taken) == 2, "both were told")


def test_a_bad_config_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """The answer, the log and the gauge say why; SIGHUP with a good one mends it."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)], **OPEN)
        with relay(file) as (running, url):
            assert metric(url, GOOD) == 1
            write(tmp_path, [{"name": "x", "type": "webhok"}], **OPEN)
            status, answer = reload(url)
            assert status == 500
            assert "the old one stays" in answer
            assert "webhok" in answer
            assert metric(url, GOOD) == 0
            eventually(lambda: "event=config_refused" in running.output, "logged")
            assert send(url, post_of(alert())) == 200
            eventually(lambda: len(providers.taken) == 1, "the old one works")
            write(tmp_path, [receiver("slack", providers.url)], **OPEN)
            running.popen.send_signal(signal.SIGHUP)
            eventually(lambda: metric(url, GOOD) == 1, "mended")
            assert send(url, post_of(alert("Two"), group="two")) == 200
            eventually(lambda: len(providers.of("slack")) == 1, "the new one works")
            assert running.end() == 0


def test_a_reload_by_post_is_closed_by_default(tmp_path: Path) -> None:
    """It takes server.changes, the relay's own login, and no other site's page."""
    with fakes.serving() as providers:
        calm = [receiver("webhook", providers.url)]
        file = write(tmp_path, calm)
        with relay(file) as (running, url):
            assert reload(url)[0] == 403
            login = {"intake": {"bearer_token": {"env": "RELAY_TOKEN"}}}
            write(tmp_path, calm, **login)
            # `server` is read at the start alone: nobody opens what a start has closed.
            running.popen.send_signal(signal.SIGHUP)
            eventually(lambda: send(url, post_of(alert())) == 401, "followed")
            assert reload(url, Authorization="Bearer relay-token")[0] == 403
        write(tmp_path, calm, **login, **OPEN)
        with relay(file) as (_, url):
            assert reload(url)[0] == 401
            assert reload(url, Authorization="Bearer wrong")[0] == 401
            foreign = {"Authorization": "Bearer relay-token", "Origin": "http://evil.example"}
            assert reload(url, **foreign)[0] == 403
            assert reload(url, Authorization="Bearer relay-token")[0] == 200


def test_a_reload_cannot_open_the_relay_to_strangers(tmp_path: Path) -> None:
    """Elsewhere than on loopback a config without a login is refused, at the start and later."""
    with fakes.serving() as providers:
        calm = [receiver("webhook", providers.url)]
        login = {"intake": {"bearer_token": {"env": "RELAY_TOKEN"}}}
        file = write(tmp_path, calm, **login, **OPEN)
        # Of 127.0.0.0/8, which is all loopback, the relay takes 127.0.0.1 alone for it.
        words = ("relay", f"--config.file={file}", "--web.listen-address=127.0.0.2:0")
        with command(*words, env=SECRETS) as running:
            url = running.wait_line("ready ")
            write(tmp_path, calm, **OPEN)
            status, answer = reload(url, Authorization="Bearer relay-token")
            assert (status, "not a loopback address" in answer) == (500, True)
            assert send(url, post_of(alert())) == 401
        with command(*words, env=SECRETS) as running:
            assert running.popen.wait(30) == 2


def test_tls_and_logins_of_the_web_config(tmp_path: Path) -> None:
    """The exporter's web config serves the relay too, is followed, and stands for a login."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    shutil.copy(CERTIFICATES / "valid.pem", tmp_path / "own.pem")
    web = tmp_path / "web.yml"
    web.write_text(
        "tls_server_config: {cert_file: own.pem, key_file: own.pem}\n"
        f"basic_auth_users: {{prometheus: '{hashed}'}}\n"
    )
    trusting = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    trusting.check_hostname = False  # 127.0.0.2 is in no certificate

    def ask(url: str, login: str | None, body: bytes | None = None) -> int:
        request = urllib.request.Request(url, data=body)
        request.add_header("Content-Type", "application/json")
        if login:
            request.add_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=10, context=trusting) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    right, wrong = "cHJvbWV0aGV1czpzZWNyZXQ=", "cHJvbWV0aGV1czp3cm9uZw=="
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        words = ("relay", f"--config.file={file}", f"--web.config.file={web}")
        with command(*words, "--web.listen-address=127.0.0.2:0", env=SECRETS) as running:
            url = running.wait_line("ready ")
            assert url.startswith("https://")
            post = json.dumps(post_of(alert())).encode()
            intake = f"{url}/api/v1/alertmanager"
            for path in ("/", "/metrics", "/-/ready", "/nowhere"):
                assert ask(f"{url}{path}", None) == 401
            assert [ask(intake, login, post) for login in (None, wrong, right)] == [401, 401, 200]
            eventually(lambda: len(providers.taken) == 1, "it was told")
            web.write_text("tls_server_config: {cert_file: own.pem}\n")
            eventually(lambda: "event=web_config_refused" in running.output, "said")
            assert ask(intake, wrong, post) == 401


def test_a_token_in_a_file_is_read_anew(tmp_path: Path) -> None:
    """Whoever posts must show the token that the file holds now; nobody has to say so."""
    token = tmp_path / "token"
    token.write_text("first-token")
    with fakes.serving() as providers:
        intake = {"bearer_token": {"file": str(token)}}
        file = write(tmp_path, [receiver("webhook", providers.url)], intake=intake)
        with inside(file) as url:

            def posted(word: str) -> int:
                return send(url, post_of(alert()), headers={"Authorization": f"Bearer {word}"})

            assert (posted("first-token"), posted("other-token")) == (200, 401)
            token.write_text("other-token")
            eventually(lambda: posted("other-token") == 200, "the new token is known")
            assert posted("first-token") == 401
