.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help setup demo run check test

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP) ## .venv with everything, from the lock file

$(STAMP): pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv sync --frozen --inexact --quiet
	@touch $@

demo: $(STAMP) ## The main job, end to end, in the terminal
	@$(BIN)/python -m demo

run: $(STAMP) ## Serve on :8080 with .env; without Stamped.io keys against the sandbox
	@$(BIN)/ipaas-stamped serve --host 0.0.0.0 --port 8080

check: $(STAMP) ## Lint, types, arrows between rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## Every check of the project
	$(BIN)/pytest
