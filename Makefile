# Everything here is a thin name for a script or for the program `proviso`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv/bin

.PHONY: help setup lock clean

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## make .venv with everything that runs here (PYTHON=... selects the interpreter)
	@scripts/setup

lock: ## pin all requirements anew from the .in files
	@scripts/lock

clean: ## remove what was made here
	rm -rf .venv build dist run report *.egg-info transformer/build transformer/*.egg-info \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
