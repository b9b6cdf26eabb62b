"""A command that finds nothing to do, or cannot do what it is asked, says so and fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.__main__ import main
from exporter.flow import dead_letters
from exporter.flow.dead_letters import DeadLetter

QUIET = "exchanges: [{venue: binance, symbols: [BTC-USDT], streams: []}]\n"
ASKED: tuple[tuple[list[str], int, str], ...] = (
    (["simulate", "--symbols=BTCUSDT"], 2, "did you mean BTC-USDT?"),
    (["simulate", "--symbols=BTC-USDT,x"], 2, "found 'x', expected an instrument"),
    (["replay", "{}/empty"], 1, "No segment of a capture"),
    (["replay", "{}/empty", "--summary=json"], 1, "No segment of a capture"),
    (["replay", "{}/blank.txt"], 1, "the recording is empty"),
    (["replay", "{}/blank.txt", "--summary=json"], 1, "the recording is empty"),
    (["replay", "{}/blank.txt", "--drop-every=one"], 2, "expected a number of 2 or more"),
    (["backtest", "{}/empty"], 1, "No segment of a capture"),
    (["backtest", "{}/empty", "--days=3"], 2, "--days requires --own-incidents"),
    (["backtest", "--own-incidents", "--grace=3"], 2, "--grace requires FILE"),
    (["backtest", "--own-incidents", "--signal=spread"], 2, "--signal requires FILE"),
    (["deadletters", "list", "--storage.path={}/none"], 2, "no such directory"),
    (["deadletters", "replay", "--storage.path={}/none"], 2, "no such directory"),
    (["deadletters", "purge", "--storage.path={}/none"], 2, "no such directory"),
    (["deadletters", "list", "x", "--storage.path={}/empty"], 2, "takes no name"),
    (["deadletters", "replay", "0.7", "--storage.path={}/empty"], 2, "no letter 0.7"),
    (["deadletters", "purge", "--exchange=okx", "--storage.path={}"], 2, "does not apply"),
    (["deadletters", "list", "--storage.path={}/empty"], 0, "no dead letters in"),
    (["deadletters", "list", "--exchange=x", "--storage.path={}"], 0, "no dead letters of x"),
    (["capture", "--config.file={}/quiet.yml", "--out={}/out"], 2, "no streams to record"),
    (["rehearse", "--times=0"], 2, "expected a number from 1"),
    (
        ["replay", "--speed=fast", "x"],
        2,
        "--speed: found 'fast', expected max, or 0.001 to 1000000",
    ),
    (["demo", "--seed=one"], 2, "--seed: found 'one', expected a whole number"),
    (["backtest", "x", "--grace=long"], 2, "--grace: found 'long', expected a number"),
    (["replay", "{}/none"], 1, "replay: {}/none: No such file or directory"),
    (
        ["export", "{}/empty", "--out={}/blank.txt"],
        1,
        "export: {}/blank.txt: exists already, as a file",
    ),
    (
        ["capture", "--config.file={}/feed.yml", "--out={}/blank.txt"],
        1,
        "blank.txt: exists already, as a file",
    ),
    (
        ["init", "--exchanges=okx", "--out={}/blank.txt"],
        2,
        "init: {}/blank.txt: exists already, as a file",
    ),
    (["rules", "--out={}/blank.txt"], 2, "blank.txt: exists already, as a file"),
    (["rules", "--out="], 2, "argument --out: found nothing, expected a path"),
    (["run", "--config.file="], 2, "argument --config.file: found nothing, expected a path"),
    (["run", "{}/feed.yml"], 2, "feed.yml', expected --config.file={}/feed.yml"),
    (["replay", "{}/words.txt"], 1, "words.txt: no line has a frame: expected a capture, or"),
    (["gate", "explain", "--url=http://127.0.0.1:9"], 2, "http://127.0.0.1:9: Connection refused"),
    (["report", "--url=x"], 2, "unknown flag '--url' (try"),
    (["simulate", "--venues=binanse"], 2, "simulate: --venues: unknown 'binanse'; did you mean"),
    (
        ["simulate", "--venues=okx", "--listen-address=no-host.invalid:0"],
        2,
        "simulate: cannot listen on no-host.invalid:0: ",
    ),
    (
        ["migrate", "blackbox", "--modules={}/none", "--targets={}/none"],
        2,
        "migrate: {}/none: No such file or directory",
    ),
    (
        ["migrate", "blackbox", "--modules={}/binary", "--targets={}/none"],
        2,
        "binary: found bytes that are not UTF-8, expected a text file",
    ),
    (["page-me", "--telegram=1:a"], 2, "--to=RECIPIENT: the number of a chat, such as -1001234"),
    (["page-me", "--line=x", "--to=me"], 2, "a user, group or room: U, C or R and 32 characters"),
    (["rehearse", "--rules={}/empty"], 2, "rehearsals/exchanges.yml: No such file or directory"),
    (
        ["run", "--config.file={}/feed.yml", "--storage.path={}/blank.txt"],
        2,
        "it is a file, expected a directory",
    ),
    (
        ["run", "--config.file={}/feed.yml", "--web.listen-address=x.invalid:1"],
        2,
        "on x.invalid:1: Name or service not known",
    ),
)


@pytest.mark.parametrize(("words", "status", "said"), ASKED, ids=lambda each: str(each)[:60])
def test_nothing_succeeds_in_silence(
    words: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What there is not, or what does not go together, is named on standard error."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n")
    (tmp_path / "words.txt").write_text("a\nb: c\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "quiet.yml").write_text(QUIET)
    (tmp_path / "feed.yml").write_text("exchanges: [{venue: binance, symbols: [BTC-USDT]}]\n")
    kept = dead_letters.writer(tmp_path / "deadletters")
    kept.append(
        dead_letters.encode(
            DeadLetter(
                time=1.0,
                exchange="okx",
                venue="okx",
                stream="market",
                reason="wrong",
                frame=b"{",
                size=1,
            )
        )
    )
    kept.close()
    try:
        found = main([word.replace("{}", str(tmp_path)) for word in words])
    except SystemExit as error:
        found = int(str(error.code))
    assert found == status
    complaint = capsys.readouterr().err
    assert said.replace("{}", str(tmp_path)) in complaint
    assert "Errno" not in complaint
    assert list(dead_letters.read(tmp_path / "deadletters")), "something was removed"


def test_a_timeout_that_the_interval_cuts_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A probe ends with its interval at the latest; who wrote a longer timeout is told."""
    file = tmp_path / "c.yml"
    file.write_text("probes: {interval: 1s, timeout: 5s}\n" + QUIET)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "probes of ping, time, status time out after their interval" in said
    assert "shorter than probes.timeout, 5s" in said
    file.write_text("probes: {interval: 5s, timeout: 5s}\n" + QUIET)
    assert main(["check", str(file)]) == 0
    assert "time out after" not in capsys.readouterr().out


def test_a_spill_without_a_storage_path_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` does not call good without a word what `run` refuses without a flag."""
    file = tmp_path / "c.yml"
    file.write_text("streams: {queue_policy: spill}\n" + QUIET)
    assert main(["check", str(file)]) == 0
    assert "without --storage.path" in capsys.readouterr().out
