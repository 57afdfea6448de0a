# Each target makes the environment where it is missing. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help environment demo test everyday docs hooks release lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /' | sort

environment: $(STAMP)  ## .venv with exactly what requirements.lock names

demo: $(STAMP)  ## three simulated vendors, a classifier, harmonizers, a report
	$(BIN)/isotone demo -o demo --force

test: $(STAMP)  ## all tests
	$(BIN)/pytest -n 2

everyday: $(STAMP)  ## the tests that are not marked slow
	$(BIN)/pytest -n 2 -m "not slow"

docs: $(STAMP)  ## docs/_build/html, and their generated pages
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

hooks: $(STAMP)  ## before every commit: lint, types, the rules of the house
	$(BIN)/pre-commit install

# The bill of materials is that of the wheel with the extras train, plot and serve, in an environment of its own.
release: $(STAMP)  ## dist/ with sdist and wheel, checked; build/sbom.json (CycloneDX)
	rm -rf dist build/runtime && mkdir -p build
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/runtime
	build/runtime/bin/pip install --quiet -r requirements-torch.txt
	build/runtime/bin/pip install --quiet "$$(ls dist/*.whl)[train,plot,serve]"
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom.json build/runtime

# torch comes first and without a hash: on some machines a CPU build is taken, on others the default one.
$(STAMP): requirements.lock requirements-torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "isotone needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements-torch.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

lock:  ## requirements.lock anew, after a change of dependencies in pyproject.toml
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --unsafe-package torch --no-emit-options \
	  --no-emit-index-url --no-emit-find-links --constraint requirements-torch.txt \
	  --extra train --extra plot --extra serve --extra test --extra lint --extra fuzz --extra docs --extra release \
	  --output-file requirements.lock pyproject.toml

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) demo build dist
