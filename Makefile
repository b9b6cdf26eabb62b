# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
export PYTHON VENV
BIN = $(VENV)/bin

.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Run the exporter against simulated exchanges; prints what to open (ARGS=... are passed on)
	@scripts/setup runtime
	@exec $(BIN)/exchange-exporter demo $(ARGS)

stack: ## Run Prometheus, Alertmanager and the relay beside the demo (ARGS=... are passed on)
	@scripts/setup runtime
	@exec $(BIN)/python scripts/stack.py $(ARGS)

test: ## Set up what the tests need and run all of them
	@scripts/setup dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist loadgroup $(ARGS)

fast-test: ## Run only the tests that start no other program
	@scripts/setup dev
	$(BIN)/pytest -n 2 -m "not live and not chart and not cluster" $(ARGS)

fuzz: ## Run every parser on a hundred thousand wounded inputs and more (ARGS=--executions=1000000)
	@scripts/setup dev
	$(BIN)/python -m tests.fuzz $(ARGS)

sequences: ## Hold the relay's state machine to its promises over a hundred thousand sequences of posts
	@scripts/setup dev
	RELAY_SEQUENCES=100000 $(BIN)/pytest -q --timeout=0 tests/relay/test_transitions.py $(ARGS)

schedules: ## Run twenty thousand random schedules through bans and restarts: no endpoint starves
	@scripts/setup dev
	SCHEDULES=20000 $(BIN)/pytest -q --timeout=0 tests/probes/test_schedule.py tests/runtime/test_estimate.py $(ARGS)

kills: ## Kill exporter and relay five hundred times at random: both start again, nothing is lost
	@scripts/setup dev
	$(BIN)/python -m tests.endurance.kills $(ARGS)

corruptions: ## Damage five hundred times a file that exporter or relay wrote: both start, and name it
	@scripts/setup dev
	$(BIN)/python -m tests.endurance.corruptions $(ARGS)

matrix: ## Rehearse outages of 20 s to 20 min at the shipped windows, each twice (ARGS=minutes; an hour and a half)
	@scripts/setup dev
	PATH="$(abspath $(VENV))/newer/bin:$$PATH" PYTHONPATH=. $(BIN)/python scripts/rehearse_matrix.py $(ARGS)

interop: ## Set other people's clients on the simulated venues; prints client by venue (ARGS=--record)
	@scripts/setup dev
	@scripts/tools interop
	$(BIN)/python -m tests.interop $(ARGS)

venue-drift: ## Compare addresses, channels and REST paths with the newest ccxt of PyPI (network; weekly)
	@scripts/setup dev
	@[ -x $(VENV)/drift/bin/python ] || $(PYTHON) -m venv $(VENV)/drift
	@$(VENV)/drift/bin/python -m pip install --quiet --disable-pip-version-check --upgrade ccxt
	PYTHONPATH=. $(BIN)/python scripts/venue_drift.py $(VENV)/drift/bin/python

long-test: ## Run the tests that wait for minutes: every panel under its fault, a page from nothing
	@scripts/setup dev
	$(BIN)/pytest -m long $(ARGS)

first-page: ## Run the README's commands from the clone to the first page, as a newcomer would, and time them
	$(PYTHON) scripts/first_page $(ARGS)

soak: ## Let ten simulated exchanges misbehave for an hour, and hostile peers: all figures stay flat
	@scripts/setup dev
	$(BIN)/python scripts/benchmarks/chaos.py --soak --hostile --for=3600 $(ARGS)

hostile: ## Let peers do their worst: memory, and how late the event loop is while it lasts
	@scripts/setup dev
	HOSTILE=1 $(BIN)/pytest -q -s tests/live/test_hostile.py tests/live/test_stalls.py $(ARGS)

own-faults: ## No descriptors, a loop that stands still, a full disk: the shipped rules page for no exchange
	@scripts/setup dev
	OWN_FAULTS=1 $(BIN)/pytest -q -s tests/live/test_own_faults.py $(ARGS)

mutants: ## Break the alert rules one place at a time; print the share that their tests notice
	@scripts/setup dev
	scripts/mutate_rules $(ARGS)

grafana: ## Hold the dashboards against Grafana's own types (npm, network; ARGS=versions)
	@scripts/setup dev
	$(BIN)/python -m tests.dashboards.grafana_types $(or $(ARGS),10.4.0 11.6.0 12.4.11 13.2.3)

generate: ## Write anew what is generated from code: config schema, README tables, dashboards, chart
	@scripts/setup dev
	$(BIN)/exchange-exporter schema config > exporter/config.schema.json
	$(BIN)/exchange-exporter schema relay > exporter/relay.schema.json
	$(BIN)/exchange-exporter schema venue > exporter/venue.schema.json
	$(BIN)/python -m dashboards
	$(BIN)/python scripts/readme
	$(BIN)/python scripts/openapi
	$(BIN)/python scripts/chart

release-check: ## Hold a release to its promises: versions, packages, the wheel by itself (ARGS=--tag=vX.Y.Z)
	$(PYTHON) scripts/release_check $(ARGS)

axe: ## Hold the pages against axe-core of npm, in chromium: nothing serious (needs npm)
	@scripts/setup dev
	@scripts/npm
	$(BIN)/pytest -q tests/live/test_axe.py

docs: ## Build the site of the docs in build/site (mkdocs-material; ARGS=serve shows it while you write)
	@scripts/setup dev
	@[ -x $(VENV)/docs/bin/mkdocs ] || { $(PYTHON) -m venv $(VENV)/docs && \
	  $(VENV)/docs/bin/python -m pip install --quiet --disable-pip-version-check 'mkdocs-material>=9.6,<10'; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/python scripts/docs $(abspath $(VENV))/docs/bin/mkdocs $(ARGS)

pictures: ## Take the pictures of the docs anew (chromium)
	@scripts/setup dev
	PYTHONPATH=. $(BIN)/python scripts/pictures.py

test-chart: ## Install more Helm engines and scanners, and hold chart, container and units to all promises
	@scripts/setup dev
	@scripts/tools chart
	@scripts/tools tools
	$(BIN)/pytest -n 2 -m "not cluster" tests/helm tests/deploy $(ARGS)

test-cluster: ## Install the chart on the cluster that KUBECONFIG names (kind, k3d), and bring a fault to a receiver
	@scripts/setup dev
	$(BIN)/pytest -m cluster tests/helm/test_cluster.py $(ARGS)

audit: ## Look pinned packages up among known weaknesses (network), and list their licences
	@scripts/setup dev
	@scripts/tools tools
	scripts/audit

sbom: ## Write the bill of materials (CycloneDX) of what runs to dist/
	@scripts/tools tools
	scripts/sbom

bench: ## Print every benchmark's ratios against its peer
	@scripts/setup bench
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; \
	  PATH="$(abspath $(VENV))/newer/bin:$$PATH" PYTHONPATH=. $(BIN)/python $$script || exit 1; done

bench-guard: ## Compare what the hot paths cost with what is written down (ARGS=--write renews it)
	@scripts/setup bench
	$(BIN)/python -m benchmarks.regression $(ARGS)

lock: ## Pin the dependencies anew (needs uv)
	scripts/lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

.PHONY: first-page release-check docs axe pictures help demo stack test fast-test long-test fuzz sequences schedules matrix soak hostile own-faults mutants grafana generate test-chart test-cluster audit sbom bench bench-guard lock clean kills corruptions
