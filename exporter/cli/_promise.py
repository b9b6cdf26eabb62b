"""Within how long a person is told that an exchange is down: the sum of all that must pass."""

from __future__ import annotations

from exporter import config as settings
from exporter.config import Config, ExchangeConfig
from exporter.contracts import Venue

# What an outage must pass after the last probe, in seconds; a test holds them to the shipped files.
SCRAPE = 5.0  # provisioning/prometheus.yml
EVALUATION, HOLD = 5.0, 20.0  # ExchangeDown in alert_rules/availability.yml
GROUP_WAIT = 5.0  # critical alerts of availability in alert_rules/alertmanager.yml
_TICK = 1.0  # after which endpoints that are not known to fail yet are asked out of turn


def told_within(exchange: ExchangeConfig, venue: Venue, config: Config) -> float | None:
    """Return the most seconds from an exchange's outage to the page, by the shipped rules.

    None where no endpoint is probed: such an exchange is never told to be down. Limits that leave
    no room for probes, and a scrape interval other than the shipped one, come on top of it. What
    is pushed may be told sooner.
    """
    known = {each.name: each for each in venue.endpoints}
    targets = settings.targets(exchange, venue, config.probes)
    if not targets:
        return None
    first = min(each.interval + each.timeout for each in targets)

    def fails_within(interval: float, timeout: float, pace: float) -> float:
        return min(interval, first + _TICK + settings.APART * pace) + timeout

    failed = max(
        fails_within(each.interval, each.timeout, known[each.endpoint].pace)
        if each.endpoint in known
        else fails_within(each.interval, each.timeout, 0.0)
        for each in targets
    )
    return failed + SCRAPE + EVALUATION + HOLD + GROUP_WAIT
