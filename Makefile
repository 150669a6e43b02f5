# `make help` lists the targets. Everything lives in .venv/ and data/; nothing is installed system-wide.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# A Python named on the command line is the only one that is tried.
CANDIDATES := "$(PYTHON)" $(if $(filter command,$(firstword $(origin PYTHON))),,python3 python3.14 python3.13 python3.12 python3.11)
INPUT ?=
NAME ?= cost
PORT ?= 3000

# Another project's modules have no place in this environment.
unexport PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
unexport PIP_USER PIP_TARGET PIP_PREFIX

# An environment that was moved, or whose Python has gone, is built anew.
ifneq ($(shell cat $(VENV)/.place 2>/dev/null; $(BIN)/python -c '' 2>/dev/null && echo works),$(CURDIR) works)
REBUILD := rebuild
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint ui notebook bench spark clean rebuild

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.project ## build .venv/ from requirements.lock (Python 3.11 or newer, a package index)

$(VENV)/.place: $(REBUILD)
	@for candidate in $(CANDIDATES); do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found="$$candidate"; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo 'error: no usable Python among: $(CANDIDATES)' >&2; \
		echo 'Python 3.11 or newer with venv is needed (Debian: apt install python3 python3-venv);' >&2; \
		echo 'then: make PYTHON=/path/to/python3' >&2; \
		exit 2; \
	fi; \
	echo "Building $(VENV)/ with $$("$$found" --version) …"; \
	"$$found" -m venv --clear $(VENV) && printf '%s\n' "$(CURDIR)" > $@

$(VENV)/.requirements: requirements.lock $(VENV)/.place
	@echo 'Installing requirements.lock …'
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.requirements
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup ## fill a ledger (INPUT=FILE: from an Aider log), run the daily job, show costs, cold storage, replay, verification
	@$(BIN)/python -m ledger_pipeline demo $(if $(INPUT),--input "$(INPUT)")

test: setup ## run every test; ends with a table of the mission's rows
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: setup ## check style, formatting, types and import contracts
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

ui: setup ## open the Dagster UI on the ledger (PORT=3000)
	@$(BIN)/python -m ledger_pipeline up --port "$(PORT)"

notebook: setup ## open a notebook in the browser (NAME=cost or NAME=audit)
	@$(BIN)/python -m ledger_pipeline notebook "$(NAME)"

# The peers have an environment of their own; where it can't be built, everything else is measured all the same.
.venv-bench/.requirements: benchmarks/requirements.lock $(VENV)/.place
	@echo 'Building .venv-bench/ with the peers …'
	@$(BIN)/python -m venv --clear .venv-bench \
		&& .venv-bench/bin/python -m pip install --quiet --require-hashes -r benchmarks/requirements.lock \
		&& touch $@ \
		|| { rm -rf .venv-bench; echo 'warning: the peers can not be installed, so they are not measured' >&2; }

bench: setup .venv-bench/.requirements ## measure append, replay, verify, roll, costing and marts beside COPY and peers
	@$(BIN)/python -m benchmarks.run

.venv-spark/.requirements: ledger_pipeline_tests/spark/requirements.lock $(VENV)/.place
	@echo 'Building .venv-spark/: half a gigabyte …'
	@$(BIN)/python -m venv --clear .venv-spark
	@.venv-spark/bin/python -m pip install --quiet --require-hashes -r ledger_pipeline_tests/spark/requirements.lock
	@touch $@

spark: .venv-spark/.requirements ## install Spark, so that its test is not skipped (Java 17 or newer)

clean: ## remove .venv/, .venv-bench/, .venv-spark/ and caches; never the ledger in data/
	rm -rf $(VENV) .venv-bench .venv-spark build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find ledger_pipeline ledger_pipeline_tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
