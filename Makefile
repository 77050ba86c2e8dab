# `make run`, `make test` and `make check` (what belongs to the files that were changed); `make chaos` injects faults into
# runs. Each sets up .venv first, when the locked versions changed.
PYTHON ?= python3
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

.venv/installed: requirements.lock pyproject.toml install.py $(MOVED)
	$(PYTHON) install.py $(if $(MOVED),--clear)
	touch $@
