"""Every mistake earns its complaint, word for word; nothing else is ever thrown."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config, ConfigError, load
from tests.config.fakes import VENUES, complaints, load_text

BAD = sorted((Path(__file__).parent / "bad").glob("*.yml"))
GOOD = "exchanges: [{venue: binance, symbols: [BTC-USDT]}]\n"


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_bad_files_earn_exactly_their_complaints(file: Path) -> None:
    """A bad file's opening comments are all that is said of it, in this order."""
    text = file.read_text()
    opening = takewhile(lambda line: line.startswith("# "), text.splitlines())
    earned = complaints(text, str(file))
    assert [line.removeprefix(f"{file.parent}/") for line in earned] == [
        line.removeprefix("# ") for line in opening
    ]


def _refusal(file: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(file, VENUES, VENUES.__getitem__)
    return caught.value


def test_what_is_no_text_file_is_told_in_one_line(tmp_path: Path) -> None:
    """A missing file, a directory and bytes that are no text are refused with their reason."""
    binary, endless = tmp_path / "binary.yml", tmp_path / "endless.yml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\x00")
    endless.write_bytes(b"#" * (1 << 20) + b"\n")
    wanted = {
        tmp_path / "none.yml": ": cannot be read: No such file or directory",
        tmp_path: ": cannot be read: Is a directory",
        binary: ":2: found bytes that are not UTF-8, expected a text file",
        endless: ": found more than 1 MiB, expected a config file",
    }
    for file, line in wanted.items():
        error = _refusal(file)
        assert error.complaints == (f"{file}{line}",)
        assert error.unreadable


def test_a_mistake_in_the_text_is_not_an_unreadable_file(tmp_path: Path) -> None:
    """Commands tell the two apart by the error alone."""
    file = tmp_path / "c.yml"
    file.write_text("probes: {}\n")
    assert not _refusal(file).unreadable


def test_byte_order_marks_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """A config saved by a Windows editor is the same config."""
    file = tmp_path / "c.yml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(file, VENUES, VENUES.__getitem__) == load_text(GOOD)


def test_complaints_end_where_nobody_would_read_on() -> None:
    """A file of nothing but mistakes is refused quickly, and says that there may be more."""
    found = complaints("\n".join(f"k{n}: 1" for n in range(50_000)))
    assert len(found) == 501
    assert found[-1] == "test.yml: found 500 mistakes, and did not look further"


def test_secrets_never_stand_in_complaints() -> None:
    """What was written where a secret belongs, or into a URL, is not repeated."""
    text = GOOD + (
        "alertmanagers:\n"
        '  - {url: "https://me:hunter2@a.example", bearer_token: hunter2, password: [hunter2]}\n'
    )
    found = complaints(text)
    assert len(found) == 3
    assert "hunter2" not in "".join(found)


KEYS = st.sampled_from(
    """exchanges venue symbols name endpoints path url expect headers env file streams channels book
    probes interval timeout metrics probe_buckets alertmanagers password_file << x""".split()  # noqa: SIM905
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["5s", "10%", "64KiB", "binance", "BTC-USDT", "trades", "https://a.example"]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


def _config_or_complaints(text: str) -> None:
    found: Config | tuple[str, ...]
    try:
        found = load_text(text)
    except ConfigError as error:
        found = error.complaints
    assert found
    if isinstance(found, tuple):
        assert all(line.startswith("test.yml:") and line.isprintable() for line in found)


@given(TREES)
def test_any_tree_is_a_config_or_a_list_of_complaints(tree: object) -> None:
    """No combination of known keys and odd values throws anything else; each line prints safely."""
    _config_or_complaints(yaml.safe_dump(tree, allow_unicode=True))


@given(
    st.text(alphabet=st.sampled_from(list("abx: -[]{}#&*!|>'\"%@`?,\n\t\r\\0~<")) | st.characters())
)
def test_any_text_is_a_config_or_a_list_of_complaints(text: str) -> None:
    """No text throws anything else, whatever YAML makes of it."""
    _config_or_complaints(text)


@given(st.data())
def test_a_wounded_config_is_a_config_or_a_list_of_complaints(data: st.DataObject) -> None:
    """A full config with some characters lost, doubled or swapped is answered, never a crash."""
    text = (Path(__file__).parents[2] / "examples" / "full.yml").read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 30))
        middle = data.draw(st.sampled_from(["", "\n", ": ", "- ", "*a", text[at : at + 1] * 2]))
        text = text[:at] + middle + text[at + length :]
    _config_or_complaints(text)


def test_a_space_that_is_none_is_named() -> None:
    """Text copied from a web page may have no-break spaces, which nobody sees."""
    (line,) = complaints("exchanges:\u00a0[{venue: binance, symbols: [BTC-USDT]}]\n")
    assert line.endswith("; column 11 has a no-break space (U+00A0) instead of a plain space")
    (line,) = complaints("exchanges: [{venue: binance]\n")
    assert "column" not in line
