"""Several exchanges of one provider that are out together are told as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.outage import awaited, shared

PROVIDERS = {"a": "p", "b": "p", "c": "p", "d": "q", "e": "q", "f": "r"}


def test_two_and_more_than_half_are_one() -> None:
    """Two of three are, one of two and one of one are not, nor two at different providers."""
    assert shared({"a", "b"}, PROVIDERS) == {"a": "p", "b": "p"}
    assert shared({"a"}, PROVIDERS) == {}
    assert shared({"a", "d", "f"}, PROVIDERS) == {}
    assert shared({"a", "b", "d", "e", "other"}, PROVIDERS) == dict(
        zip("abde", "ppqq", strict=True)
    )
    assert shared({"a", "b"}, {**PROVIDERS, "g": "p"}) == {}


@given(
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=1), st.sampled_from("pq")),
    st.sets(st.text("abcdefgh", min_size=1, max_size=1)),
)
def test_nobody_is_named_who_is_not_out(providers: dict[str, str], out: set[str]) -> None:
    """Only those that are out are in it, each by its own provider, and never one alone."""
    found = shared(out, providers)
    assert found.keys() <= out
    for name, provider in found.items():
        assert providers[name] == provider
        assert sum(each == provider for each in found.values()) > 1


@pytest.mark.parametrize(
    ("suspects", "waits"),
    [
        ({"b"}, True),
        ({"a"}, False),
        ({"d"}, False),
        ({"x"}, False),
        ({"d", "c"}, True),
        (set(), False),
    ],
)
def test_one_waits_for_what_is_known_of_others_at_its_provider(
    suspects: set[str], waits: bool
) -> None:
    """For another of the same provider that may be out, and for nobody else."""
    assert awaited("a", suspects, PROVIDERS) is waits
    assert not awaited("x", suspects, PROVIDERS)
