# Two commands do everything: `make run` and `make test`. Both set up what they need, and do it once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PEERS := tests/interop/node
CLIENTS := tests/clients/node

.DEFAULT_GOAL := help
.PHONY: help run test check install models clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: install  ## fetch the models, start the server, print the address to open
	@$(BIN)/voxrtc serve

test: $(VENV)/.test models  ## set up what the tests need, then lint, type-check and run them all
	@sh tests/packages.sh
	@$(MAKE) --no-print-directory $(PEERS)/node_modules/.package-lock.json $(CLIENTS)/node_modules/.package-lock.json
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest

check: $(VENV)/.test  ## ruff and mypy only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

install: $(VENV)/.run  ## the virtual environment with pinned dependencies

models: install  ## fetch and verify the model files of the configured profile and of the tests
	@$(BIN)/voxrtc models pull
	@$(BIN)/voxrtc models pull smollm2-135m

clean:  ## remove the virtual environment and caches (model files stay)
	@rm -rf $(VENV) $(PEERS)/node_modules $(CLIENTS)/node_modules .mypy_cache .pytest_cache .ruff_cache build *.egg-info

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "voxrtc needs Python 3.11 or newer; name one with: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python has no venv; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Installing pinned dependencies"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "Installing what the tests need"
	@$(PIP) install --constraint constraints.txt --editable '.[test,bench,espeak,gpu]'
	@touch $@

$(PEERS)/node_modules/.package-lock.json $(CLIENTS)/node_modules/.package-lock.json: \
		%/node_modules/.package-lock.json: %/package-lock.json
	@if command -v npm >/dev/null; then \
		echo "Installing the callers in node that the tests have ($*)"; \
		cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo "No npm: the tests of callers in node are skipped"; fi
