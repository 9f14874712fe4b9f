# Every target creates the environment and installs the pinned packages first; both are quick the second time.
# Without make: python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[dev]', then the commands below.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# In two processes; the tests of a file stay together, since they share what is costly to set up.
IN_TWO := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install run ui test test-all lint bench clean-venv

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "error: $$($(PYTHON) --version) found, Python 3.11, 3.12 or 3.13 is needed; run make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

install: $(STAMP)  ## Create .venv and install the pinned packages

run: $(STAMP)  ## Run the selected suite through the Prefect flow; prints where the report is
	$(BIN)/tandem run

ui: $(STAMP)  ## Start the user interface on 127.0.0.1:4200 and the reports on 127.0.0.1:4201
	$(BIN)/tandem ui

test: $(STAMP)  ## Run the tests that take minutes
	$(BIN)/python -m pytest $(IN_TWO) -m 'not slow and not data and not long'

test-all: $(STAMP)  ## Run all tests, the slow ones and those on genuine data too
	$(BIN)/python -m pytest $(IN_TWO)

lint: $(STAMP)  ## Check style and types (ruff, mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## Measure the ratios of docs/benchmarks.md (an hour and a half)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

clean-venv:  ## Remove the environment
	rm -rf $(VENV)
