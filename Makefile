.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.ready
TOOLS := .venvs/tools/.ready

# The first of these that is new enough; another one by `make setup PYTHON=/path/to/python`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell command -v $(name) >/dev/null && $(name) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(name))))

# uv installs into .venv and nowhere else, with the Python that is there.
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON := $(BIN)/python
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup demo run check test test-all fuzz hostile campaign bench bench-growth bench-pages bench-replicas soak screenshots \
	rolling check-deploy image-check wheel-check sbom audit

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup: $(STAMP) ## .venv with everything, from the lock file
	@echo "Ready. Next: make demo"

demo: $(STAMP) ## The main job, end to end, in the terminal
	@$(BIN)/python -m demo

run: $(STAMP) ## Serve on :8080 (PORT) with .env; without Stamped.io keys against the sandbox
	@$(BIN)/ipaas-stamped serve --host 0.0.0.0

check: $(STAMP) ## Format, lint, types, arrows between rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## Every check of the project, tests included
	$(BIN)/pytest -n 3 --dist worksteal

test-all: ## The fast part (no Chromium, no kills) on each Python found, 3.11 to 3.14, each in .venvs/<version>
	@'$(PYTHON)' tools/test_all.py $(ARGS)

fuzz: $(STAMP) ## Does OpenAPI say what the code does? Schemathesis, with a seed of its own (5 minutes; ARGS=--seconds=60)
	@$(BIN)/python -m tests.fuzz $(ARGS)

hostile: $(STAMP) ## 12,000 hostile requests: does one break it, hang, show a person, or keep others waiting? (2 minutes)
	@$(BIN)/python -m tests.hostile $(ARGS)

campaign: $(STAMP) ## 10,000 transfers on each database, with kills, cancels and faults: is one lost? (8 minutes)
	@$(BIN)/python -m tests.campaign

rolling: $(STAMP) ## Two replicas behind Caddy, replaced again and again under load (1 minute; ARGS=--proxy=nginx)
	@$(BIN)/python -m tests.campaign.rolling $(ARGS)

bench: $(STAMP) ## Speed beside a stateless control, and the goals (7 minutes, quiet machine; ARGS=--quick: 1)
	@$(BIN)/python -m bench $(ARGS)

bench-growth: $(STAMP) ## Speed, pages, start, retention and size with up to 1,000,000 transfers stored (5 minutes)
	@$(BIN)/python -m bench.growth $(ARGS)

bench-pages: $(STAMP) ## Every page with 1,000,000 transfers stored, warm and cold, on both databases (5 minutes; ARGS=--only=SQLite)
	@$(BIN)/python -m bench.pages $(ARGS)

bench-replicas: $(STAMP) ## Speed of one and of two replicas on one PostgreSQL (2 minutes)
	@$(BIN)/python -m bench.replicas $(ARGS)

soak: $(STAMP) ## Steady load, faults and restarts: is one lost, doubled, stale? does it leak? (10 minutes)
	@$(BIN)/python -m bench.soak $(ARGS)

screenshots: $(STAMP) ## The README's pictures, from seeded sandbox data
	@$(BIN)/python tools/screenshots.py

check-deploy: $(STAMP) $(TOOLS) ## The files of deploy/, the Dockerfile and the workflows, each by its own tool
	@$(BIN)/python tools/check_deploy.py

image-check: ## Builds the Dockerfile and runs the image, without Docker (as root, on Debian; 1 minute, then 15 s)
	@tools/image_check.sh

wheel-check: $(STAMP) ## The wheel, installed outside of this folder, serves
	@tools/wheel_check.sh

sbom: $(STAMP) ## dist/sbom.cdx.json: what the image is made of, from the lock file (CycloneDX)
	@mkdir -p dist
	@PATH="$$PATH:$(CURDIR)/$(BIN)" uv export --frozen --no-dev --format cyclonedx1.5 --quiet --output-file dist/sbom.cdx.json >/dev/null
	@echo dist/sbom.cdx.json

audit: $(STAMP) $(TOOLS) ## Is something of the image known to be vulnerable? 0: no, 1: yes, 3: nobody could be asked
	@$(BIN)/python tools/audit.py

$(TOOLS): pyproject.toml uv.lock | $(STAMP)
	@PATH="$$PATH:$(CURDIR)/$(BIN)" UV_PROJECT_ENVIRONMENT=.venvs/tools uv sync --frozen --only-group tools --quiet
	@touch $@

$(STAMP): pyproject.toml uv.lock
	@if ! $(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null; then \
		python='$(PYTHON)'; \
		if [ -z "$$python" ] || ! "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
			found=$$("$${python:-python3}" --version 2>/dev/null || echo none); \
			echo "Python 3.11 or newer is needed, found: $$found. Install it, or name it: make setup PYTHON=/path/to/python" >&2; \
			exit 1; \
		fi; \
		if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
			exit 1; \
		fi; \
		"$$python" -m venv --clear .venv || exit 1; \
	fi
	@if ! command -v uv >/dev/null && ! [ -x $(BIN)/uv ]; then \
		$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null || exit 1; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv; \
	fi
	@PATH="$$PATH:$(CURDIR)/$(BIN)" uv sync --frozen --inexact --quiet
	@touch $@
