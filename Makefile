PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test lint

help:  ## Show what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## Make .venv from the lock file with plain pip

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: install  ## Run a synthetic hospital's nights in ./demo and say where the report lies
	rm -rf demo
	$(VENV)/bin/medlstm demo --workspace demo

test: install lint  ## Run the linter, the type checker and every test
	$(VENV)/bin/python -m pytest -q

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
