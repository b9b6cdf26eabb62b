"""Secrets show up nowhere: in no log, metric, page, answer, error or file of ours."""

from __future__ import annotations

import base64
import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.__main__ import main
from tests.live import programs
from tests.live.canaries import Canaries, echoing
from tests.relay.programs import alert, post_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(150)]


def ask(url: str, body: bytes | None = None, login: str | None = None) -> str:
    """Return what a server says, whatever the status: head and body."""
    request = urllib.request.Request(url, data=body)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    if login is not None:
        request.add_header("Authorization", login)
    try:
        reply = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        return f"{reply.status}\n{reply.headers}\n{reply.read().decode(errors='replace')}"


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder as text."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file.read_bytes().decode("latin-1")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_exporter_tells_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanges, Alertmanagers and a proxy refuse us and repeat what we sent."""
    birds, storage = Canaries(), tmp_path / "storage"
    env = {"KEY": birds.new("apikey"), "TOKEN": birds.new("bearer"), "WORD": birds.new("password")}
    (tmp_path / "signed").write_text(birds.new("fromfile") + "\n")
    hashed = bcrypt.hashpw(birds.new("webpass").encode()[:72], bcrypt.gensalt(4)).decode()
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{scraper: '{hashed}'}}\n")
    login = basic("scraper", birds.all["webpass"])
    with echoing() as port:
        here = f"http://127.0.0.1:{port}"
        proxy = birds.new("proxy", f"http://desk:{{}}@127.0.0.1:{port}")
        env |= {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": ""}
        headers = {"X-Mbx-Apikey": {"env": "KEY"}, "X-Signature": {"file": "signed"}}
        expect: list[dict[str, Any]] = [{"path": "message", "equals": "pong"}]
        endpoints: list[dict[str, Any]] = [
            {"name": f"e{status}", "url": f"{here}/{status}/ping", "headers": headers}
            for status in (400, 404, 500)  # 403 and 429 would be a ban
        ]
        endpoints += [
            {"name": "unmet", "url": f"{here}/200/x", "headers": headers, "expect": expect},
            {"name": "nomatch", "url": f"{here}/200/x", "headers": headers,
             "expect": [{"matches": "^never$"}]},
            {"name": "tunnel", "url": "https://exchange.invalid/x", "headers": headers},
            {"name": "relayed", "url": "http://exchange.invalid/x", "headers": headers},
        ]  # fmt: skip
        config: dict[str, Any] = {
            "probes": {"interval": "500ms", "timeout": "2s"},
            "server": {"changes": True},
            "log": {"level": "debug"},
            "exchanges": [
                {"name": "echo", "venue": "binance", "symbols": ["BTC-USDT"], "status_page": False,
                 "breaker": {"failures": 1000}, "limits": {"weight": 100000, "share": "100%"},
                 "endpoints": endpoints, "streams": [{"channels": ["trades"]}],
                 "stream_url": ["wss://exchange.invalid/ws", f"ws://127.0.0.1:{port}/403/ws"]},
                # Nobody answers there: an outage, which the Alertmanagers are told of.
                {"name": "gone", "venue": "binance", "streams": [], "status_page": False,
                 "endpoints": [{"name": "ping", "url": "https://gone.invalid/"}]},
            ],
            "alertmanagers": [
                {"url": f"{here}/400", "bearer_token": {"env": "TOKEN"}},
                {"url": f"{here}/500", "username": "desk", "password": {"env": "WORD"}},
            ],
        }  # fmt: skip
        file = tmp_path / "exchanges.yml"
        file.write_text(yaml.safe_dump(config))
        words = (f"--config.file={file}", f"--web.config.file={web}", f"--storage.path={storage}")
        seen: list[tuple[str, str]] = []
        with programs.command(
            "run", *words, f"--web.listen-address=127.0.0.1:{(at := programs.free_port())}", env=env
        ) as running:
            url = f"http://127.0.0.1:{at}"

            def page(path: str, body: bytes | None = None) -> str:
                text = ask(f"{url}{path}", body, login)
                seen.append((path, text))
                return text

            programs.eventually(lambda: page("/-/ready").startswith("200"), "ready")
            pushes = "exchange_exporter_alert_pushes_total"
            programs.eventually(
                lambda: re.search(rf'{pushes}{{.*outcome="(?!ok).* [1-9]', page("/metrics")),
                "Alertmanagers refused",
            )
            for said in ("the proxy answered 403", "nothing matches", "expected 'pong'"):
                programs.eventually(
                    lambda said=said: said in page("/api/v1/exchanges/echo/failures"),  # type: ignore[misc]  # bound now
                    said,
                )
            job = b'{"kind": "probe", "exchange": "echo", "endpoint": "e500", "count": 1}'
            page("/api/v1/jobs", job)
            page("/api/v1/jobs", job.replace(b"e500", b"tunnel"))
            programs.eventually(
                lambda: not re.search("pending|running", page("/api/v1/jobs")),
                "jobs ended",
            )
            for path in ("/api/v1/jobs/1", "/api/v1/jobs/2", "/", "/metrics", "/api/v1/state",
                         "/api/v1/exchanges/echo", "/api/v1/exchanges/echo/failures",
                         "/api/v1/anomalies", "/nowhere"):  # fmt: skip
                page(path)
            seen.append(("refused", ask(f"{url}/metrics", None, basic("scraper", "wrong"))))
            # What is put in the wrong place is not repeated either.
            pushed = {"url": here, "bearer_token": birds.new("misplaced")}
            wrong = dict(config, alertmanagers=[pushed])
            file.write_text(yaml.safe_dump(wrong))
            assert page("/-/reload", b"").startswith("500")
            web.write_text(f"basic_auth_users: {{scraper: '{birds.new('plain')}'}}\n")
            programs.eventually(lambda: "web_config_refused" in running.output, "web config")
            page("/metrics")
            assert running.end() == 0
            seen.append(("log", running.output))
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert main(["check", str(file)]) == 1
        checked = capsys.readouterr()
        seen.append(("check", checked.out + checked.err))
        assert "bearer_token" in checked.err
    seen += files(storage)
    assert [hit for where, text in seen for hit in birds.found(text, where)] == []


def test_the_relay_tells_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services and a model refuse us, or agree, and repeat what we sent."""
    birds = Canaries()
    with echoing() as port:
        here = f"http://127.0.0.1:{port}"
        env: dict[str, str] = {}

        def secret(name: str, shape: str = "{}") -> dict[str, str]:
            env[name] = birds.new(name, shape)
            return {"env": name}

        receivers: list[dict[str, Any]] = []
        for status in (400, 500, 200):
            url = f"{here}/{status}"
            receivers += [
                {"type": "line", "url": f"{url}/line", "token": secret(f"line{status}"),
                 "to": ["U" + "0" * 32]},
                {"type": "discord", "url": secret(f"discord{status}", url + "/api/webhooks/1/{}")},
                {"type": "slack", "url": secret(f"slack{status}", url + "/services/T/B/{}")},
                {"type": "telegram", "url": url, "token": secret(f"telegram{status}"),
                 "to": ["-1001"]},
                {"type": "twilio", "url": url, "user": secret(f"sid{status}"),
                 "token": secret(f"twilio{status}"), "sender": "+15017122661",
                 "to": ["+886912345678"]},
                {"type": "pagerduty", "url": url, "token": secret(f"pager{status}")},
                {"type": "webhook", "url": secret(f"hook{status}", url + "/in?key={}"),
                 "token": secret(f"signing{status}")},
            ]  # fmt: skip
        retry = {"base": "50ms", "cap": "100ms", "give_up": "1s"}
        for number, told in enumerate(receivers):
            told |= {"name": f"r{number}", "retry": retry, "timeout": "5s"}
        password = secret("intake")
        config: dict[str, Any] = {
            "receivers": receivers,
            "intake": {"username": "am", "password": password},
            "heartbeat": {"ping_url": secret("ping", here + "/200/ping/{}"), "ping_every": "1s"},
            "triage": {
                "enabled": True,
                "model": "m",
                "base_url": f"{here}/200",
                "api_key": secret("model"),
            },
            "server": {"changes": True},
            "log": {"level": "debug"},
        }
        login = basic("am", birds.all["intake"])
        env |= {"HTTPS_PROXY": birds.new("proxy", f"http://desk:{{}}@127.0.0.1:{port}")}
        file = tmp_path / "relay.yml"
        file.write_text(yaml.safe_dump(config))
        seen: list[tuple[str, str]] = []
        words = ("relay", f"--config.file={file}")

        def command(*more: str) -> str:
            main([*words, *more])
            found = capsys.readouterr()
            seen.append((" ".join(more), found.out + found.err))
            return found.out + found.err

        with programs.command(*words, "--web.listen-address=127.0.0.1:0", env=env) as running:
            url = running.wait_line("ready ")
            intake = f"{url}/api/v1/alertmanager"
            body = json.dumps(post_of(alert())).encode()
            for given in (None, basic("am", "wrong"), login):
                seen.append(("post", ask(intake, body, given)))
            assert seen[-1][1].startswith("200")
            programs.eventually(
                lambda: "alert_relay_queue_depth 0\n" in ask(f"{url}/metrics"),
                "all is delivered or dead",
            )
            programs.eventually(
                lambda: 'alert_relay_triage_total{outcome="ok"} 1' in ask(f"{url}/metrics"),
                "the model was asked",
            )
            time.sleep(1.0)
            for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere"):
                seen.append((path, ask(f"{url}{path}")))
            incident = seen[-5][1].partition("/api/v1/incidents/")[2].partition('"')[0]
            seen.append(("incident", ask(f"{url}/api/v1/incidents/{incident}")))
            assert seen[-1][1].startswith("200")
            wrong = dict(config, triage={"enabled": True, "api_key": birds.new("misplaced")})
            file.write_text(yaml.safe_dump(wrong))
            reloaded = ask(f"{url}/-/reload", b"", login)
            assert reloaded.startswith("500")
            seen.append(("reload", reloaded))
            running.popen.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            assert running.end() == 0
            seen.append(("log", running.output))
            assert "delivery_dead" in running.output
        file.write_text(yaml.safe_dump(config))
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        listed = command("outbox", "list", "--state=dead", "--state=delivered")
        assert len(listed.splitlines()) > 12
        for line in listed.splitlines():
            command("outbox", "show", line.split()[0])
        command("audit")
        for number in range(7):
            assert "status" in command("test", f"r{number}")
    seen += [(name, text) for name, text in files(tmp_path) if name != "relay.yml"]
    assert [hit for where, text in seen for hit in birds.found(text, where)] == []
