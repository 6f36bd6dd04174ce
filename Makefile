# The front doors. Each does its own set-up and can be run again.
#
#   make demo      a hub with everything on this machine     PORT=8000 KEEP=1
#   make install   the .venv with what the others need
#   make test      everything that is tested by default
#   make check     the quick loop: ruff, mypy, import contract, unit tests, tsc
#   make prove     one proof by counting                     WHAT=kill-service CASES=50 SEED=1

PORT ?= 8000
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Where no node is installed, the set-up puts PyPI's there.
export PATH := $(CURDIR)/.cache/bin:$(PATH)
SETUP := PYTHON="$(PYTHON)" bash .ci/setup

.PHONY: demo install test check prove clean help
.DEFAULT_GOAL := help

help:
	@sed -n '3,8p' Makefile | cut -c3-

install:
	@$(SETUP) test

demo:
	@$(SETUP) demo
	@exec $(BIN)/jupyter-quantum demo --port $(PORT) $(if $(filter-out 0,$(KEEP)),--keep)

test:
	@$(SETUP) test browser
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

check:
	@$(SETUP) test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --no-loadscope-reorder tests/unit tests/property
	cd labextension && npm exec --no -- tsc --noEmit

prove:
	@$(SETUP) test
	@$(BIN)/python -m tests.prove "$(WHAT)" $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf .venv .cache labextension/node_modules jupyter_quantum/labextension
