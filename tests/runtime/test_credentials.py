"""Files that hold tokens and passwords are read anew when they change; nobody has to say so."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from exporter.config import Config, config_hash, credentials, read
from exporter.config.secret import Secret
from tests.config.fakes import VENUES, load_text
from tests.runtime.running import elsewhere, running, wait_until

TEXT = """
exchanges:
- {venue: binance, symbols: [BTC-USDT], endpoints: [{name: ping, headers: {X-Key: {file: key}}}]}
alertmanagers: [{url: "http://alertmanager.example/", username: me, password: {file: password}}]
"""


def loaded(folder: Path) -> Config:
    """Write two secrets and read a config that names their files."""
    (folder / "key").write_text("one\n")
    (folder / "password").write_text("hunter2\n")
    return read(TEXT, str(folder / "c.yml"), VENUES, VENUES.__getitem__, {})


def test_secrets_are_renewed_and_nothing_else(tmp_path: Path) -> None:
    """What its file holds now takes the place of a secret; all that did not change is the same."""
    config = loaded(tmp_path)
    assert sorted(credentials.files(config)) == [tmp_path / "key", tmp_path / "password"]
    assert credentials.renewed(config) is config
    (tmp_path / "password").write_text("better\n")
    found = credentials.renewed(config)
    password = found.alertmanagers[0].password
    assert password is not None
    assert password.reveal() == "better"
    assert found.exchanges[0] is config.exchanges[0]
    assert config_hash(found) == config_hash(config)
    assert credentials.renewed(found) is found


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", None])
def test_what_cannot_be_read_leaves_the_old_secret(
    tmp_path: Path, text: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is gone, empty or no text is named in the log, and nothing of it shown."""
    config = loaded(tmp_path)
    (tmp_path / "key").unlink()
    if text is not None:
        (tmp_path / "key").write_bytes(text)
    assert credentials.renewed(config) is config
    assert "credential_unreadable file=" in caplog.text
    assert "one" not in caplog.text.replace("reason", "")


def test_a_config_without_files_has_none_to_follow() -> None:
    """Secrets of the environment stay as they were at the start: the system keeps them so."""
    text = TEXT.replace("{file: key}", "{env: KEY}").replace("{file: password}", "{env: KEY}")
    config = load_text(text)
    assert list(credentials.files(config)) == []
    assert isinstance(config.exchanges[0].endpoints, tuple)
    assert credentials.renewed(config) is config
    assert str(Secret("env KEY", "hunter2")) == "***"


def test_a_token_that_is_swapped_is_sent_from_then_on(tmp_path: Path) -> None:
    """As a mounted secret is: a link leads elsewhere all at once."""
    key = tmp_path / "key"
    (tmp_path / "first").write_text("first-token")
    (tmp_path / "second").write_text("other-token")
    key.symlink_to("first")

    async def main() -> list[str]:
        async with elsewhere() as (url, asked):
            keys = (
                f"streams: [], endpoints: [{{name: own, url: '{url}/', "
                f"interval: 100ms, headers: {{X-Key: {{file: {key}}}}}}}]"
            )
            async with running(["binance"], exchange=keys):
                await wait_until(lambda: bool(asked) and "X-Key: first-token" in asked[-1])
                (tmp_path / "link").symlink_to("second")
                (tmp_path / "link").replace(key)
                await wait_until(lambda: "X-Key: other-token" in asked[-1])
        return asked

    sent = "\n".join(asyncio.run(main()))
    assert set(re.findall("^X-Key: (.*?)\r?$", sent, re.MULTILINE)) == {
        "first-token",
        "other-token",
    }
