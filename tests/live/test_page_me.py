"""`exchange-exporter page-me`: from nothing to a page, with a real exporter and a real relay."""

from __future__ import annotations

import pytest

from tests.live import programs
from tests.relay import fakes
from tests.test_readme import README, commands

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.timeout(180)]


def test_a_fault_is_paged_on_discord_and_its_end_is_told() -> None:
    """The README's own command: Discord confirms one page, a drill, and its end edits it."""
    with fakes.serving() as services:
        hook = f"{services.url}/discord/api/webhooks/1/token-of-the-hook"
        [shown] = [words for words in commands(README) if words[1:2] == ["page-me"]]
        placeholder = "https://discord.com/api/webhooks/ID/TOKEN"
        arguments = [word.replace(placeholder, hook) for word in shown[1:]]
        assert arguments[1:] == [f"--discord={hook}"]
        with programs.command(*arguments) as paged:
            assert paged.popen.wait(90) == 0, paged.output
        page, end = services.of("discord")
        embed = page.body["embeds"][0]
        assert embed["title"] == "[CRITICAL] Drill ExchangeDown binance"
        assert "This is a drill with a simulated exchange." in embed["description"]
        assert (end.edit, end.id) == (True, page.id)
        assert end.body["embeds"][0]["title"].startswith("[RESOLVED after ")
        assert f"discord confirmed it, message {page.id}." in paged.output
        assert "token-of-the-hook" not in paged.output
