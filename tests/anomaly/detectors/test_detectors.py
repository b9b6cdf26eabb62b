"""What holds for every detector of the room, found by name; and for the bank that runs them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.anomaly.bank import PIECE, Bank
from exporter.anomaly.detectors import every, load, names
from exporter.signals import Floats, Series

EVERY = pytest.mark.parametrize("name", every())
_any_float = st.floats(allow_nan=True, allow_infinity=True)
_streams = arrays(np.float64, st.tuples(st.integers(1, 90), st.just(3)), elements=_any_float)


def _bank(*which: str, n: int = 3) -> Bank:
    return Bank([Series("acme", f"s{i}") for i in range(n)], {k: load(k) for k in which})


def _run(bank: Bank, stream: Floats, start: int = 0) -> Floats:
    return np.array([bank.tick(row, 300.0 * (start + i)).score for i, row in enumerate(stream)])


def test_detectors_are_found_by_name() -> None:
    """A detector is a file: nothing else is needed."""
    assert names() == ("ensemble", "iqr", "rolling_mean", "zscore")
    assert {"cusum", "rate_of_change", "robust_z"} <= set(every())
    with pytest.raises(KeyError):
        load("bank")


def test_importing_the_detectors_leaves_heavy_modules_alone() -> None:
    """scipy.stats alone would cost more memory than the whole exporter may."""
    code = (
        "import sys; from exporter.anomaly.detectors import every, load, names\n"
        "[load(n) for n in every()]; print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@EVERY
@settings(max_examples=25)
@given(stream=_streams)
def test_no_series_makes_it_raise_or_give_anything_but_a_finite_score(
    name: str, stream: Floats
) -> None:
    """NaN, infinities and extremes go in; numbers from zero up come out."""
    scores = _run(_bank(name), stream)
    assert np.isfinite(scores).all()
    assert (scores >= 0.0).all()


@EVERY
def test_a_flat_series_is_silent(name: str) -> None:
    """No change, no score."""
    assert not _run(_bank(name), np.full((200, 3), 0.1)).any()


@EVERY
def test_a_gap_is_not_a_zero(name: str) -> None:
    """A series with holes scores as the same series without them, and 0.0 in the holes."""
    stream = np.random.default_rng(3).normal(5.0, 1.0, size=(150, 3))
    holes = np.zeros(300, dtype=bool)
    holes[1::2] = True
    sparse = np.full((300, 3), np.nan)
    sparse[~holes] = stream
    bank, scores, measured = _bank(name), [], []
    for i, row in enumerate(sparse):
        tick = bank.tick(row, 150.0 * i)
        scores.append(tick.score)
        measured.append(tick.measured.all())
    assert measured == list(~holes)
    np.testing.assert_allclose(np.array(scores)[~holes], _run(_bank(name), stream))
    assert not np.array(scores)[holes].any()


@EVERY
def test_series_do_not_look_at_each_other(name: str) -> None:
    """A row scores the same alone as among others: one configuration serves all."""
    stream = np.random.default_rng(4).normal(0.0, 1.0, size=(150, 3))
    together = _run(_bank(name), stream)
    alone = _run(_bank(name, n=1), stream[:, 1:2])
    np.testing.assert_array_equal(together[:, :, 1:2], alone)


@EVERY
def test_a_restart_in_mid_series_changes_no_score(name: str) -> None:
    """What was learnt survives as bytes, to the last bit."""
    stream = np.random.default_rng(5).normal(0.0, 1.0, size=(160, 3))
    whole = _run(_bank(name), stream)
    first, second = _bank(name), _bank(name)
    _run(first, stream[:80])
    second.restore(first.dump())
    np.testing.assert_array_equal(_run(second, stream[80:], start=80), whole[80:])


@EVERY
def test_memory_per_series_is_bounded(name: str) -> None:
    """A few kilobytes a series, and it never grows."""
    memory = load(name).begin(10)
    assert sum(array.nbytes for array in memory.values()) <= 10 * 4096
    assert all(array.shape[0] == 10 for array in memory.values())
    assert "seen" in memory


def _guarded(patience: int = 600) -> Bank:
    detectors = {name: load(name) for name in ("zscore", "ensemble")}
    return Bank([Series("acme", "s")], detectors, guard="ensemble", patience=patience)


def test_an_incident_is_not_learnt() -> None:
    """While values are anomalous what is usual stands still, and tails learn little."""
    stream = np.random.default_rng(6).normal(10.0, 1.0, size=(400, 1))
    bank = _guarded()
    _run(bank, stream)
    center = bank.band("ensemble", 0.0)[1]
    during = _run(bank, np.full((300, 1), 40.0), start=400)
    assert (during[:, 1] > 1.0).all()
    np.testing.assert_array_equal(bank.band("ensemble", 0.0)[1], center)


def test_a_lone_outlier_is_learnt_once_calm_returns() -> None:
    """Spikes that belong to a series surprise less each time."""
    noise = np.random.default_rng(8).normal(10.0, 1.0, size=(1500, 1))
    noise[300::50] += 30.0
    scores = _run(_guarded(), noise)[300::50, 1, 0]
    assert scores[0] > 1.0
    assert scores[-1] < 0.5 * scores[0]


def test_a_new_normal_is_accepted_when_patience_ends() -> None:
    """A series that moved for good becomes quiet again: frozen is not forever."""
    rng = np.random.default_rng(9)
    bank = _guarded(patience=100)
    _run(bank, rng.normal(10.0, 1.0, size=(400, 1)))
    scores = _run(bank, rng.normal(40.0, 1.0, size=(600, 1)), start=400)[:, 1, 0]
    assert (scores[:100] > 0.7).all()
    assert scores[-100:].max() < 1.0


def test_all_detectors_together_fit_in_four_kilobytes_a_series() -> None:
    """The bound on memory is for the whole bank, not for each detector."""
    memories = [load(name).begin(100) for name in every()]
    assert sum(a.nbytes for memory in memories for a in memory.values()) <= 100 * 4096


def test_readiness_comes_with_the_minimum() -> None:
    """No alerts in warm-up: each row becomes ready by its own values, gaps not counted."""
    bank = _bank("zscore", n=2)
    for i in range(load("zscore").minimum):
        ready = bank.tick(np.array([1.0 + i, np.nan]), float(i)).ready
        assert not ready.any()
    assert bank.tick(np.array([1.0, 1.0]), 99.0).ready.tolist() == [[True, False]]


def test_a_reload_keeps_what_known_series_learnt() -> None:
    """Series that stay keep their memory, in any order; new ones begin at the beginning."""
    stream = np.random.default_rng(8).normal(0.0, 1.0, size=(100, 3))
    bank, reference = _bank("zscore"), _bank("zscore")
    _run(bank, stream)
    _run(reference, stream)
    a, _, c = bank.series
    bank.keep([c, Series("new", "s"), a])
    tick = bank.tick(np.array([9.0, 9.0, 8.0]), 0.0)
    expected = reference.tick(np.array([8.0, 0.0, 9.0]), 0.0).score[0]
    np.testing.assert_array_equal(tick.score[0], [expected[2], 0.0, expected[0]])
    assert tick.ready[0].tolist() == [True, False, True]


def test_large_ticks_can_be_done_in_bites() -> None:
    """The event loop gets its turn between bites, and the result is the same."""
    n = 9000
    bank, whole = _bank("zscore", n=n), _bank("zscore", n=n)
    stream = np.random.default_rng(9).normal(size=(30, n))
    for row in stream:
        bites = list(bank.steps(row, 0.0))
        np.testing.assert_array_equal(bites[-1].score, whole.tick(row, 0.0).score)
    assert len(bites) > 1


def test_torn_old_and_foreign_states_are_refused() -> None:
    """Bad bytes say what is wrong with them and change nothing."""
    bank = _bank("zscore", "iqr")
    _run(bank, np.random.default_rng(1).normal(size=(50, 3)))
    good = bank.dump()
    for blob, complaint in [
        (b"", "another version"),
        (b"not a state", "another version"),
        (good.replace(b"detectors 3", b"detectors 2", 1), "another version"),
        (good[:-1], "checksum"),
        (_bank("zscore").dump(), "other detectors"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            bank.restore(blob)
    assert bank.dump() == good


def test_every_flipped_byte_of_a_state_is_noticed() -> None:
    """Disks lie; what was learnt is taken up whole or not at all."""
    bank = _bank("rolling_mean", n=1)
    good = bank.dump()
    for i in range(len(good)):
        with pytest.raises(ValueError, match="detector state"):
            bank.restore(good[:i] + bytes([good[i] ^ 0x20]) + good[i + 1 :])
    assert bank.dump() == good


def test_an_incident_survives_a_restart_of_the_bank() -> None:
    """What is put aside is state too: scores go on as if nothing had happened."""
    stream = np.random.default_rng(12).normal(10.0, 1.0, size=(500, 1))
    stream[300:330] += 30.0
    stream[400] += 30.0
    whole = _run(_guarded(), stream)
    for cut in (310, 401):
        first, second = _guarded(), _guarded()
        _run(first, stream[:cut])
        second.restore(first.dump())
        np.testing.assert_array_equal(_run(second, stream[cut:], start=cut), whole[cut:])


def test_an_empty_bank_ticks() -> None:
    """An exporter without series is legal."""
    bank = _bank("zscore", n=0)
    assert bank.tick(np.zeros(0), 0.0).score.shape == (1, 0)
    with pytest.raises(ValueError, match="expected 0 values"):
        bank.tick(np.zeros(2), 0.0)


def test_a_dump_is_made_in_bites() -> None:
    """Whatever the number of series, a bite copies 256 KiB or a thousand names."""
    bank = Bank([Series(f"x{i}", "s") for i in range(2500)], {"zscore": load("zscore")})
    rng = np.random.default_rng(7)
    for i in range(30):
        bank.tick(rng.normal(size=2500), float(i))
    pieces = list(bank.pieces())
    assert sum(map(len, pieces)) > 4 * PIECE
    assert max(map(len, pieces)) <= PIECE
    assert max(piece.count(b'"x') for piece in pieces) == 1000
    again = Bank(bank.series, bank.detectors)
    again.restore(b"".join(pieces))
    values = rng.normal(size=2500)
    np.testing.assert_array_equal(again.tick(values, 30.0).score, bank.tick(values, 30.0).score)
