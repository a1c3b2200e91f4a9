# Verbs: demo, ui, test, check, bench; also setup, lock, clean. Each sets up what it needs, once per change of the locks.
# Needed on the machine: Python 3.11 or newer, git, make.

.POSIX:
.DELETE_ON_ERROR:
.PHONY: help demo ui test test-base test-all check bench setup lock clean
MAKEFLAGS += --no-print-directory

VENV = .venv
BASE = .venv-base
BIN = $(VENV)/bin
PIP_INSTALL = -m pip install -qq --disable-pip-version-check --no-input
EDITABLE = --no-deps --no-build-isolation --editable .

# On every core, and what is slow is shared out again while it runs.
PARALLEL = -n logical --maxprocesses 4 --dist worksteal

# Tests of the store, which is an extra as a whole; every other test runs without extras too, or says what it needs.
STORE_TESTS = tests/contract tests/observe tests/server tests/e2e tests/ui

help:
	@echo "make demo    run an example workflow, well and failing, and look at its record"
	@echo "make ui      build the web UI, if web/ has changed"
	@echo "make test    run every test, first without extras, then with all of them"
	@echo "make check   format, lint, types, docs, architecture"
	@echo "make bench   run every benchmark"
	@echo "make lock    resolve the requirements*.lock files again (needs the network)"
	@echo "make clean   remove environments, caches and the demo's data"

# MODEL names a real model, such as openai:gpt-4.1-mini, instead of one at home; see examples/package_release/README.md.
EXAMPLE = examples/package_release
WITH_MODEL = $(if $(MODEL),,python $(EXAMPLE)/stand_in.py)

demo: $(VENV)/.locked ui
	@PATH="$(CURDIR)/$(BIN):$$PATH" MODEL="$(MODEL)" $(WITH_MODEL) sh $(EXAMPLE)/demo.sh

# Built only when web/ has changed since; with Node from the system, else from a package.
ui: $(VENV)/.locked
	@$(BIN)/python web/build.py

test: test-base test-all

test-base: $(BASE)/.locked
	@echo "tests without extras"
	@CLEW_REQUIRE_ALL= $(BASE)/bin/python -m pytest $(PARALLEL) $(addprefix --ignore=,$(STORE_TESTS))

test-all: $(VENV)/.locked ui
	@echo "tests of the UI's parts" && $(BIN)/python web/build.py test
	@echo "tests with all extras"
	@$(BIN)/python -m pytest $(PARALLEL)

check: $(VENV)/.locked
	@echo "format" && $(BIN)/ruff format --check --quiet .
	@echo "lint" && $(BIN)/ruff check --quiet .
	@echo "types" && $(BIN)/mypy
	@echo "the UI's format, lint, types" && $(BIN)/python web/build.py check
	@echo "docs, architecture" && $(BIN)/python -m pytest tests/test_*.py

bench: $(VENV)/.locked-bench
	@for script in recorder instruments budgets model_calls ingest serve workflow; do echo "benchmarks/$$script.py" && $(BIN)/python benchmarks/$$script.py || exit 1; done

setup: $(VENV)/.locked $(BASE)/.locked

# An environment is made anew only when its lock or the package's metadata changes; the stamp is written last.
$(VENV)/.locked: requirements.lock pyproject.toml
	@.ci/venv $(VENV)
	@echo "installing requirements.lock into $(VENV) (once)"
	@$(BIN)/python $(PIP_INSTALL) -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) $(EDITABLE)
	@touch $@

$(VENV)/.locked-bench: $(VENV)/.locked requirements-bench.lock
	@echo "installing requirements-bench.lock into $(VENV) (once)"
	@$(BIN)/python $(PIP_INSTALL) -r requirements-bench.lock
	@touch $@

$(BASE)/.locked: requirements-base.lock pyproject.toml
	@.ci/venv $(BASE)
	@echo "installing requirements-base.lock into $(BASE) (once)"
	@$(BASE)/bin/python $(PIP_INSTALL) -r requirements-base.lock
	@$(BASE)/bin/python $(PIP_INSTALL) $(EDITABLE)
	@touch $@

# The locks name versions for every Python from 3.11 on and every platform, and no registry.
LOCK = .venv-lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

lock:
	@.ci/venv .venv-lock
	@.venv-lock/bin/python $(PIP_INSTALL) uv
	@$(LOCK) --extra bench --output-file requirements-bench.lock
	@$(LOCK) --extra dev --constraint requirements-bench.lock --output-file requirements.lock
	@$(LOCK) --extra test --constraint requirements-bench.lock --output-file requirements-base.lock
	@echo "requirements.lock, requirements-base.lock and requirements-bench.lock are resolved anew"

clean:
	rm -rf web/node_modules src/clew/server/static $(VENV) $(BASE) .venv-lock .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
