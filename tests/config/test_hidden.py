"""Whatever is written into a config by mistake, its complaints do not repeat a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError
from exporter.relay.config import read
from exporter.relay.settings import all_notifiers
from tests.config.fakes import complaints

SECRETS = (
    "sk-proj-Zx81hWq0aPL3",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "8a7d6f5e4c3b2a190817263544536271",
    "xoxb-123456789012-abcdefghijkl",
    "Tr0ub4dor&3",
    "eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wsYBfq4",
)
PLACES = (
    "token: {{env: {0}}}",
    "token: {{file: {0}}}",
    "token: {{file: ./{0}}}",
    "token: {{vault: {0}}}",
    "token: {{{0}}}",
    "token: {{env: {0}, file: {0}}}",
    "token: [{0}]",
    "token: {0}",
    "token: *{0}",
    "token: !{0}",
    "token: !{0} x",
    "token: !x!{0} y",
    'token: "{0}',
    "token: '{0}",
    "token: &{0}",
    "token: @{0}",
    "token: `{0}",
    "token: %{0}",
    "token: |{0}",
    "token: {{env: !{0}}}",
    "token: {{env: *{0}}}",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_a_mistaken_secret_is_not_repeated(place: str, secret: str, tmp_path: Path) -> None:
    """Not in whole and not by its first characters, in the configs of both programs."""
    line = place.format(secret)
    receiver = f"receivers:\n- name: a\n  type: pagerduty\n  {line}\n"
    bearer = f"alertmanagers:\n- url: http://a.example:9093\n  bearer_{line}\n"
    said = complaints(bearer, str(tmp_path / "c.yml"))
    try:
        read(receiver, str(tmp_path / "r.yml"), all_notifiers(), ("en", "th"), {})
    except ConfigError as error:
        said += error.complaints
    assert said
    for each in said:
        assert secret not in each
        assert secret[:10] not in each


@pytest.mark.parametrize(
    ("receiver", "wrong"),
    [
        ("type: discord, url: 'https://discord.com/api/webhooks/1/token'", True),
        ("type: discord, url: 'https://discord.com/api/v10/webhooks/1/token?wait=true'", True),
        ("type: slack, url: 'https://hooks.slack.com/services/T1/B2/token'", True),
        ("type: webhook, url: 'https://hooks.example/in?access_token=x'", True),
        ("type: webhook, url: 'https://hooks.example/in?room=7'", False),
        ("type: discord, url: 'http://127.0.0.1:9/api/webhooks/1/token'", False),
    ],
)
def test_the_url_of_a_webhook_is_a_secret(receiver: str, wrong: bool) -> None:
    """As plain text it is refused, and not repeated; a stand-in on this machine has none."""
    text = f"receivers:\n- {{name: a, {receiver}}}\n"
    said: tuple[str, ...] = ()
    try:
        read(text, "r.yml", all_notifiers(), ("en", "th"), {})
    except ConfigError as error:
        said = tuple(error.complaints)
    assert any("receivers[0].url: found a text (not shown)" in each for each in said) is wrong
    assert not any("token" in each for each in said)
