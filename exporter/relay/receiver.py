"""One configured receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exporter.contracts import Account, Notifier
from exporter.notification import Level

ANY_ROUTE: Final = "*"  # what the relay says by itself is for every receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """At most ``messages`` in any ``window`` seconds; None: as many as there are."""

    messages: int
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Whom to tell, of what, how often and in which words. Durations in seconds.

    ``accounts``: one for each request that a message takes, for a service may take one recipient
    a request. ``limit`` is of one text, in what the notifier measures.
    """

    name: str
    notifier: Notifier
    accounts: tuple[Account, ...]
    limit: int
    language: str = "en"
    levels: frozenset[Level] = field(default_factory=lambda: frozenset(Level))
    routes: frozenset[str] = frozenset()  # Alertmanager's receivers it serves; empty: all
    resolved: bool = True  # tell ends too
    triage: bool = True
    resend: bool = True  # when it is not known whether a try was delivered
    cooldown: float = 60.0  # between two messages of one incident, unless it begins or ends
    storm: Pace | None = None  # beyond it a digest
    budget: Pace | None = None
    digest_every: float = 60.0
    listed: int = 30  # alerts told one by one; of more than that, numbers by name
    template: str | None = None  # the text of the user's own template
    body: str | None = None  # the same for the whole body of a webhook

    def takes(self, level: Level, route: str) -> bool:
        """Return whether alerts of this level that came over this route are for it."""
        served = not self.routes or route == ANY_ROUTE or route in self.routes
        return served and level in self.levels

    def account(self, target: str) -> Account | None:
        """Return the account of that target, None when the config has no such any more."""
        return next((each for each in self.accounts if target_of(each) == target), None)


def target_of(account: Account) -> str:
    """Name the recipients of one account, as the spool keeps them."""
    return ",".join(account.to)
