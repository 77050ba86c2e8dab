# `make run` and `make test`; `make check` tests in less than a minute what belongs to the files that were changed, `make
# slow` what only repeats, and `make chaos` injects faults into runs. Each sets up .venv first, when the locked versions
# changed.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# A virtual environment holds its own path: in a folder that was moved or copied it is made anew.
MOVED := $(shell test ! -e .venv/bin/activate || grep -qF "$$(realpath .venv)" .venv/bin/activate || echo moved)

.PHONY: run check test slow chaos $(MOVED)

run: .venv/installed
	lmforge run

check: .venv/installed
	ruff check .
	ruff format --check .
	mypy
	pytest -n 2 -m 'not chaos and not slow and not services' $$(python -m tests.changed)

# mypy works while tests wait for servers.
test: .venv/installed
	ruff check .
	ruff format --check .
	@mypy & types=$$!; pytest -n 4; tests=$$?; wait $$types && exit $$tests

slow: .venv/installed
	pytest -n 2 -m slow

chaos: .venv/installed
	pytest -n 0 -m chaos tests/chaos

.venv/installed: requirements.lock pyproject.toml install.py $(MOVED)
	$(PYTHON) install.py $(if $(MOVED),--clear)
	touch $@
