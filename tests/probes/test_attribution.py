"""Blame goes where the evidence points, and nowhere while all is well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Lost, Reason
from exporter.probes.attribution import Domain, Site, Symptom, attribute, of_probe, of_stream

CALM = Site(controls=2)
CUT = Site(controls=2, controls_down=2)
LATE = Site(loop_lag=0.4)
SITES = st.builds(
    Site,
    loop_lag=st.floats(0.0, 1.0),
    schedule_lag=st.floats(0.0, 3.0),
    queue_wait=st.floats(0.0, 3.0),
    controls=st.integers(2, 5),
    controls_down=st.integers(0, 2),
)
ANY = st.frozensets(st.sampled_from(Symptom))


@pytest.mark.parametrize(
    ("symptoms", "site", "peers", "unreached", "domain"),
    [
        ({Symptom.ANSWERED}, CALM, 3, 0, Domain.EXCHANGE),
        ({Symptom.ANSWERED, Symptom.UNREACHED}, CUT, 3, 3, Domain.EXCHANGE),
        ({Symptom.UNREACHED}, CALM, 3, 0, Domain.EXCHANGE),
        ({Symptom.UNASKED}, CALM, 3, 0, Domain.SELF),
        ({Symptom.UNASKED, Symptom.UNREACHED}, CUT, 3, 3, Domain.SELF),
        ({Symptom.UNASKED, Symptom.ANSWERED}, CALM, 3, 0, Domain.EXCHANGE),
        ({Symptom.UNREACHED}, CUT, 3, 0, Domain.PATH),
        ({Symptom.UNREACHED}, Site(controls=3, controls_down=1), 3, 0, Domain.EXCHANGE),
        ({Symptom.UNREACHED}, CALM, 3, 2, Domain.PATH),
        ({Symptom.UNREACHED}, CALM, 4, 2, Domain.EXCHANGE),
        ({Symptom.UNREACHED}, CALM, 1, 1, Domain.EXCHANGE),
        ({Symptom.UNREACHED}, LATE, 3, 3, Domain.SELF),
        ({Symptom.UNREACHED}, Site(queue_wait=2.0), 0, 0, Domain.SELF),
        ({Symptom.UNREACHED}, Site(schedule_lag=2.0), 0, 0, Domain.SELF),
        ({Symptom.REFUSED}, CALM, 3, 0, Domain.SELF),
        ({Symptom.REFUSED, Symptom.UNREACHED}, CALM, 3, 0, Domain.EXCHANGE),
    ],
)
def test_worked_cases(
    symptoms: set[Symptom], site: Site, peers: int, unreached: int, domain: Domain
) -> None:
    """Each sentence of the rule, and each of its bounds."""
    assert attribute(symptoms, site, peers=peers, peers_unreached=unreached) is domain


@given(symptoms=ANY, site=SITES, peers=st.integers(0, 9), share=st.floats(0.0, 1.0))
def test_blame_exists_exactly_while_something_fails(
    symptoms: frozenset[Symptom], site: Site, peers: int, share: float
) -> None:
    """However bad our own state, an exchange of which nothing fails is never blamed."""
    domain = attribute(symptoms, site, peers=peers, peers_unreached=int(share * peers))
    assert (domain is None) == (not symptoms)


@given(symptoms=ANY, site=SITES, peers=st.integers(0, 9))
def test_a_wrong_answer_is_never_excused(
    symptoms: frozenset[Symptom], site: Site, peers: int
) -> None:
    """What an exchange itself said cannot be laid to the network."""
    answered = symptoms | {Symptom.ANSWERED}
    assert attribute(answered, site, peers=peers, peers_unreached=peers) is Domain.EXCHANGE


def test_every_reason_tells_something() -> None:
    """No reason is forgotten, and silence is what no answer came for."""
    silent = {reason for reason in Reason if of_probe(reason) is Symptom.UNREACHED}
    assert silent == {
        Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS,
        Reason.READ_TIMEOUT, Reason.UNREACHABLE, Reason.RESET, Reason.CLOSED, Reason.OTHER,
    }  # fmt: skip
    mute = {lost for lost in (None, *Lost) if of_stream(lost) is Symptom.UNREACHED}
    assert mute == {None, Lost.NETWORK, Lost.IDLE, Lost.PING_TIMEOUT}
    assert of_stream(Lost.LOCAL_RESOURCE) is Symptom.UNASKED
