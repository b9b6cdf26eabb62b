"""What starts Prometheus, Alertmanager and Grafana names what exists, and fits together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.live import programs

PROVISIONING = ROOT / "provisioning"


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.usefixtures("generation")
def test_prometheus_loads_every_rule() -> None:
    """Each rule file is named, and the jobs are called as the rules call them."""
    config = _yaml("provisioning/prometheus.yml")
    named = {(PROVISIONING / path).resolve() for path in config["rule_files"]}
    shipped = set((ROOT / "alert_rules").glob("*.yml")) - {ROOT / "alert_rules/alertmanager.yml"}
    assert named == shipped
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    rules = "".join(path.read_text() for path in shipped)
    assert jobs == {"exchange-exporter", "alert-relay", "alertmanager", "prometheus"}
    assert all(f'job="{job}"' in rules for job in ("exchange-exporter", "alert-relay"))
    command = [programs.program("promtool", "prometheus"), "check", "config"]
    file = str(PROVISIONING / "prometheus.yml")
    done = subprocess.run([*command, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_finds_source_and_pages() -> None:
    """The source's interval is the scrape's, and compose mounts the pages where Grafana looks."""
    (source,) = _yaml("provisioning/grafana/datasources/prometheus.yaml")["datasources"]
    scrape = _yaml("provisioning/prometheus.yml")["global"]["scrape_interval"]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", scrape)
    (provider,) = _yaml("provisioning/grafana/dashboards/exchanges.yaml")["providers"]
    mounts = _yaml("compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./dashboards/json:{provider['options']['path']}:ro" in mounts
    assert "./provisioning/grafana:/etc/grafana/provisioning:ro" in mounts


def test_compose_mounts_what_exists() -> None:
    """Each file that a service mounts is there, and all share one network."""
    services = _yaml("compose.yaml")["services"]
    assert services.keys() >= {"prometheus", "alertmanager", "grafana", "exporter", "relay"}
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            if mount.startswith("."):
                assert (ROOT / mount.split(":")[0]).exists(), mount
        shares = service.get("network_mode") == "service:prometheus"
        assert shares is (name != "prometheus")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """Where Prometheus is not installed, the stack names the Debian package, and starts nothing."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/stack.py")],
        capture_output=True, text=True, timeout=20, check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "missing: sudo apt-get install prometheus prometheus-alertmanager\n"


@pytest.mark.live
@pytest.mark.xdist_group("stack")
def test_the_stack_runs_and_ends() -> None:
    """One command starts everything; every target is scraped; one Ctrl-C ends it all."""
    programs.program("prometheus")
    programs.program("prometheus-alertmanager", "alertmanager")
    busy = [port for port in (9090, 9093, 9717, 9719, 9720) if _listens(port)]
    if busy:
        pytest.skip(f"ports {busy} of this machine are in use")
    with programs.process(sys.executable, "-u", str(ROOT / "scripts/stack.py")) as stack:
        prometheus = stack.wait_line("  Prometheus").removesuffix("/alerts")

        def jobs_up() -> bool:
            up = programs.query(prometheus, "up == 1")
            return len({sample["metric"]["job"] for sample in up}) == 4

        programs.eventually(jobs_up, "all targets are scraped")
        stack.wait_line("    curl -X POST http://127.0.0.1:")
        assert stack.end(signal.SIGINT) == 130
    assert not any(_listens(port) for port in (9090, 9093, 9717, 9719, 9720))


@pytest.mark.long
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(240)
def test_what_the_stack_advises_pages() -> None:
    """The fault that it prints, posted as it stands there, is told within two minutes."""
    programs.program("prometheus")
    programs.program("prometheus-alertmanager", "alertmanager")
    with programs.process(sys.executable, "-u", str(ROOT / "scripts/stack.py")) as stack:
        advised = [stack.wait_line("    curl "), stack.wait_line("      -d ")]
        time.sleep(15.0)  # rules want some evaluations of what is well
        subprocess.run(["sh", "-c", "curl {}\n -d {}".format(*advised)], check=True)
        stack.wait_line("[CRITICAL] ExchangeDown okx", within=120.0)
        assert stack.end(signal.SIGINT) == 130


def _listens(port: int) -> bool:
    try:
        programs.get(f"http://127.0.0.1:{port}/", timeout=1.0)
    except OSError:
        return False
    except AssertionError:  # it answered, with an error
        return True
    return True
