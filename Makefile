# Everything a newcomer needs: each target sets up what it uses.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
export CONTINUUM_HOME ?= $(CURDIR)/.continuum
export DAGSTER_HOME ?= $(CONTINUUM_HOME)/dagster
export DAGSTER_DISABLE_TELEMETRY := yes
export MLFLOW_DISABLE_TELEMETRY := true
# Six processes of some hundred megabytes each that do nothing for who only looks at runs and models.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
# Small models on two cores run faster on one thread than on two.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false
# Some of the tests wait for daemons, so that three workers keep two cores busy. A file's tests stay together, in the order of tests/conftest.py.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help demo ui mlflow test test-fast check format docs docs-serve bench bench-peers dist dist-check dist-ranges sbom licences browser clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.pipelines told-of-dagster.yaml  ## turn the wheel twice on made-up traffic, offline, and tell the story
	$(BIN)/python -m continuum_pipelines.demo

ui: $(VENV)/.pipelines told-of-dagster.yaml  ## Dagster (webserver and daemon) on http://127.0.0.1:3000
	$(BIN)/dg dev --host 127.0.0.1 --port 3000

mlflow: $(VENV)/.pipelines  ## MLflow on http://127.0.0.1:5000, the runs under Model training
	$(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri sqlite:///$(CONTINUUM_HOME)/mlflow.db

test: $(VENV)/.dev browser  ## the whole suite
	$(BIN)/python -m pytest $(WORKERS)

test-fast: $(VENV)/.dev  ## the suite without what trains, serves or opens a browser
	$(BIN)/python -m pytest -m "not slow" $(WORKERS)

check: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev  ## the pages and the API reference into site/, offline; any warning fails
	$(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.dev  ## the pages on http://127.0.0.1:8000, rebuilt as they change
	$(BIN)/mkdocs serve --strict --dev-addr 127.0.0.1:8000

bench: $(VENV)/.dev  ## capture, judging, curation, training, the guard, deployment, orchestration and analytics against their goals and their peers (hours; BENCH="--quick" for some minutes)
	@missed=0; for suite in capture judging curation training guard deployment orchestration analytics; do $(BIN)/python -m benchmarks.$$suite $(BENCH) || missed=1; done; exit $$missed

bench-peers: .venv-peers/.installed  ## install what `make bench` compares with, in an environment of its own

dist: .venv-dist/.installed  ## the sdist and the wheel into dist/
	.venv-dist/bin/python -m build --outdir dist .

dist-check: dist  ## install the wheel alone and with each extra into fresh environments: what came, what it weighs, does it work
	.venv-dist/bin/python -m releasing.installing dist/*.whl $(INSTALL)

dist-ranges: .venv-dist/.installed  ## the fast tests at the lowest versions that the ranges allow (RANGES="highest", RANGES="pinned --python 3.12")
	.venv-dist/bin/python -m releasing.ranges $(or $(RANGES),lowest)

sbom: dist  ## a CycloneDX bill of what pipelines and every extra of users install, into dist/
	.venv-dist/bin/python -m releasing.bill dist/*.whl

licences: $(VENV)/.dev  ## write docs/licences.md from what is installed
	$(BIN)/python -m releasing.licences

browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
		|| echo "chromium is not installed: the browser test will be skipped"

clean:  ## remove the environment and everything the demo made here
	rm -rf $(VENV) .venv-peers .venv-dist .continuum build dist site *.egg-info

# What somebody wrote into their own is theirs: a newer one here is told of, and copied only where there is none.
$(DAGSTER_HOME)/dagster.yaml: | dagster.yaml
	umask 077 && mkdir -p $(@D)
	cp dagster.yaml $@

.PHONY: told-of-dagster.yaml
told-of-dagster.yaml: $(DAGSTER_HOME)/dagster.yaml
	@cmp -s dagster.yaml $< || echo "$< differs from this version's dagster.yaml: keep your changes, or take the new one with: cp $(CURDIR)/dagster.yaml $<"

$(VENV)/.base: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	touch $@

.venv-peers/.installed: benchmarks/peers.txt
	@echo "Installing the benchmarks' peers into .venv-peers (a few minutes, once) ..."
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -r $<
	touch $@

.venv-dist/.installed: releasing/tools.txt
	@echo "Installing what builds and checks a release into .venv-dist ..."
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -r $<
	touch $@

$(VENV)/.pipelines: $(VENV)/.base
	@echo "Installing Continuum with training and pipelines into $(VENV) (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[pipelines]"
	touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing Continuum with everything for development into $(VENV) (a few minutes, once) ..."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.pipelines
