"""Editors are told the same as the reader knows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from exporter.cli import schema
from exporter.config import json_schema, tree
from tests.config.fakes import VENUES
from tests.config.nodes import plain

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE.parents[1] / "examples").glob("[fm]*.yml"))  # relay.yml has its own schema
VALIDATOR = Draft202012Validator(json_schema(VENUES))
# What lies between keys, in YAML's spelling, or in the world is beyond a schema.
BEYOND = {
    "audits",
    "authorities",
    "breaker_order",
    "duplicates",
    "endless_alias",
    "laughs",
    "placeholders",
    "status_pages",
    "patterns",
    "regions",
    "tabs",
    "two_documents",
    "weights",
}
BEYOND |= {"unclosed", "control_characters", "tags", "deep", "empty"}


def test_the_committed_schema_is_what_the_code_says() -> None:
    """A key, a bound, a default or a venue that changes, changes the schema file too."""
    assert (HERE.parents[1] / "exporter" / "config.schema.json").read_text() == schema.text(
        "config"
    ), "stale: run `make generate`"


def test_the_schema_is_one() -> None:
    """It obeys the meta-schema of its draft."""
    Draft202012Validator.check_schema(json.loads(schema.text("config")))


@pytest.mark.parametrize("which", ["config", "relay"])
def test_patterns_are_those_of_go(which: str) -> None:
    """Helm compiles every pattern with Go's regexp, which repeats a thousand times at most."""
    counts = [
        int(number)
        for pattern in re.findall(r'"pattern": "(.*)"', schema.text(which))
        for number in re.findall(r"\{\d*,?(\d+)\}", pattern)
    ]
    assert counts
    assert max(counts) <= 1000


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_satisfy_the_schema(file: Path) -> None:
    """An editor marks nothing in what we show."""
    assert not list(VALIDATOR.iter_errors(plain(tree.read(file.read_text()))))


@pytest.mark.parametrize(
    "file",
    [file for file in sorted((HERE / "bad").glob("*.yml")) if file.stem not in BEYOND],
    ids=lambda file: file.stem,
)
def test_bad_files_break_the_schema(file: Path) -> None:
    """What a schema can say, an editor marks before the program is asked."""
    assert list(VALIDATOR.iter_errors(plain(tree.read(file.read_text()))))
