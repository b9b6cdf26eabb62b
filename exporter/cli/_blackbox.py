"""Turn blackbox_exporter's modules, and the targets that Prometheus gives it, into our config.

Source: blackbox_exporter, CONFIGURATION.md, sections "http_probe", "tcp_probe", "dns_probe",
"icmp_probe"; README.md, section "Prometheus Configuration"; read 2026-11-30.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

_NO_EQUAL: Final = {
    "fail_if_body_matches_regexp": "an expectation says what must be there, not what must not",
    "fail_if_header_matches": "an expectation says what must be there, not what must not",
    "fail_if_body_json_matches_cel": "write `expect: [{path: ..., equals: ...}]` by hand",
    "fail_if_body_json_not_matches_cel": "write `expect: [{path: ..., equals: ...}]` by hand",
    "valid_http_versions": "requests are HTTP/1.1",
    "enable_http2": "requests are HTTP/1.1",
    "enable_http3": "requests are HTTP/1.1",
    "tls_config": "certificates are always verified, by the system's authorities",
    "oauth2": "bring the token as a header: `headers: {Authorization: {env: NAME}}`",
    "proxy_url": "set HTTPS_PROXY and NO_PROXY for the whole program",
    "proxy_connect_header": "set HTTPS_PROXY, with user and password in the URL",
    "proxy_from_environment": "HTTPS_PROXY is always followed",
    "skip_resolve_phase_with_proxy": "the proxy resolves names, always",
    "use_proxy_dns": "the proxy resolves names, always",
    "preferred_ip_protocol": "both are tried, as the system orders them",
    "ip_protocol_fallback": "both are tried, as the system orders them",
    "source_ip_address": "the system chooses the address",
    "body_size_limit": "answers are read up to a bound of the program's own",
    "compression": "answers are asked for as they are",
    "body_file": "write the body into `json` or `form`",
}
_FOLLOW: Final = (
    "redirects are not followed: reason `redirect` says where they lead; probe that URL"
)
_QUIET: Final = frozenset({"no_follow_redirects", "fail_if_not_ssl", "ip_protocol_fallback"})


@dataclass(slots=True)
class Migrated:
    """What came of it: exchanges of our config, and what has no equivalent, a line each."""

    exchanges: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def miss(self, line: str) -> None:
        """Note what has no equivalent, once."""
        if line not in self.left_out:
            self.left_out.append(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackboxTarget:
    """One address that is probed by a module."""

    address: str
    module: str
    interval: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def targets(document: object, module: str | None) -> list[BlackboxTarget]:
    """Return the targets of a Prometheus config, or of a file of its service discovery.

    Raises ValueError if there are none, or it is unclear by which module they are probed.
    """
    found: list[BlackboxTarget] = []
    if isinstance(document, dict):
        default = (document.get("global") or {}).get("scrape_interval")
        for job in document.get("scrape_configs") or ():
            if job.get("metrics_path", "").rstrip("/").endswith("/probe"):
                by = module or (job.get("params", {}).get("module") or [None])[0]
                interval = job.get("scrape_interval", default)
                found += _groups(job.get("static_configs"), by or "http_2xx", interval)
    elif isinstance(document, list):
        if module is None:
            raise ValueError("the list of targets has no module: set --module")
        found += _groups(document, module, None)
    if not found:
        raise ValueError(
            "found no targets, expected static_configs of jobs with metrics_path: /probe, or a "
            "list of {targets: [...]}"
        )
    return found


def _groups(groups: Any, module: str, interval: str | None) -> Iterator[BlackboxTarget]:
    for group in groups or ():
        for address in group.get("targets") or ():
            labels = {str(k): str(v) for k, v in (group.get("labels") or {}).items()}
            yield BlackboxTarget(
                address=str(address), module=module, interval=interval, labels=labels
            )


def migrate(modules: Mapping[str, Any], found: Sequence[BlackboxTarget]) -> Migrated:
    """Return our config's exchanges: a host is one, each of its URLs an endpoint of it."""
    result = Migrated()
    by_host: dict[str, dict[str, Any]] = {}
    for target in found:
        module = modules.get(target.module)
        if not isinstance(module, Mapping):
            result.miss(f"target {target.address}: there is no module {target.module}")
            continue
        if module.get("prober", "http") != "http":
            prober = module["prober"]
            result.miss(f"module {target.module}: prober {prober}: only http has an equivalent")
            continue
        address = target.address if "://" in target.address else f"http://{target.address}"
        parts = urlsplit(address)
        base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        exchange = by_host.setdefault(
            base,
            {"name": _free(_slug(parts.netloc), by_host.values()), "venue": "http",
             "rest_url": base, "endpoints": []},
        )  # fmt: skip
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = _free(_slug(f"{target.module}{parts.path}"), exchange["endpoints"])
        endpoint = {"name": name, "path": path, **_endpoint(target, module, result)}
        exchange["endpoints"].append(endpoint)
        for label, value in target.labels.items():
            result.miss(f"label {label}={value}: give it in the scrape config of the exporter")
    result.exchanges = list(by_host.values())
    return result


def _endpoint(
    target: BlackboxTarget, module: Mapping[str, Any], result: Migrated
) -> dict[str, Any]:
    """Return what a module says of an endpoint, in our keys."""
    http = module.get("http") or {}
    found: dict[str, Any] = {}
    if target.interval is not None:
        found["interval"] = target.interval
    if "timeout" in module:
        found["timeout"] = module["timeout"]
    if http.get("method", "GET") != "GET":
        found["method"] = http["method"]
    found["statuses"] = list(http.get("valid_status_codes") or ["2xx"])
    headers = dict(http.get("headers") or {})
    if http.get("basic_auth") or http.get("bearer_token") or http.get("bearer_token_file"):
        headers["Authorization"] = {"env": _variable(target.module)}
        variable = _variable(target.module)
        result.miss(
            f"module {target.module}: its login: set {variable} to the whole header, such as "
            "`Bearer TOKEN`"
        )
    if headers:
        found["headers"] = headers
    expect = [{"matches": pattern} for pattern in http.get("fail_if_body_not_matches_regexp") or ()]
    for each in http.get("fail_if_header_not_matches") or ():
        expect.append({"header": each["header"], "matches": each["regexp"]})
        if each.get("allow_missing"):
            result.miss(
                f"module {target.module}: allow_missing: a header that is tested must be there"
            )
    if expect:
        found["expect"] = expect
    found |= _body(target.module, http, result)
    known = {"method", "valid_status_codes", "follow_redirects", "headers", "basic_auth", "body",
             "bearer_token", "bearer_token_file", "fail_if_body_not_matches_regexp",
             "fail_if_header_not_matches"} | _QUIET  # fmt: skip
    for key in http:
        if key not in known:
            why = _NO_EQUAL.get(key, "this key has no equivalent")
            result.miss(f"module {target.module}: http.{key}: {why}")
    if not http.get("no_follow_redirects") and http.get("follow_redirects", True):
        result.miss(f"module {target.module}: {_FOLLOW}")
    return found


def _body(module: str, http: Mapping[str, Any], result: Migrated) -> dict[str, Any]:
    """Return the body as JSON; another has no equivalent."""
    if "body" not in http:
        return {}
    try:
        return {"json": json.loads(http["body"])}
    except ValueError:
        result.miss(
            f"module {module}: http.body: it is no JSON: write it as `form: {{key: value}}`"
        )
        return {}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "target"


def _free(name: str, taken: Any) -> str:
    """Return the name, or with a number behind it what no other has."""
    names = {each["name"] for each in taken}
    if name not in names:
        return name
    return next(f"{name}-{n}" for n in range(2, 10_000) if f"{name}-{n}" not in names)


def _variable(module: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", module.upper()).strip("_") + "_LOGIN"
