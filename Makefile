# `make demo` and `make test` set up all they need; `make help` lists the rest. Needs Python 3.11 and make beforehand.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
PY := $(VENV)/bin/python
SUBMIT := $(VENV)/bin/spark-submit
FORMAT ?= jsonl
# What only looks leaves no result to show.
SHOWN := $(if $(filter --dry-run --help,$(ARGS)),@:,@$(PY) -m demo.show)

# What runs here is the environment's own Spark, Python and configuration, whatever other Spark this shell is set to.
# Set-up itself sees the shell's SPARK_CONF_DIR, which may name a mirror for Delta's jars.
SHELL_SPARK_CONF_DIR := $(SPARK_CONF_DIR)
export SPARK_CONF_DIR := $(CURDIR)/conf
export SPARK_HOME := $(CURDIR)/$(VENV)/lib/python3.11/site-packages/pyspark
export PYSPARK_PYTHON := $(CURDIR)/$(PY)
unexport PYSPARK_DRIVER_PYTHON PYSPARK_DRIVER_PYTHON_OPTS PYSPARK_SUBMIT_ARGS PYTHONPATH PYTHONHOME

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## make or mend the environment; PYTHON=...: with this Python 3.11
	@SPARK_CONF_DIR='$(SHELL_SPARK_CONF_DIR)' PYTHON='$(PYTHON)' JARS_ARGS="$$JARS_ARGS" sh tools/python311.sh -m tools.bootstrap

.PHONY: demo
ifdef CRAWL
demo: setup ## build the demo lake and report; CRAWL=path FORMAT=instaloader: of your own crawl
	@$(SUBMIT) jobs/build_profiles.py --config conf/demo.yaml \
	  "crawl.path=$(CRAWL)" "crawl.format=$(FORMAT)" lake.path=data/own/lake report.path=data/own/report $(ARGS)
	$(SHOWN) --config conf/demo.yaml lake.path=data/own/lake report.path=data/own/report $(ARGS)
else
# The JVM of so small a lake lives for minutes, in which its second compiler takes more time than it saves; the first one
# alone needs to be given room for Spark's code.
demo: export SPARK_SUBMIT_OPTS ?= -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m
demo: setup
	@$(PY) -m demo.make_crawl --out data/demo/crawl
	@$(SUBMIT) demo/run.py --config conf/demo.yaml $(ARGS)
	$(SHOWN) --config conf/demo.yaml $(ARGS)
endif

.PHONY: sql
sql: export PROFILELAKE_SQL = $(value Q)
sql: setup ## query the demo lake: Q="select ..." or FILE=sql/x.sql; ARGS=lake.path=...: another lake
	@if [ -n '$(FILE)' ]; then \
	  $(PY) jobs/query_lake.py --config conf/demo.yaml --file '$(FILE)' $(ARGS); \
	else \
	  $(PY) jobs/query_lake.py --config conf/demo.yaml "$$PROFILELAKE_SQL" $(ARGS); \
	fi

.PHONY: test
test: setup ## the quick tests (ARGS=... goes to pytest)
	@$(PY) -m pytest -m "not slow and not gpu" $(ARGS)

.PHONY: test-slow
test-slow: setup ## the other tests: jobs through spark-submit, real networks, packaging
	@$(PY) -m pytest -m "slow and not gpu" $(ARGS)

.PHONY: lint
lint: setup ## ruff: mistakes and formatting
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: format
format: setup ## let ruff format and sort imports
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: typecheck
typecheck: setup ## mypy, strict
	@$(PY) -m mypy

.PHONY: bench-pictures
bench-pictures: setup ## measure the picture pass against what else there is; a quarter of an hour
	@$(PY) -m benchmarks.pictures $(ARGS)

.PHONY: bench-kmeans
bench-kmeans: setup ## measure k-means against what else there is; an hour and a half
	@$(PY) -m benchmarks.kmeans $(ARGS)

.PHONY: bench-behaviour
bench-behaviour: setup ## measure paper 1's measures against DuckDB; three quarters of an hour
	@$(PY) -m benchmarks.behaviour $(ARGS)

.PHONY: bench-interests
bench-interests: setup ## measure how long ten million labels and tags take to become interests; half an hour
	@$(PY) -m benchmarks.interests $(ARGS)

.PHONY: package
package: setup ## build the wheel into dist/
	@rm -rf build
	@$(PY) -m build --wheel --no-isolation --outdir dist .

.PHONY: docs-tables
docs-tables: setup ## write docs/tables.md from the table declarations
	@$(PY) -m profilelake.tables > docs/tables.md.new && mv docs/tables.md.new docs/tables.md

.PHONY: lexicon
lexicon: setup ## build the packaged lexicon of interests anew from its sources (docs/interests.md)
	@$(PY) -m tools.fetch_lexicon_sources
	@$(PY) jobs/build_lexicon.py wordnet --sources .setup/lexicon $(ARGS)

.PHONY: lock
lock: ## make the lock files from requirements/*.in; UPGRADE=1: with the newest versions they allow
	@PYTHON='$(PYTHON)' UPGRADE='$(UPGRADE)' sh tools/python311.sh -m tools.make_lock

.PHONY: clean
clean: ## delete the demo's data and what builds and tools leave; data/own stays
	@rm -rf data/demo dist build .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## clean, and delete the environment and the jars too
	@rm -rf $(VENV) .setup jars *.egg-info
