"""The relay's config: the example, mistakes, templates, the schema and --check."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from exporter.__main__ import main
from exporter.cli import schema as schema_command
from exporter.config import ConfigError
from exporter.relay.config import read
from exporter.relay.settings import all_notifiers, load, receiver_of

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "relay.yml"
ENVIRON = dict.fromkeys(
    ("LINE_TOKEN", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TICKETS_SIGNING_KEY", "RELAY_TOKEN",
     "DEEPSEEK_API_KEY"),
    "secret-value",
) | {
    "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/secret",
    "DEAD_MANS_SWITCH_URL": "https://nosnch.in/secret",
}  # fmt: skip


def _complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, "r.yml", all_notifiers(), ("en", "th"), {"T": "x", "URL": "https://h/x"})
    return list(caught.value.complaints)


def test_the_example_is_good_and_keeps_its_secrets() -> None:
    """It loads, its receivers are as written, and nothing secret is in what it prints as."""
    config = load(EXAMPLE, ENVIRON)
    assert "secret-value" not in repr(config)
    line, sms, chat, tickets = map(receiver_of, config.receivers)
    assert (line.language, line.accounts[0].token) == ("th", "secret-value")
    assert (sms.limit, sms.budget and sms.budget.messages, sms.resolved) == (1, 50, False)
    assert chat.accounts[0].url == "https://discord.com/api/webhooks/1/secret"
    assert tickets.notifier.idempotent


@pytest.mark.parametrize(
    ("receiver", "wrong"),
    [
        ("{name: a, type: lime}", 'receivers[0].type: found "lime", expected one of apprise, '
         'discord, line, pagerduty, slack, telegram, twilio, webhook; did you mean "line"?'),
        ("{name: a, type: line, to: [U00000000000000000000000000000000]}",
         "receivers[0].token: found no such key, expected one for line"),
        ("{name: a, type: line, token: {env: T}, to: [bob]}",
         "receivers[0].to[0]: found no recipient of line, expected "
         "a user, group or room: U, C or R and 32 characters of 0-9 and a-f"),
        ("{name: a, type: discord, url: {env: URL}, to: [x]}",
         "receivers[0].to: found a key that discord has no use for"),
        ("{name: a, type: discord, url: {env: URL}, options: {user: x}}",
         "receivers[0].options.user: found an unknown option, expected: username"),
        ("{name: a, type: discord, url: {env: URL}, language: xx}",
         "receivers[0].language: found no texts in it, expected one of en, th"),
        ("{name: a, type: webhook, url: https://u:p@h/x}",
         "receivers[0].url: found a text (not shown), expected a URL with http:// or https:// "
         "without credentials; a header may be a secret"),
        ("{name: a, type: webhook, url: https://h/x, token: abc}",
         "receivers[0].token: found a text (not shown), expected {env: NAME} or {file: PATH}"),
    ],
)  # fmt: skip
def test_mistakes_are_named(receiver: str, wrong: str) -> None:
    """File, line, key, what was found and what was expected."""
    assert _complaints(f"receivers:\n  - {receiver}\n") == [f"r.yml:2: {wrong}"]


def test_a_template_that_cannot_render_stops_the_start(tmp_path: Path) -> None:
    """Syntax, unknown names and what the sandbox forbids are found by --check, not at night."""
    for source, wrong in (
        ("{% if %}", "Expected an expression"),
        ("{{ nme }}", "'nme' is undefined"),
        ("{{ name.__class__.__mro__ }}", "unsafe"),
    ):
        (tmp_path / "t.j2").write_text(source)
        file = tmp_path / "relay.yml"
        file.write_text("receivers: [{name: a, type: webhook, url: 'http://h', template: t.j2}]")
        with pytest.raises(ConfigError, match=wrong):
            load(file, {})


def test_schema_is_committed_and_agrees_with_the_example() -> None:
    """Editors see what the program reads."""
    assert (ROOT / "exporter" / "relay.schema.json").read_text("utf-8") == schema_command.text(
        "relay"
    )
    schema = json.loads(schema_command.text("relay"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"receivers": [{"name": "a", "type": "lime"}]}, schema)


def test_check_and_listen_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--check reports without starting anything; without a login only loopback is served."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert main(["relay", "--check", str(EXAMPLE)]) == 0
    out = capsys.readouterr().out
    assert "oncall-sms: twilio, en, critical; more than 20 in 1m become a digest" in out
    assert "secret-value" not in out
    file = tmp_path / "relay.yml"
    file.write_text("receivers: [{name: a, type: webhook, url: 'http://h'}]")
    assert main(["relay", f"--config.file={file}", "--web.listen-address=:0"]) == 2
    assert "is not a loopback address" in capsys.readouterr().err
    file.write_text("receivers: [{name: a, tipe: webhook}]")
    assert main(["relay", "--check", str(file)]) == 1
    assert 'did you mean "type"?' in capsys.readouterr().err
    assert main(["relay", "--check", str(tmp_path / "none.yml")]) == 2
    assert main(["relay"]) == 2
