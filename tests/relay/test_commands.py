"""`relay test`, `relay outbox` and `relay audit`, on a spool that a relay works on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.__main__ import main
from tests.live.programs import command, eventually
from tests.relay import fakes
from tests.relay.programs import SECRETS, alert, inside, post_of, receiver, relay, send, write

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_outbox_of_a_running_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dead letters are listed, shown, sent again or dropped; the audit says who was told what."""

    def run(*words: str) -> tuple[int, str]:
        status = main(["relay", f"--config.file={file}", *words])
        found = capsys.readouterr()
        return status, found.out + found.err

    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        assert run("outbox", "list")[0] == 2  # no spool yet
        providers.fault["webhook"] = lambda: (400, {}, b"no")
        with inside(file) as url:
            for number in range(3):
                assert send(url, post_of(alert(f"A{number}"), group=f"g{number}")) == 200
            listed = ("outbox", "list", "--state=dead")
            eventually(lambda: run(*listed)[1].count("dead") == 3, "dead")
            assert providers.of("webhook") == []
            status, shown = run("outbox", "show", "1")
            assert status == 0
            assert "title:     [CRITICAL] A0 okx" in shown
            assert "detail:    400" in shown
            del providers.fault["webhook"]
            assert run("outbox", "retry", "1") == (0, "1 queued again: 1\n")
            eventually(lambda: len(providers.of("webhook")) == 1, "sent again")
            assert run("outbox", "drop", "2") == (0, "1 dropped: 2\n")
            assert run("outbox", "drop", "2")[0] == 1
            assert run("outbox", "retry", "all") == (0, "1 queued again: 3\n")
            eventually(lambda: len(providers.of("webhook")) == 2, "the other")
            assert run("outbox", "show", "99")[0] == 1
            assert run("outbox", "retry", "x")[0] == 2
        rows = [json.loads(line) for line in run("audit")[1].splitlines()]
        assert [(row["delivery"], row["outcome"]) for row in rows if row["delivery"] == 1] == [
            (1, "dead"), (1, "delivered")]  # fmt: skip
        assert {row["title"] for row in rows} == {f"[CRITICAL] A{n} okx" for n in range(3)}


def test_one_test_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is marked as a test, goes past the spool, and prints what the provider said."""
    with fakes.serving() as providers:
        kinds = ("line", "discord", "twilio", "webhook", "slack", "telegram", "pagerduty")
        file = write(tmp_path, [receiver(kind, providers.url) for kind in kinds])
        for kind in kinds:
            assert main(["relay", f"--config.file={file}", "test", kind]) == 0, kind
            assert f"{kind}" in capsys.readouterr().out
            assert "[TEST]" in json.dumps(providers.of(kind)[0].body)
        assert not (tmp_path / "relay.db").exists()
        providers.fault["slack"] = lambda: (403, {}, b"invalid_token")
        assert main(["relay", f"--config.file={file}", "test", "slack"]) == 1
        out = capsys.readouterr().out
        assert "slack: refused: 403 invalid_token\n" in out
        assert "status 403: invalid_token" in out
        assert main(["relay", f"--config.file={file}", "test", "nobody"]) == 2


def test_two_relays_do_not_share_a_spool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second one ends at once: both would send everything."""
    with fakes.serving() as providers:
        file = write(tmp_path, [receiver("webhook", providers.url)])
        with inside(file):
            words = ["relay", f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]
            assert main(words) == 2
            assert "another relay works on" in capsys.readouterr().err


def test_apprise_is_opened_only_when_configured(tmp_path: Path) -> None:
    """A service of the library gets its message; without one the library is not loaded."""
    pytest.importorskip("apprise")
    script = (
        "import sys, exporter.relay.settings as r; "
        "r.all_notifiers(); print('apprise' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
    with fakes.serving() as providers:
        target = providers.url.replace("http://", "json://") + "/apprise"
        file = tmp_path / "relay.yml"
        (tmp_path / "url").write_text(target)
        file.write_text("receivers: [{name: many, type: apprise, url: {file: url}}]")
        # In a process of its own: the library warns of its imports, and here warnings are errors.
        with relay(file) as (_, url):
            assert send(url, post_of(alert())) == 200
            eventually(
                lambda: [each for each in providers.requests if each[0] == "apprise"], "it came",
            )  # fmt: skip


def test_a_relative_spool_begins_in_the_storage_path(tmp_path: Path) -> None:
    """Beside a config that lies where nothing can be written, the spool has a place of its own."""
    storage = tmp_path / "storage"
    storage.mkdir()
    file = write(tmp_path, [receiver("webhook", "http://127.0.0.1:9")])
    flags = (f"--config.file={file}", f"--storage.path={storage}")
    with command("relay", *flags, "--web.listen-address=127.0.0.1:0", env=SECRETS) as running:
        running.wait_line("ready ")
        assert [each.name for each in tmp_path.glob("*.db")] == []
        assert (storage / "relay.db").exists()
        assert main(["relay", *flags, "outbox", "list"]) == 0


def test_triage_of_a_stored_incident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompt and answer are printed, of a spool's incident or of a post; nobody is told."""
    with fakes.serving() as providers:
        ask = {"enabled": True, "base_url": f"{providers.url}/model/v1", "model": "m",
               "api_key": {"env": "MODEL_KEY"}}  # fmt: skip
        file = write(tmp_path, [receiver("webhook", providers.url)])
        with inside(file) as url:
            for name in ("Old", "New"):
                assert send(url, post_of(alert(name), group=name)) == 200
            eventually(lambda: len(providers.of("webhook")) == 2, "both are told")
        post = tmp_path / "post.json"
        post.write_text(json.dumps(post_of(alert("Posted"))))
        plain = tmp_path / "plain.json"
        plain.write_text('{"title": "Written by hand", "severity": "critical"}')
        odd = tmp_path / "odd.json"
        odd.write_text("[]")

        def run(*words: str) -> tuple[int, str]:
            status = main(["relay", f"--config.file={file}", "triage", *words])
            found = capsys.readouterr()
            return status, found.out + found.err

        spool = str(tmp_path / "relay.db")
        status, off = run("--from", spool)
        assert (status, "triage is off" in off) == (2, True)
        write(tmp_path, [receiver("webhook", providers.url)], triage=ask)
        for source, title in ((spool, "New"), (str(post), "Posted"), (str(plain), "by hand")):
            status, shown = run("--from", source)
            assert status == 0, shown
            question, _, answer = shown.partition("--- answer: ok")
            assert question.startswith("--- system\nYou help the engineer on call")
            assert title in question
            assert "cause: Probably the exchange's edge in one region fails." in answer
            assert "tokens: 200 asked, 80 answered" in answer
            assert "model-key" not in shown
        first = json.loads(json.dumps(providers.of("webhook")[0].body))["incident"]
        assert "title: Old" in run("--from", spool, "--incident", first)[1]
        assert run("--from", spool, "--incident", "none")[0] == 2
        assert run("--from", str(odd))[0] == 2
        assert run("--from", str(tmp_path / "nowhere"))[0] == 2
        providers.model = lambda body: (500, {}, b"oops")
        status, failed = run("--from", str(post))
        assert status == 1
        assert "--- answer: error" in failed
        assert "status 500" in failed
        assert len(providers.of("webhook")) == 2
