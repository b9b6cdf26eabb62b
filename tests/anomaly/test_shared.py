"""Several exchanges of one provider that are out together are told as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.outage import shared

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
