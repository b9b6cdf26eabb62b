"""What simulated venues push of the states of their markets: all once, then what has changed."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.simulator.session import SimulatedSession


def changes(
    session: SimulatedSession, channel: str, rows: Mapping[str, Mapping[str, object]]
) -> dict[str, Mapping[str, object]]:
    """Return the rows that are not as this client last heard of them on a channel."""
    heard = session.heard_of.setdefault(channel, {})
    new = {name: row for name, row in rows.items() if heard.get(name) != row}
    heard |= new
    return new
