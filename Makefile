# Each target makes what it needs: `.venv` from pyproject.toml, the real server in the user's cache.

PYTHON ?= python3
SERVER_PREVIOUS := 1.20.0
OFFICIAL := 1.21.0

BIN := .venv/bin
STAMP := .venv/stamp
STAMP_DEMO := .venv/stamp-demo
STAMP_LOWEST := .venv-lowest/stamp
STAMP_OFFICIAL := .venv-reduct-py/stamp
STAMP_PLAIN := .venv-plain/stamp
FAST := not contract and not packaging and not heavy
# One worker per core, and one more (tests/conftest.py).
PARALLEL := -n auto
# The programs that tests start would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv generate lint format types server server-path test check coverage contract \
	differential packaging lowest compat demo bench bench-quick clean
.DELETE_ON_ERROR:

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1:\2/p' $(MAKEFILE_LIST) | awk -F: '{printf "%-12s %s\n", $$1, $$2}'

venv: $(STAMP) ## Make .venv with everything a developer needs

# The stamp comes last: after an interruption the environment is made anew.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(STAMP_DEMO)

# What users install is enough for the demo, and is there sooner.
$(STAMP_DEMO): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[local]'
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

test: $(STAMP) ## Run properties and behaviour, both flavours, on the embedded server
	$(BIN)/pytest $(PARALLEL) --hypothesis-profile quick -m "$(FAST)"

check: lint types coverage contract packaging lowest ## Run everything that CI runs

coverage: $(STAMP) server ## Run the tests on both servers; 95 % of lines and branches or more
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL) --server both -m "not contract and not packaging"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

contract: $(STAMP) server ## Hold openapi.yaml against the real server
	$(BIN)/pytest --server real -m contract

differential: $(STAMP) server ## Compare the embedded server with the real one, for a long time
	$(BIN)/pytest --server both --hypothesis-profile long tests/differential

packaging: $(STAMP) ## Build wheel and sdist, install each alone, use it, uninstall it
	$(BIN)/pytest -m packaging

lowest: $(STAMP_LOWEST) ## Run the tests with the lowest allowed dependencies
	.venv-lowest/bin/pytest $(PARALLEL) -m "$(FAST)"

$(STAMP_LOWEST): pyproject.toml tools/lowest.py
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	$(PYTHON) tools/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[dev]' --constraint .venv-lowest/lowest.txt
	touch $@

compat: $(STAMP) ## Run the tests against the previous server
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PYTHON) tools/server.py build $(SERVER_PREVIOUS)
	REDUCT_SERVER="$$($(PYTHON) tools/server.py path $(SERVER_PREVIOUS))" \
		$(BIN)/pytest $(PARALLEL) --server real -m "$(FAST) and not since_1_21"

demo: $(STAMP_DEMO) ## Record, subscribe and query real data with both flavours
	$(BIN)/python -m tools.with_server $(BIN)/python examples/demo.py $(DEMO)

bench: $(STAMP) $(STAMP_OFFICIAL) $(STAMP_PLAIN) server ## Measure against reduct-py on the real server: table, JSON, charts
	.venv-plain/bin/python -m pip install --quiet --no-deps --force-reinstall .
	$(BIN)/python -m benchmarks $(BENCH)

bench-quick: ## The same in below 3 minutes
	$(MAKE) bench BENCH="--quick $(BENCH)"

# The official client in an environment of its own, as its users have it.
$(STAMP_OFFICIAL):
	test -x .venv-reduct-py/bin/python || $(PYTHON) -m venv .venv-reduct-py
	.venv-reduct-py/bin/python -m pip install --quiet reduct-py==$(OFFICIAL)
	touch $@

# This client alone, as its users have it: what the time to import is measured with.
$(STAMP_PLAIN): pyproject.toml
	test -x .venv-plain/bin/python || $(PYTHON) -m venv .venv-plain
	.venv-plain/bin/python -m pip install --quiet .
	touch $@

clean: ## Remove environments, caches and reports; the built server stays
	rm -rf .venv .venv-lowest .venv-reduct-py .venv-plain build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
