"""`exchange-exporter migrate`: a config of blackbox_exporter becomes one of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.__main__ import main

MODULES = """
modules:
  http_2xx: {prober: http, timeout: 4s, http: {no_follow_redirects: true}}
  api:
    prober: http
    http:
      method: POST
      headers: {X-Team: desk}
      body: '{"query": 1}'
      valid_status_codes: [200, 204]
      follow_redirects: false
      fail_if_body_not_matches_regexp: ["^ok"]
      fail_if_header_not_matches: [{header: Content-Type, regexp: json}]
  odd:
    prober: http
    http:
      bearer_token: hunter2
      tls_config: {insecure_skip_verify: true}
      fail_if_body_matches_regexp: [maintenance]
      body: plain text
  ping: {prober: icmp}
"""
TARGETS = """
global: {scrape_interval: 20s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["host:9100"]}]
  - job_name: blackbox
    metrics_path: /probe
    params: {module: [http_2xx]}
    static_configs: [{targets: ["https://api.acme.example/v1/time", "https://api.acme.example/"]}]
  - job_name: post
    metrics_path: /probe
    scrape_interval: 5s
    params: {module: [api]}
    static_configs: [{targets: ["https://api.acme.example/v1/ask?n=1"], labels: {team: desk}}]
"""


def files(folder: Path, targets: str = TARGETS) -> tuple[str, ...]:
    """Write the two files; return the flags that name them."""
    (folder / "blackbox.yml").write_text(MODULES)
    (folder / "targets.yml").write_text(targets)
    return (f"--modules={folder}/blackbox.yml", f"--targets={folder}/targets.yml")


def test_modules_and_targets_become_endpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One host is one exchange; `check` takes the file; what cannot be carried over is listed."""
    out = tmp_path / "exchanges.yml"
    assert main(["migrate", "blackbox", *files(tmp_path), f"--out={out}"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "3 targets, 1 hosts, 3 endpoints",
        "no equivalent: label team=desk: give it in the scrape config of the exporter",
    ]
    assert yaml.safe_load(out.read_text()) == {"exchanges": [{
        "name": "api-acme-example",
        "venue": "http",
        "rest_url": "https://api.acme.example",
        "endpoints": [
            {"name": "http-2xx-v1-time", "path": "/v1/time", "interval": "20s", "timeout": "4s",
             "statuses": ["2xx"]},
            {"name": "http-2xx", "path": "/", "interval": "20s", "timeout": "4s",
             "statuses": ["2xx"]},
            {"name": "api-v1-ask", "path": "/v1/ask?n=1", "interval": "5s", "method": "POST",
             "statuses": [200, 204], "headers": {"X-Team": "desk"},
             "expect": [{"matches": "^ok"}, {"header": "Content-Type", "matches": "json"}],
             "json": {"query": 1}},
        ],
    }]}  # fmt: skip
    assert main(["check", str(out)]) == 0


def test_what_has_no_equal_is_listed_and_no_secret_is_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its module, its key and what to do instead; also as comments in the file."""
    flags = files(tmp_path, "- targets: [http://a.example, b.example]\n")
    assert main(["migrate", "blackbox", *flags, "--module=odd"]) == 1
    text, said = capsys.readouterr()
    for part in (
        "its login: set ODD_LOGIN to the whole header",
        "http.tls_config: certificates are always verified",
        "http.fail_if_body_matches_regexp: an expectation says what must be there",
        "http.body: it is no JSON",
        "redirects are not followed",
    ):
        assert f"no equivalent: module odd: {part}" in said
        assert f"# no equivalent: module odd: {part}" in text
    assert "hunter2" not in text + said
    hosts = [each["rest_url"] for each in yaml.safe_load(text)["exchanges"]]
    assert hosts == ["http://a.example", "http://b.example"]
    assert main(["migrate", "blackbox", *flags, "--module=ping"]) == 1
    assert "module ping: prober icmp: only http has an equivalent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("- targets: [a]\n", "set --module"),
        ("scrape_configs: []\n", "found no targets"),
        ("{", "while parsing"),
        ("scrape_configs: [3]\n", "migrate: "),
    ],
)
def test_files_that_cannot_be_used_are_said(
    targets: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and status 2."""
    assert main(["migrate", "blackbox", *files(tmp_path, targets)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert len(complaint.splitlines()) == 1
