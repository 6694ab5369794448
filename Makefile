# Everything here is a thin name for a script or for the program `proviso`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv/bin

.PHONY: help setup demo deploy undeploy test test-cluster test-long verify bench-quality bench-materialize bench-join sweep format releases lock clean

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## make .venv with everything that runs here (PYTHON=... selects the interpreter)
	@scripts/setup

demo: setup ## the whole path on one machine (TRANSACTIONS=FILE.parquet, KEEP=1, SAMPLE=N)
	@$(VENV)/proviso local demo $(if $(TRANSACTIONS),--transactions "$(TRANSACTIONS)") \
	  $(if $(KEEP),--keep) $(if $(SAMPLE),--sample "$(SAMPLE)")

deploy: setup ## onto a kind cluster, ending with a scored request (CONTEXT=NAME, MODE=knative, DRY_RUN=server, MIRROR=DIR)
	@scripts/deploy $(if $(CONTEXT),--context "$(CONTEXT)") $(if $(MODE),--mode "$(MODE)") \
	  $(if $(DRY_RUN),--dry-run "$(DRY_RUN)") $(if $(MIRROR),--mirror "$(MIRROR)")

undeploy: setup ## take it away again (CONTEXT=NAME, MODE=knative)
	@scripts/undeploy $(if $(CONTEXT),--context "$(CONTEXT)") $(if $(MODE),--mode "$(MODE)")

verify: setup ## ruff, strict mypy, import-linter, generated files regenerate without a diff
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports
	@scripts/check-generated

test: verify ## verify, then every test that needs no cluster (under ten minutes)
	@$(VENV)/pytest -m "not long and not cluster" -n auto --maxprocesses 4 --dist loadfile

test-cluster: setup ## the tests on a real kind cluster (FRESH=1: a new one)
	@scripts/test-cluster

test-long: setup ## the tests that take too long for every day
	@$(VENV)/pytest -m "long and not cluster" -n auto --maxprocesses 2 --dist loadfile
	@scripts/test-long-cluster

bench-quality: setup ## what each group of features is worth (TRANSACTIONS=FILE.parquet WEEKS="DAY ...")
	@$(VENV)/proviso bench quality --transactions "$(TRANSACTIONS)" $(foreach w,$(WEEKS),--week $(w))

bench-materialize: setup ## what the online timeline costs against plain SET (ENTITIES=N ROUNDS=R)
	@$(VENV)/proviso bench materialize $(if $(ENTITIES),--entities "$(ENTITIES)") \
	  $(if $(ROUNDS),--rounds "$(ROUNDS)")

bench-join: setup ## the point-in-time join beside others (GROWTH=1 LABELS=N ROWS=N ENTITIES=N ROUNDS=R OUT=DIR)
	@scripts/setup-peers
	@$(VENV)/proviso bench join $(if $(GROWTH),--growth) $(if $(LABELS),--labels "$(LABELS)") \
	  $(if $(ROWS),--rows "$(ROWS)") $(if $(ENTITIES),--entities "$(ENTITIES)") \
	  $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(OUT),--out "$(OUT)")

sweep: setup ## the predictor's latency against throughput by batching setting (OUT=DIR ROUNDS=N CONCURRENCY=1,16 DELAYS=0,500)
	@scripts/sweep "$(or $(OUT),report/sweep)" $(if $(ROUNDS),--rounds "$(ROUNDS)") \
	  $(if $(CONCURRENCY),--concurrency "$(CONCURRENCY)") $(if $(DELAYS),--delay-us "$(DELAYS)")

format: setup ## lay out all code
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

releases: setup ## bind the committed models to the present source (new ids, same model bytes)
	@$(VENV)/proviso releases rebind
	@scripts/render-examples

lock: ## pin all requirements anew from the .in files
	@scripts/lock

clean: ## remove what was made here
	rm -rf .venv .venv.lock build dist run report *.egg-info transformer/build transformer/*.egg-info \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
