# Giamdinh: `make help` says what there is.

PYTHON ?= python3.11
UV_VERSION := 0.13.9
BIN := .venv/bin

export PYTHON UV_VERSION
export PYTHONPATH := $(CURDIR):$(CURDIR)/plugins

.DEFAULT_GOAL := help
.PHONY: help demo up down what-if test fuzz oracle truth check format bench bench-intake bench-reference bench-data-docs lock schemas \
	settings-table rule-book suites clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: .venv/runtime.stamp ## the whole way once: simulated hospitals, real Airflow and PostgreSQL, a summary; stops everything
	@$(BIN)/python scripts/demo.py

# `make up EMPTY=1` starts without the simulated hospitals.
up: .venv/runtime.stamp ## Airflow with live inboxes on http://localhost:8080 (PORT=…), SFTP on 2222 (SFTP_PORT=…), until `make down`
	@$(BIN)/python scripts/serve.py up --port $(or $(PORT),8080) --sftp-port $(or $(SFTP_PORT),2222) \
		$(if $(EMPTY),--empty)

down: .venv/runtime.stamp ## stops what `make up` started
	@$(BIN)/python scripts/serve.py down

what-if: .venv/runtime.stamp ## from nothing, what the base salary change of 2026-07-01 changes: a difference report (dry run) in var/what-if/report
	@$(BIN)/python scripts/what_if.py $(ARGS)

test: .venv/dev.stamp ## every test
	@scripts/install_test_packages.sh
	$(BIN)/python -m pytest $(ARGS)

fuzz: .venv/dev.stamp ## damages claim files and reads them, RUNS=… times with SEED=… (default: 100,000 times, another seed each time)
	FUZZ_RUNS=$(or $(RUNS),100000) FUZZ_SEED=$(or $(SEED),random) $(BIN)/python -m pytest tests/faults -q -s

oracle: .venv/dev.stamp ## the benefit law against its naive second version, over RUNS=… claims (default: 100,000)
	BENEFIT_CLAIMS=$(or $(RUNS),100000) $(BIN)/python -m pytest tests/claim_rules/test_benefit_twice.py -q --timeout 7200

truth: .venv/runtime.stamp ## recall and precision of every rule on simulated hospitals with planted faults (ARGS=--through check …)
	@$(BIN)/python bench/truth.py $(ARGS)

check: .venv/dev.stamp ## style, types and import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/dev.stamp ## lays the code out and mends what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/runtime.stamp ## measures every stage against the floor; writes bench/results/latest.json
	@$(BIN)/python bench/run.py $(ARGS)

bench-intake: .venv/runtime.stamp ## 10,000 small deliveries at once (ARGS=--deliveries …): seconds and peak memory
	@$(BIN)/python bench/intake.py $(ARGS)

bench-reference: .venv/runtime.stamp ## a register of 1,000,000 cards: first load, the next day's, an appraisal beside it (ARGS=--cards …)
	@$(BIN)/python bench/reference.py $(ARGS)

bench-data-docs: .venv/dev.stamp ## Data Docs with 50,000 stored results: seconds of one more batch, milliseconds until a page is open
	@$(BIN)/python bench/data_docs.py $(ARGS)

schemas: .venv/runtime.stamp ## writes the XML Schemas from the dictionary
	@$(BIN)/python -m claim_rules.schemas

settings-table: .venv/runtime.stamp ## writes docs/settings.md from the settings class
	@$(BIN)/python scripts/settings_table.py > docs/settings.md

rule-book: .venv/runtime.stamp ## writes docs/rule-book.md and docs/rules/ from the rules and their cases
	@$(BIN)/giamdinh rules --docs docs

suites: .venv/runtime.stamp ## writes what is expected of each table (claim_rules/expectations/suites) from the dictionary
	@$(BIN)/giamdinh expectations --out claim_rules/expectations/suites

# `make lock UPGRADE=--upgrade` also moves to newer versions.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate $(UPGRADE)
lock: .venv/dev.stamp ## writes both lock files from pyproject.toml
	$(COMPILE) --extra dev -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock -o requirements.lock

clean: ## removes the environment, caches and everything under var/
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime.stamp: requirements.lock scripts/environment.sh
	@scripts/environment.sh runtime
	@touch $@

.venv/dev.stamp: requirements-dev.lock scripts/environment.sh
	@scripts/environment.sh dev
	@touch $@ .venv/runtime.stamp
