"""Venues that are unknown or wrongly defined: what of a config is followed all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli import _venues
from exporter.config import Config, ConfigError

ACME = (Path(__file__).parents[1] / "venues" / "definitions" / "acme.yml").read_text()
BROKEN = ACME.replace("price: p", "prize: p")
ROW = "  - {venue: acme, symbols: [BTC-USDT]}\n"
OTHERS = "exchanges:\n  - {venue: kraken, symbols: [BTC-USD]}\n"
UP = "  - {name: up, venue: http, endpoints: [{name: up, url: 'http://127.0.0.1/'}]}\n"


def refused(file: Path, before: Config | None = None, folder: Path | None = None) -> ConfigError:
    """Return why a config file is refused."""
    with pytest.raises(ConfigError) as error:
        _venues.load(str(file), folder, before)
    return error.value


def written(folder: Path, config: str, **definitions: str) -> Path:
    """Write a config file and definitions beside it."""
    for name, text in definitions.items():
        (folder / f"{name}.yml").write_text(text)
    file = folder / "config.yml"
    file.write_text(config)
    return file


def names(config: Config | None) -> list[str]:
    """Return the names of a config's exchanges."""
    assert config is not None
    return [each.name for each in config.exchanges]


@pytest.mark.parametrize("acme", [BROKEN, "name: [", "", None], ids=["key", "yaml", "empty", "no"])
def test_a_definition_that_was_never_good_is_left_out(acme: str | None, tmp_path: Path) -> None:
    """The exchange that names it is not there; all others are, whatever is wrong with the file."""
    files = {} if acme is None else {"acme": acme}
    file = written(tmp_path, f"venue_files: acme.yml\n{OTHERS}{ROW}", **files)
    error = refused(file)
    assert error.excused == ("acme",)
    assert names(error.instead) == ["kraken"]
    assert "venue_files: " in error.complaints[0]


def test_two_files_of_which_one_is_wrong(tmp_path: Path) -> None:
    """The good one is followed."""
    good = ACME.replace("name: acme", "name: other")
    config = f"venue_files: [acme.yml, other.yml]\n{OTHERS}{ROW}  - {{venue: other, streams: []}}\n"
    error = refused(written(tmp_path, config, acme=BROKEN, other=good))
    assert (names(error.instead), error.excused) == (["kraken", "other"], ("acme",))


def test_an_unknown_venue_stays_as_it_was(tmp_path: Path) -> None:
    """A slip in a venue's name costs nothing but the change of that exchange."""
    file = written(tmp_path, OTHERS + UP)
    before, _ = _venues.load(str(file), None)
    file.write_text(OTHERS.replace("kraken", "krakn") + UP.replace("name: up,", "name: new,"))
    error = refused(file, before)
    assert (names(error.instead), error.excused) == (["new"], ("krakn",))
    named = OTHERS.replace("{venue: kraken", "{name: kraken, venue: krakn")
    file.write_text(named + UP.replace("name: up,", "name: new,"))
    error = refused(file, before)
    assert error.instead is not None
    assert error.instead.exchanges[0] == before.exchanges[0]
    assert (names(error.instead), error.excused) == (["kraken", "new"], ("kraken",))


def test_a_definition_that_goes_away_or_breaks_stays_as_it_was(tmp_path: Path) -> None:
    """Its file deleted, broken, or no longer listed: the exchange keeps the definition it has."""
    listed = f"venue_files: acme.yml\n{OTHERS}{ROW}"
    file = written(tmp_path, listed, acme=ACME)
    before, _ = _venues.load(str(file), None)
    for config, acme in ((listed, None), (listed, BROKEN), (OTHERS + ROW, ACME)):
        (tmp_path / "acme.yml").unlink()
        error = refused(
            written(tmp_path, config, **({} if acme is None else {"acme": acme})), before
        )
        (tmp_path / "acme.yml").write_text(ACME)
        assert error.instead is not None
        assert error.instead.exchanges == before.exchanges
        assert [each.edition for each in error.instead.venue_files] == [
            before.venue_files[0].edition
        ]


def test_a_definition_that_its_exchange_no_longer_fits(tmp_path: Path) -> None:
    """Where a changed definition has no book any more, who asks for one stays as it was."""
    row = ROW.replace("]}", "], streams: [{name: all, channels: [book], book: true}]}")
    file = written(tmp_path, f"venue_files: acme.yml\n{OTHERS}{row}", acme=ACME)
    before, _ = _venues.load(str(file), None)
    without = ACME[: ACME.index("  book:\n")]
    error = refused(
        written(tmp_path, f"venue_files: acme.yml\n{OTHERS}{row}", acme=without), before
    )
    assert "exchanges[1]" in error.complaints[0]
    assert error.instead is not None
    assert error.instead.exchanges == before.exchanges


def test_one_name_in_two_files(tmp_path: Path) -> None:
    """The first counts, and the second is told of."""
    config = f"venue_files: [acme.yml, again.yml]\n{OTHERS}{ROW}"
    error = refused(written(tmp_path, config, acme=ACME, again=ACME))
    assert (names(error.instead), error.excused) == (["kraken", "acme"], ())


def test_a_wrong_definition_of_the_folder(tmp_path: Path) -> None:
    """As one that the config lists."""
    folder = tmp_path / "venues"
    folder.mkdir()
    (folder / "acme.yml").write_text(BROKEN)
    error = refused(written(tmp_path, OTHERS + ROW), None, folder)
    assert (names(error.instead), error.excused) == (["kraken"], ("acme",))
    assert error.complaints[1].startswith(f"{folder}/acme.yml:")


def test_a_gate_of_what_is_left_out_is_kept(tmp_path: Path) -> None:
    """It asks for what nobody knows, and so stays closed."""
    gate = "gates: [{name: trade, exchanges: [kraken, acme], needs: [probe]}]\n"
    file = written(tmp_path, f"venue_files: acme.yml\n{OTHERS}{ROW}{gate}", acme=BROKEN)
    error = refused(file)
    assert error.instead is not None
    assert error.instead.gates[0].exchanges == ("kraken", "acme")


def test_a_gate_may_need_the_clock_of_a_defined_venue(tmp_path: Path) -> None:
    """Which endpoints tell the time is looked up in the definition."""
    gate = "gates: [{name: trade, exchanges: [acme], needs: [probe, clock]}]\n"
    file = written(tmp_path, f"venue_files: acme.yml\nexchanges:\n{ROW}{gate}", acme=ACME)
    config, _ = _venues.load(str(file), None)
    assert config.gates[0].needs == ("probe", "clock")


@pytest.mark.parametrize(
    "config",
    [
        f"venue_files: acme.yml\nexchanges:\n{ROW}",  # nothing would be left
        f"venue_files: acme.yml\nsurprise: 1\n{OTHERS}{ROW}",  # another mistake
        f"venue_files: acme.yml\n{OTHERS}{ROW}  - 7\n",
    ],
)
def test_all_is_refused(config: str, tmp_path: Path) -> None:
    """Where nothing could run, or more is wrong than venues."""
    assert refused(written(tmp_path, config, acme=BROKEN)).instead is None
