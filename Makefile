# `make run` and `make test`; `make chaos` injects faults into runs. Each sets up .venv first, when the locked versions
# changed.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# A virtual environment holds its own path: in a folder that was moved or copied it is made anew.
MOVED := $(shell test ! -e .venv/bin/activate || grep -qF "$$(realpath .venv)" .venv/bin/activate || echo moved)

.PHONY: run test chaos $(MOVED)

run: .venv/installed
	lmforge run

test: .venv/installed
	ruff check .
	ruff format --check .
	mypy
	pytest -n 2

chaos: .venv/installed
	pytest -n 0 -m chaos tests/chaos

.venv/installed: requirements.lock pyproject.toml $(MOVED)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmforge needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(if $(MOVED),--clear) .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
