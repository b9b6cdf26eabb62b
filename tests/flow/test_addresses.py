"""Equal addresses: one that works is found whatever failed, and the preferred one comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.addresses import Addresses


class Hosts:
    """Addresses at a time that is set by hand."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.addresses = Addresses("x", names, lambda: self.now, rest=300.0)


@given(
    dead=st.sets(st.integers(0, 4), max_size=4),
    waits=st.lists(st.floats(0.1, 60.0), min_size=5, max_size=40),
)
def test_a_living_address_is_found_within_one_round(dead: set[int], waits: list[float]) -> None:
    """However many of them are dead: each is tried at most once before one that lives."""
    names = [str(number) for number in range(5)]
    hosts = Hosts(*names)
    tried: list[str] = []
    for wait in waits:
        hosts.now += wait
        picked = hosts.addresses.pick()
        tried.append(picked)
        if int(picked) in dead:
            hosts.addresses.failed(picked)
        else:
            hosts.addresses.worked(picked)
    living = next(name for name in names if int(name) not in dead)
    assert living in tried[:5]
    assert len(set(tried[:5])) == tried.index(living) + 1


def test_the_preferred_one_comes_back_after_its_rest() -> None:
    """Dead for a while is not dead for ever."""
    hosts = Hosts("a", "b")
    hosts.addresses.failed(hosts.addresses.pick())
    assert hosts.addresses.pick() == "b"
    hosts.now = 299.0
    assert hosts.addresses.pick() == "b"
    hosts.now = 300.0
    assert hosts.addresses.pick() == "a"


def test_where_all_are_dead_they_take_turns() -> None:
    """Nobody knows which comes back first; what is no address of ours changes nothing."""
    hosts = Hosts("a", "b", "c")
    picked = ""
    for _ in range(7):
        hosts.now += 1.0
        picked += hosts.addresses.pick()
        hosts.addresses.failed(picked[-1])
        hosts.addresses.failed("elsewhere")
    assert picked == "abcabca"
