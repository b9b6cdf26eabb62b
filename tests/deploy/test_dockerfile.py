"""The container's recipe keeps its promises; it is linted and read, which needs no engine."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.tools import tool

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [
    line.strip()
    for line in re.sub(r"\\\n( *#[^\n]*\n)*", " ", TEXT).splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]
RESULT = LINES[[index for index, line in enumerate(LINES) if line.startswith("FROM")][-1] :]


def _of(instruction: str, lines: list[str]) -> list[str]:
    return [line.partition(" ")[2].strip() for line in lines if line.split()[0] == instruction]


@pytest.mark.chart
def test_lints() -> None:
    """hadolint has nothing to say."""
    done = subprocess.run(
        [tool("hadolint"), "--no-color", ROOT / "Dockerfile"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_one_base_by_argument() -> None:
    """Both stages stand on one slim base that a release names by its digest."""
    assert _of("FROM", LINES) == ["${BASE} AS build", "${BASE}"]
    assert re.fullmatch(r"BASE=\S+:3\.11-slim-\w+", _of("ARG", LINES)[0])


def test_only_hashed_packages() -> None:
    """Packages come from the hashed lock and from nowhere else; every pin has a hash."""
    fetched = [line for line in LINES if re.search(r"bin/python install --", line)]
    assert len(fetched) == 2, fetched
    assert "--require-hashes --requirement packages.lock" in fetched[0]
    assert "--no-deps --no-build-isolation ." in fetched[1]
    assert "requirements/${LOCK}.lock packages.lock" in _of("COPY", LINES)
    assert "LOCK=image" in _of("ARG", LINES)


def test_the_relay_finds_its_services() -> None:
    """What the relay's further services are sent through is in the image."""
    lock = (ROOT / "requirements" / "image.lock").read_text(encoding="utf-8")
    assert re.search("^apprise==", lock, re.MULTILINE)


def test_the_result_is_bare() -> None:
    """No compiler, no package manager, no shell user, no root."""
    assert "uninstall --yes --quiet pip setuptools wheel" in _of("RUN", RESULT)[0]
    assert not re.search(r"apt-get|curl|wget|gcc", "\n".join(RESULT))
    assert _of("USER", RESULT) == ["10001:10001"]
    assert "/usr/sbin/nologin" in _of("RUN", RESULT)[0]


def test_user_is_the_charts() -> None:
    """Image and chart agree on the user."""
    values = yaml.safe_load((ROOT / "helm/exchange-exporter/values.yaml").read_text("utf-8"))
    user = f"{values['securityContext']['runAsUser']}:{values['securityContext']['runAsGroup']}"
    assert _of("USER", RESULT) == [user]


def test_copies_what_is_let_through() -> None:
    """Everything that is copied exists and gets past .dockerignore, and little else does."""
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    allowed = [line[1:] for line in rules if line.startswith("!")]
    sources = [
        source.rstrip("/").replace("${LOCK}", lock)
        for line in _of("COPY", LINES)
        if not line.startswith("--from")
        for source in line.split()[:-1]
        for lock in (("image", "runtime") if "${LOCK}" in source else ("",))
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, rule) for rule in allowed), source
    assert sorted(allowed) == sorted(sources)


def test_compose_builds_it() -> None:
    """The stack of compose.yaml runs the image of this recipe, and no other of ours."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    ours = {name for name, service in services.items() if "build" in service}
    assert ours == {"exporter", "relay", "console"}
    assert {services[name]["build"] for name in ours} == {"."}


def test_healthcheck_is_python() -> None:
    """The health check runs with what is in the image, and tells a live server from a dead port."""
    import http.server
    import json
    import threading

    [check] = _of("HEALTHCHECK", RESULT)
    command = json.loads(check.partition("CMD ")[2])
    assert command[0] == "python"

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/-/healthy" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def exit_status(url: str) -> int:
        return subprocess.run(
            [sys.executable, *command[1:]],
            env={"HEALTH_URL": url}, capture_output=True, timeout=30, check=False,
        ).returncode  # fmt: skip

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert exit_status(f"{base}/-/healthy") == 0
        assert exit_status(f"{base}/-/ready") == 1
        server.shutdown()
    assert exit_status(f"{base}/-/healthy") == 1


def test_labels_and_command() -> None:
    """The image says what it is and from where, and starts what the chart starts."""
    [labels] = _of("LABEL", RESULT)
    for name in ("title", "source", "licenses", "version", "revision", "documentation"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert _of("ENTRYPOINT", RESULT) == ['["exchange-exporter"]']
    assert "--config.file=/etc/exchange-exporter/config/config.yml" in _of("CMD", RESULT)[0]
    assert {"9717", "9719"} == set(_of("EXPOSE", RESULT)[0].split())


def test_version_is_the_programs() -> None:
    """The version that the label says by default is the program's."""
    from exporter import __version__

    assert f"VERSION={__version__}" in _of("ARG", RESULT)


def test_writes_nothing_at_its_root() -> None:
    """`--read-only` is safe: bytecode is made while building, and not written while running."""
    assert "compileall" in TEXT
    assert "PYTHONDONTWRITEBYTECODE=1" in _of("ENV", RESULT)[0]
    assert Path(_of("WORKDIR", RESULT)[0]) == Path("/var/lib/exchange-exporter")
