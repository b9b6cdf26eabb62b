"""Verdicts as alerts: the same labels and texts as the rules in alert_rules/ that say the same.

Alertmanager treats alerts with equal labels as one, whoever sent them: there is one notification.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.signals import Severity, Verdict

_RUNBOOKS = "https://github.com/exchange-exporter/exchange-exporter/blob/main/alert_rules/runbooks"
DOWN = "ExchangeDown"
_PERCENTILE = re.compile(r"_p[0-9]+$")
# Fewer messages and more time between them are one observation.
_SAME = {"inter_arrival": "message_rate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An alert that should fire, since ``start`` (epoch seconds)."""

    labels: dict[str, str]
    annotations: dict[str, str]
    start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOrigin:
    """The labels of this exporter, as in the scrape config and Prometheus' external labels."""

    job: str = "exchange-exporter"
    site: str | None = None
    external: Mapping[str, str] = field(default_factory=dict)

    def labels(self, name: str, severity: str, category: str, **more: str) -> dict[str, str]:
        """Return an alert's labels. Its own come before external ones, as in Prometheus."""
        own = {"alertname": name, "severity": severity, "category": category, "job": self.job}
        return {**self.external, **own, **more}

    @property
    def place(self) -> dict[str, str]:
        """Return the label of alerts about one place, if places have names."""
        return {} if self.site is None else {"site": self.site}


def _texts(name: str, summary: str, description: str, action: str, page: str) -> dict[str, str]:
    return {
        "summary": summary,
        "description": description,
        "action": action,
        "dashboard_url": page,
        "runbook_url": f"{_RUNBOOKS}/{name}.md",
    }


def anomalies(origin: AlertOrigin, incidents: Collection[Verdict]) -> Iterator[Claim]:
    """Yield the alerts of all open incidents: each one alone, and together where they agree."""
    quantities: defaultdict[str, dict[str, Verdict]] = defaultdict(dict)
    for verdict in incidents:
        exchange, signal = verdict.series.exchange, verdict.series.signal
        quantities[exchange].setdefault(quantity_of(signal), verdict)
        name = "ExchangeAnomaly"
        more = {"exchange": exchange, "signal": signal}
        urgent = " It is critical by score or duration." * (verdict.severity is Severity.CRITICAL)
        yield Claim(
            labels=origin.labels(name, "info", "data", **origin.place, **more),
            annotations=_texts(
                name,
                "A signal of an exchange is unusual.",
                f"{verdict.sentence}.{urgent}",
                "Compare the signal with its band; nothing else is needed for a single signal.",
                f"/d/exobs-anomalies?var-exchange={exchange}",
            ),
            start=verdict.since,
        )
    for exchange, found in quantities.items():
        if len(found) > 1:
            yield _together(origin, exchange, list(found.values()))


def quantity_of(signal: str) -> str:
    """Return what a signal measures: a median and a percentile of one quantity are one."""
    plain = _PERCENTILE.sub("", signal)
    return _SAME.get(plain, plain)


def _together(origin: AlertOrigin, exchange: str, found: list[Verdict]) -> Claim:
    name = "ExchangeAnomalyCorroborated"
    sentences = "; ".join(verdict.sentence for verdict in found)
    return Claim(
        labels=origin.labels(name, "warning", "data", exchange=exchange),
        annotations=_texts(
            name,
            "Several signals of an exchange are unusual.",
            f"{len(found)} independent signals of {exchange} are unusual at the same time:"
            f" {sentences}.",
            "See which signals changed first; trade there with care.",
            f"/d/exobs-anomalies?var-exchange={exchange}",
        ),
        start=sorted(verdict.since for verdict in found)[1],  # when the second one joined
    )


def down(origin: AlertOrigin, exchange: str, since: float, *, streams: bool) -> Claim:
    """Return the alert of an exchange that is out since ``since``; ``streams``: they are, too."""
    name = DOWN
    also = " and none of its streams is connected" if streams else ""
    return Claim(
        labels=origin.labels(name, "critical", "availability", exchange=exchange),
        annotations=_texts(
            name,
            f"{exchange} is down.",
            f"No endpoint of {exchange} is up{also}. Seen by one exporter itself, ahead of"
            " Prometheus.",
            f"Stop routing orders to {exchange}, then read its status page.",
            f"/d/exobs-exchange?var-exchange={exchange}",
        ),
        start=since,
    )


def provider_down(origin: AlertOrigin, provider: str, exchange: str, since: float) -> Claim:
    """Return the alert of an exchange that is out with others of its provider since ``since``."""
    name = "ExchangeProviderDown"
    return Claim(
        labels=origin.labels(
            name, "critical", "availability", exchange=exchange, provider=provider
        ),
        annotations=_texts(
            name,
            f"Exchanges at {provider} are down together.",
            f"{exchange} is down, and so are other exchanges at {provider}: what they share fails,"
            " not each of them.",
            f"Route to exchanges outside {provider}, and read its status page before theirs.",
            "/d/exobs-trading",
        ),
        start=since,
    )


def all_down(origin: AlertOrigin, share: float, since: float) -> Claim:
    """Return the alert of nearly all exchanges at once; ``share`` of them, as a ratio."""
    name = "ExchangeAllDown"
    seen = f" from {origin.site}" if origin.site else ""
    return Claim(
        labels=origin.labels(name, "critical", "availability", **origin.place),
        annotations=_texts(
            name,
            "Nearly all exchanges are down at once: probably a local fault or the network path.",
            f"{100.0 * share:.4g}% of the exchanges watched{seen} are down at the same time.",
            "Check the local network, proxy and DNS before any exchange.",
            "/d/exobs-overview",
        ),
        start=since,
    )
