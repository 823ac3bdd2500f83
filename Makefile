PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
WORKERS ?= 2
# Half of a test's time is waiting for a disk that its files do not need: in memory, where four GB of it are free.
FREE_KB := $(shell df -k /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}')
export PYTEST_DEBUG_TEMPROOT ?= $(shell test "$(FREE_KB)" -gt 4000000 2>/dev/null && test -w /dev/shm && echo /dev/shm)

.PHONY: help install demo test test-unit test-flows test-acceptance test-faults lint

help:  ## Show what each target does
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## Make .venv from the lock file with plain pip

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: install  ## Run a synthetic hospital's nights in ./demo and say where the report lies
	rm -rf demo
	$(VENV)/bin/medlstm demo --workspace demo

# The longest files first, so that no core waits for the other in the end.
test: install lint  ## Run the linter, the type checker and every test
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests/faults tests/acceptance tests/flows tests/unit

test-unit: install  ## Run the tests of the rooms, side by side, in some 80 seconds
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadfile tests/unit

test-flows: install  ## Run the flows on a real Prefect server
	$(VENV)/bin/python -m pytest -q tests/flows

test-acceptance: install  ## Run the installed command as a user does
	$(VENV)/bin/python -m pytest -q tests/acceptance

test-faults: install  ## Kill nights, fuzz landing folders, watch the network
	$(VENV)/bin/python -m pytest -q tests/faults

bench-%: install  ## Run one benchmark, with ARGS="…"
	$(VENV)/bin/python -m benchmarks.$* $(ARGS)

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
