"""docs/any-exchange.md, followed from its own text against the made-up exchange."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.runtime.acme import Acme, serving
from tests.runtime.running import wait_metrics, wait_until
from tests.runtime.test_defined_venue import watching

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "any-exchange.md").read_text()
HEAD = "anomaly: {tick: 100ms}\n"


def blocks(language: str) -> list[str]:
    """Return the page's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def written(folder: Path, host: str) -> dict[str, Path]:
    """Write the page's files, with the made-up exchange's real address."""
    files = {}
    for text in blocks("yaml"):
        name = text.split("\n")[0].removeprefix("# ")
        text = text.replace("https://api.acme.example", f"http://{host}")
        text = text.replace("wss://stream.acme.example/v1", f"ws://{host}/stream/v1")
        files[name] = folder / name
        files[name].write_text(text)
    return files


def test_the_page_leads_from_a_sample_to_a_watched_exchange(tmp_path: Path) -> None:
    """Each command of the page does what it says there, and the config is watched."""

    async def main() -> None:
        async with serving(Acme(1.0)) as host:
            for command in "".join(blocks("sh")).splitlines():
                if "venue new" not in command:
                    written(tmp_path, host)
                program, *arguments = shlex.split(command)
                assert program == "exchange-exporter"
                done = await asyncio.to_thread(
                    subprocess.run,
                    [sys.executable, "-m", "exporter", *arguments],
                    cwd=tmp_path,
                    env={"PYTHONPATH": str(ROOT), "PATH": ""},
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                said = done.stdout[-1500:] + done.stderr
                # The page's addresses are encrypted; those of the test are not, and are told of.
                plain = [line for line in done.stderr.splitlines() if "://127.0.0.1" not in line]
                assert done.returncode == 0 or ("check acme" in command and not plain), said
            async with watching(written(tmp_path, host)["config.yml"]) as (_, running):
                price = 'exchange_mid_price{exchange="acme",symbol="BTC-USDT"}'
                await wait_metrics(running, lambda seen: seen.get(price, 0.0) > 0.0)

    asyncio.run(asyncio.wait_for(main(), 110.0))


def test_services_of_the_page_are_watched(tmp_path: Path) -> None:
    """Its HTTP service and its WebSocket work as they stand there."""

    async def main() -> None:
        async with serving(Acme(1.0)) as host:
            files = written(tmp_path, host)
            async with watching(files["services.yml"]) as (app, _):
                (custody,) = app.exchanges
                await wait_until(lambda: custody.begun)
                ends = custody.probing.endpoints.values()
                assert {each.target.endpoint: each.last and each.last.ok for each in ends} == {
                    "health": True,
                    "time": True,
                    "ask": True,
                }
            async with watching(files["feed.yml"]) as (app, program):
                names = 'exchange="acme-feed",channel="messages",kind="data"'
                count = f"exchange_stream_messages_total{{{names}}}"
                await wait_metrics(program, lambda seen: seen.get(count, 0.0) > 5.0)

    asyncio.run(asyncio.wait_for(main(), 110.0))
