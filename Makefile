# `make run` and `make test`; `make chaos` injects faults into runs. Each sets up .venv first, when the locked versions
# changed.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: run test chaos

run: .venv/installed
	lmforge run

test: .venv/installed
	ruff check .
	ruff format --check .
	mypy
	pytest -n 2

chaos: .venv/installed
	pytest -n 0 -m chaos tests/chaos

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmforge needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
