# `make help` lists the targets. Each sets up .venv first, when the locked versions changed.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# A virtual environment holds its own path: in a folder that was moved or copied it is made anew.
MOVED := $(shell test ! -e .venv/bin/activate || grep -qF "$$(realpath .venv)" .venv/bin/activate || echo moved)
WORKERS ?= 2
QUICK := -m 'not chaos and not slow and not services'

.PHONY: help run check unit lint format types test slow chaos $(MOVED)

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 9

run: .venv/installed ## Run the whole pipeline, from raw text to a promoted model
	lmforge run

check: lint types ## Before a commit, in a minute: lint, types, and the quick tests of the changed files
	pytest -n $(WORKERS) $(QUICK) $$(python -m tests.changed)

unit: .venv/installed ## The quick tests, of all or of ARGS=tests/components/model
	pytest -n $(WORKERS) $(QUICK) $(ARGS)

lint: .venv/installed ## Style, as ruff has it
	ruff check .
	ruff format --check .

format: .venv/installed ## Mend what ruff can mend
	ruff check --fix .
	ruff format .

types: .venv/installed ## Types, as strict mypy has them
	mypy

# mypy works while tests wait for servers.
test: lint ## All that has to pass: lint, types, all tests but those of slow and chaos; or the tests of ARGS
	@mypy & types=$$!; pytest -n $(WORKERS) $(ARGS); tests=$$?; wait $$types && exit $$tests

slow: .venv/installed ## Tests that take long and show nothing that the others do not show too
	pytest -n $(WORKERS) -m slow

chaos: .venv/installed ## Faults in runs at work: kills, full disks, lost servers
	pytest -n 0 -m chaos tests/chaos

.venv/installed: requirements.lock pyproject.toml install.py $(MOVED)
	$(PYTHON) install.py $(if $(MOVED),--clear)
	touch $@
