"""Which queued frames are superseded by a newer one: older states of the same topic.

Trades and candles are never needless; neither are quotes whose numbers must follow each other,
since what is left out would count as a gap.
"""

from __future__ import annotations

from exporter.contracts import Venue
from exporter.model import Continuity, Depth, Quote
from exporter.websocket.receive_queue import Superseding


def superseding(venue: Venue) -> Superseding:
    """Return what tells of a venue's frame whose state it carries, and whether all of it.

    The best bid and ask, or a snapshot of a book, makes all before it needless; an update of a book
    only adds to what came before. It decodes the frame: only a queue that is full asks.
    """
    parse = venue.reader()
    numbered = {
        label
        for rule in venue.sequences
        if rule.continuity is not Continuity.RISING
        for label in rule.labels
    }

    def key(frame: bytes) -> tuple[str, bool] | None:
        try:
            events = parse(frame)
        except Exception:  # noqa: BLE001 - it is told of when its turn comes to be read
            return None
        match events:
            case (Quote(topic=topic, label=label),) if label not in numbered:
                return topic, True
            case (Depth(topic=topic, snapshot=whole),):
                return topic, whole
        return None

    return key
