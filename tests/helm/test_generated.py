"""What the chart holds of the project's files is what the project holds now."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import ROOT
from tests.helm.engine import CHART, generator


def test_nothing_is_stale() -> None:
    """Rules, dashboards, the values' schema and the README's tables are as generated."""
    module = generator()
    texts = module.written()
    stale = [
        str(path.relative_to(CHART))
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run make generate"
    assert module.surplus(texts) == [], "run make generate"


def test_everything_is_taken() -> None:
    """Every rule file and every dashboard of the project is in the chart."""
    rules = {file.name for file in (ROOT / "alert_rules").glob("*.yml")} - {"alertmanager.yml"}
    pages = {file.name for file in (ROOT / "dashboards" / "json").glob("*.json")}
    assert {file.name for file in (CHART / "files" / "rules").iterdir()} == rules != set()
    assert {file.name for file in (CHART / "files" / "dashboards").iterdir()} == pages != set()


def test_a_value_without_words_is_refused() -> None:
    """A value that nobody describes does not get into the schema unseen."""
    module = generator()
    with pytest.raises(SystemExit, match=r"values.yaml:3: b has no comment"):
        list(module.documented("# -- One.\na: 1\nb: 2\n"))


def test_reads_comments_and_defaults() -> None:
    """Kinds, texts of several lines, nesting and defaults are read as they stand."""
    module = generator()
    text = "x:\n  # -- (a|b) First\n  # and second.\n  y: a\n"
    text += "  # -- (objects) List.\n  z:\n    - {k: 1}\n"
    first, second = module.documented(text)
    assert (first.path, first.kind, first.text, first.default) == (
        ("x", "y"), "a|b", "First and second.", "a",
    )  # fmt: skip
    assert (second.path, second.default) == (("x", "z"), [{"k": 1}])
    assert module.kind_schema(first)["enum"] == ["a", "b"]


def test_schema_suits_every_helm() -> None:
    """Draft 7 and Go's regular expressions: nothing beside $ref, no lookahead, no newer keyword."""
    text = (CHART / "values.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                assert set(node) == {"$ref"}
                assert node["$ref"].removeprefix("#/definitions/") in schema["definitions"]
            assert not {"$defs", "prefixItems", "unevaluatedProperties"} & set(node)
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(schema)
    assert not re.search(r"\(\?[=!<]", text)
