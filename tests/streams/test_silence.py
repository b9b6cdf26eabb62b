"""Silences held against what REST says of the market."""

from __future__ import annotations

from exporter.model import MarketState, SilenceVerdict
from exporter.streams.silence import CrossChecked

EVERY, FLOOR, USUAL = 10.0, 5.0, 60.0


def silent(since: float = 100.0) -> CrossChecked:
    """Return a subscription that was asked for at ``since`` and has brought nothing."""
    checked = CrossChecked(EVERY)
    checked.update(0, since)
    return checked


def test_it_is_asked_about_after_enough_silence_and_not_too_often() -> None:
    """Longer than patience, and once in `every` seconds."""
    checked = silent()
    assert not checked.due(105.0, FLOOR)
    assert checked.due(105.1, FLOOR)
    checked.judge(None, 105.1, 0.0)
    assert not checked.due(115.0, FLOOR)
    assert checked.due(115.2, FLOOR)


def test_a_trade_after_the_silence_began_is_proof() -> None:
    """By the venue's clock, and not by a trade that both clocks may place before it."""
    checked = silent()
    before = MarketState(state=(7,), time=101.0)
    assert checked.judge(before, 106.0, 0.0) is SilenceVerdict.QUIET
    after = MarketState(state=(7,), time=104.0)
    assert silent().judge(after, 106.0, 0.0) is SilenceVerdict.MOVED
    assert (
        silent().judge(after, 106.0, 3.0) is SilenceVerdict.QUIET
    )  # the venue's clock is 3 s ahead


def test_without_a_time_two_glances_are_compared() -> None:
    """One proves nothing; another state is a move, the same is none."""
    checked = silent()
    assert checked.judge(MarketState(state=("1.0",)), 106.0, 0.0) is None
    assert checked.judge(MarketState(state=("1.0",)), 116.0, 0.0) is SilenceVerdict.QUIET
    assert checked.judge(MarketState(state=("1.1",)), 126.0, 0.0) is SilenceVerdict.MOVED


def test_a_market_that_moved_leaves_the_floor() -> None:
    """Until data comes: neither asking again, nor no answer, nor calm afterwards takes it back."""
    checked = silent()
    assert checked.stale_after(USUAL, FLOOR, 100.0) == USUAL
    checked.judge(MarketState(state=(1,), time=110.0), 112.0, 0.0)
    assert checked.stale_after(USUAL, FLOOR, 100.0) == FLOOR
    checked.update(0, 113.0)  # subscribed again
    assert checked.judge(None, 122.0, 0.0) is SilenceVerdict.UNKNOWN
    checked.judge(MarketState(state=(1,), time=110.0), 132.0, 0.0)
    assert checked.stale_after(USUAL, FLOOR, 100.0) == FLOOR
    checked.update(1, 133.0)
    assert checked.verdict is None
    assert checked.stale_after(USUAL, FLOOR, 133.0) == USUAL


def test_a_market_that_is_quiet_is_never_called_stale_for_it() -> None:
    """For as long as REST is asked, and no longer than three turns after."""
    checked = silent()
    for turn in range(20):
        now = 106.0 + turn * EVERY
        checked.judge(MarketState(state=(1,), time=50.0), now, 0.0)
        assert now + 2.9 * EVERY - 100.0 < checked.stale_after(USUAL, FLOOR, 100.0)
    assert (
        checked.judge(None, now + EVERY, 0.0) is SilenceVerdict.UNKNOWN
    )  # one answer less changes nothing
    assert checked.stale_after(USUAL, FLOOR, 100.0) == now - 100.0 + 3 * EVERY


def test_what_came_before_subscribing_again_is_no_proof() -> None:
    """A state that changed while nobody was subscribed says nothing of the new subscription."""
    checked = silent()
    checked.judge(MarketState(state=("1.0",)), 106.0, 0.0)
    checked.update(0, 110.0)
    assert checked.judge(MarketState(state=("1.1",)), 116.0, 0.0) is None


def test_a_lost_connection_owes_nothing() -> None:
    """Its silence is another matter, and its verdict is taken back."""
    checked = silent()
    checked.judge(MarketState(state=(1,), time=110.0), 112.0, 0.0)
    checked.reset()
    assert checked.verdict is None
    assert checked.stale_after(USUAL, FLOOR, 100.0) == USUAL
