PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run drivers messages quick test torture reliability lint types check serve demo drill servers evidence bench worth settings schemas pictures lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/runtime  ## set up, then run the full process once, as cron does
	$(BIN)/python full_process.py $(ARGS)

drivers: .venv/drivers  ## install what a ledger or a source on PostgreSQL, MySQL or MariaDB needs

messages: .venv/messages  ## install what RISK_NOTIFY_URLS needs

quick: .venv/development  ## set up, then test the pure cores and one first run: a minute
	$(PYTEST) --dist loadfile $(CORES) $(FIRST_RUN) $(ARGS)

test: .venv/development  ## set up, then run the tests one waits for: seven to twelve minutes
	$(PYTEST) --dist loadfile $(ARGS)

torture: .venv/development  ## set up, then try every crash, every server, every long simulation
	$(PYTEST) --dist worksteal -m torture $(ARGS)

reliability: .venv/development  ## inject every fault that is counted, write docs/reliability.md
	$(PYTEST) --dist load -m "torture or not torture" $(FAULTS) --reliability docs/reliability.md $(ARGS)

lint: .venv/development  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/development  ## check types
	$(BIN)/mypy

check: lint types  ## check style, formatting and types

serve: .venv/runtime  ## serve the API and dashboard on http://localhost:8000
	$(BIN)/gunicorn wsgi:app

demo: .venv/runtime  ## simulate 60 days in demo/world; takes a few minutes
	$(BIN)/python demo/replay.py $(ARGS)

drill: .venv/runtime  ## plant changes in the quiet history: which would be found, and how soon
	$(BIN)/python diagnostics.py --drill $(ARGS)

servers: .venv/drivers  ## run the demo on SQLite, PostgreSQL and MariaDB, and compare the results
	$(BIN)/python benchmarks/servers.py $(ARGS)

evidence: .venv/development  ## measure false alarms and delays by simulation, write docs/evidence.md
	$(BIN)/python benchmarks/false_alarms.py $(ARGS)

bench: .venv/runtime  ## measure what the work of a run costs, how it grows, and peers; an hour
	$(BIN)/python benchmarks/costs.py $(ARGS)
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/peers.py

worth: .venv/runtime  ## play streams of drops under four retraining policies, write docs/worth.md
	$(BIN)/python benchmarks/worth.py $(ARGS)

settings: .venv/runtime  ## write docs/settings.md, the reference of all settings
	$(BIN)/python docs/settings.py

schemas: .venv/runtime  ## write docs/schemas, the JSON Schemas of findings, decisions, runs and others
	$(BIN)/python docs/schemas.py

pictures: .venv/runtime  ## make the pictures of the README from a new demo; ten minutes
	$(BIN)/python docs/pictures.py $(ARGS)

PYTEST := $(BIN)/python -m pytest --numprocesses auto --no-loadscope-reorder
CORES := risk $(addprefix tests/risk/, stats models/test_model.py decisions/test_gate.py \
	decisions/test_policy.py monitoring/test_detector.py monitoring/test_findings.py \
	monitoring/test_profile.py monitoring/test_reference.py test_config.py test_overrides.py \
	test_schema.py) tests/test_architecture.py
FAULTS := $(addprefix tests/, test_crash.py test_libc.py risk/data/test_staging.py risk/decisions/test_damage.py risk/admin/test_backup.py \
	risk/admin/test_check.py risk/admin/test_forget.py)
FIRST_RUN := tests/test_full_process.py::test_the_first_run_trains_and_deploys

# Threads of one process that wait for each other cost more than they bring, with a process a core
quick test torture reliability: export OMP_NUM_THREADS := 1
quick test torture reliability: export OPENBLAS_NUM_THREADS := 1
unexport PYTHONDONTWRITEBYTECODE
reliability: export LIBC_POINTS ?= 0

lock: .venv/development  ## update the locked requirements
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile $(LOCK) requirements-drivers.txt --constraint requirements.lock --output-file requirements-drivers.lock
	$(BIN)/uv pip compile $(LOCK) requirements-messages.txt --constraint requirements.lock --output-file requirements-messages.lock
	$(BIN)/uv pip compile $(LOCK) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock

# --no-strip-extras: pip finds packages with extras in the lock
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --upgrade

# The lock is complete: --no-deps keeps later releases from being installed. Python compiles what it
# imports: --no-compile saves 170 MB of what it never does
INSTALL := @$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r

# Python 3.11 brings setuptools and packages bring their tests: nothing imports either
.venv/runtime: requirements.lock
	@echo "Installing $$(grep -c == $<) packages into .venv: 550 MB, a few minutes, only once"
	@$(PYTHON) -m venv .venv
	$(INSTALL) $<
	@$(BIN)/python -m pip uninstall -qq --yes setuptools
	@find .venv -type d \( -name __pycache__ -o -path '*/site-packages/*/tests' \) -prune -exec rm -r {} +
	@touch $@

.venv/drivers .venv/messages: .venv/%: requirements-%.lock .venv/runtime
	$(INSTALL) $<
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	@echo "Installing $$(grep -c == $<) packages into .venv, for tests and checks"
	$(INSTALL) $<
	@touch $@
