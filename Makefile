# `make demo`, `make test` and `make bench` set up all they need in .venv, once.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test faults bench lint format clean

help:  ## Show these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: .venv/.ready-demo  ## Run the main job on the local emulator; no account needed
	$(BIN)/semart-vectors demo demo-output

test: lint  ## Check style and types, then run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

faults: .venv/.ready-dev  ## Cause every fault of docs/reliability.md in full, and write its table
	$(BIN)/python -m pytest tests/faults --all-faults $(PYTEST_ARGS)

bench: .venv/.ready-bench  ## Measure all of docs/performance.md anew; needs nginx
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.ready-dev  ## Let ruff format and fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and what the demo made
	rm -rf .venv demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "semart-vectors needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' \
	  || { echo "this Python lacks venv or pip (on Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# A stamp for each set of dependencies: nothing is installed again until pyproject.toml changes.
.venv/.ready-demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

.venv/.ready-bench: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

.venv/.ready-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.ready-demo .venv/.ready-bench
