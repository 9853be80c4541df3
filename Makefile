PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint types check serve demo servers evidence lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/runtime  ## set up, then run the full process once, as cron does
	$(BIN)/python full_process.py $(ARGS)

test: .venv/development  ## set up, then run all tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

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

servers: .venv/runtime  ## run the demo on SQLite, PostgreSQL and MariaDB, and compare the results
	$(BIN)/python benchmarks/servers.py $(ARGS)

evidence: .venv/development  ## measure false alarms and delays by simulation, write docs/evidence.md
	$(BIN)/python benchmarks/false_alarms.py $(ARGS)

lock: .venv/development  ## update the locked requirements
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) requirements.txt --output-file requirements.lock
	$(BIN)/uv pip compile $(LOCK) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock

# --no-strip-extras: pip finds packages with extras in the lock
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --upgrade

# The lock is complete: --no-deps keeps later releases from being installed
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r

.venv/runtime: requirements.lock
	$(PYTHON) -m venv .venv
	$(INSTALL) $<
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	$(INSTALL) $<
	@touch $@
