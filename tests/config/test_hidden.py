"""Whatever is written into a config by mistake, its complaints do not repeat a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError
from exporter.config.kinds import may_be_secret
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
    _said_nothing_of(secret, bearer, tmp_path)
    _said_nothing_of(secret, receiver, tmp_path)


@pytest.mark.parametrize("secret", [SECRETS[3], SECRETS[4], SECRETS[5]])
@pytest.mark.parametrize(
    "text",
    [
        "receivers: [{{name: a, type: webhook, url: '{0}'}}]",
        "receivers: [{{name: a, type: apprise, url: 'tgram://{0}/1'}}]",
        "heartbeat: {{ping_url: '{0}'}}",
        "{0}",
        "exchanges: [{{venue: okx, symbols: [], headers: '{0}'}}]",
        "exchanges: [{{venue: okx, endpoints: [{{name: x, headers: {{X: '{0}\\n'}}}}]}}]",
        'exchanges: [{{venue: okx, endpoints: [{{name: x, headers: {{X: "{0}\\n"}}}}]}}]',
        "exchanges: [{{venue: okx, endpoints: [{{name: x, headers: '{0}'}}]}}]",
        "exchanges: [{{venue: okx}}]\nalertmanagers: ['http://u:{0}@h:9093']",
        "exchanges: [{{venue: okx}}]\nalertmanagers: [{{url: 'http://u:{0}@h:9093'}}]",
    ],
)
def test_no_place_repeats_what_belongs_to_another(text: str, secret: str, tmp_path: Path) -> None:
    """An address, a header, a login, or the file with the secret itself in place of the config."""
    _said_nothing_of(secret, text.format(secret), tmp_path)


@pytest.mark.parametrize("secret", [SECRETS[0], SECRETS[1], SECRETS[6]])
@pytest.mark.parametrize(
    "text", ["- {0}", "'{0}': 5", "receivers: {0}", "exchanges: {0}", "exchanges: {{'{0}': 5}}",
             "exchanges: [{{venue: '{0}'}}]", "receivers: [{{name: a, type: '{0}'}}]",
             "exchanges: [{{venue: okx, symbols: ['{0}']}}]", "log: {{level: '{0}'}}"],
)  # fmt: skip
def test_what_looks_like_a_secret_is_repeated_nowhere(
    text: str, secret: str, tmp_path: Path
) -> None:
    """Where names stand, only letters and digits in no order tell that it is one."""
    _said_nothing_of(secret, text.format(secret), tmp_path)


@pytest.mark.parametrize(
    "name", ["1000000BABYDOGEUSDT", "binance-futures-tokyo-1", "/srv/exchanges2/venues/acme.yml",
             "https://api.example.com/v3/time", "KRAKEN_FUTURES_KEY_2"],
)  # fmt: skip
def test_names_are_repeated(name: str) -> None:
    """A complaint that does not say what it found is of less use."""
    assert not may_be_secret(name)


def _said_nothing_of(secret: str, text: str, folder: Path) -> None:
    said = complaints(text, str(folder / "c.yml"))
    try:
        read(text, str(folder / "r.yml"), all_notifiers(), ("en", "th"), {})
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
