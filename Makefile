# Each target makes what it needs: `.venv` from pyproject.toml, the real server in the user's cache.

PYTHON ?= python3
SERVER_PREVIOUS := 1.20.0

BIN := .venv/bin
STAMP := .venv/stamp
STAMP_LOWEST := .venv-lowest/stamp
FAST := -m "not contract and not packaging"

.PHONY: help venv generate lint format types server server-path test check coverage contract \
	packaging lowest compat demo clean
.DELETE_ON_ERROR:

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1:\2/p' $(MAKEFILE_LIST) | awk -F: '{printf "%-12s %s\n", $$1, $$2}'

venv: $(STAMP) ## Make .venv with everything a developer needs

# The stamp comes last: after an interruption the environment is made anew.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

generate: $(STAMP) ## Regenerate generated/reduct_api from openapi.yaml
	$(BIN)/python generated/regenerate.py

lint: $(STAMP) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Check types strictly, tests and generated code included
	$(BIN)/mypy

server: ## Build the real ReductStore server unless it is there
	$(PYTHON) tools/server.py build

server-path: ## Print the path of the real server's binary (make -s server-path)
	@$(PYTHON) tools/server.py path

test: $(STAMP) server ## Run properties and behaviour, both flavours, on the real server
	$(BIN)/pytest $(FAST)

check: lint types coverage contract packaging lowest ## Run everything that CI runs

coverage: $(STAMP) server ## Run the tests and hold line and branch coverage at 95 % or more
	$(BIN)/coverage run -m pytest $(FAST)
	$(BIN)/coverage report

contract: $(STAMP) server ## Hold openapi.yaml against the real server
	$(BIN)/pytest -m contract

packaging: $(STAMP) ## Build wheel and sdist, install each alone, use it, uninstall it
	$(BIN)/pytest -m packaging

lowest: $(STAMP_LOWEST) server ## Run the tests with the lowest allowed dependencies
	.venv-lowest/bin/pytest $(FAST)

$(STAMP_LOWEST): pyproject.toml tools/lowest.py
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	$(PYTHON) tools/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[dev]' --constraint .venv-lowest/lowest.txt
	touch $@

compat: $(STAMP) ## Run the tests against the previous server
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PYTHON) tools/server.py build $(SERVER_PREVIOUS)
	REDUCT_SERVER="$$($(PYTHON) tools/server.py path $(SERVER_PREVIOUS))" \
		$(BIN)/pytest -m "not contract and not packaging and not since_1_21"

demo: $(STAMP) server ## Record, subscribe and query real data with both flavours
	$(BIN)/python -m tools.with_server $(BIN)/python examples/demo.py $(DEMO)

clean: ## Remove environments, caches and reports; the built server stays
	rm -rf .venv .venv-lowest build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
