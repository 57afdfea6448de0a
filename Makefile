# The two commands of the README: each makes the environment where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: environment demo test everyday lock clean

environment: $(STAMP)

demo: $(STAMP)
	$(BIN)/isotone demo -o demo --force

test: $(STAMP)
	$(BIN)/pytest -n 2

everyday: $(STAMP)
	$(BIN)/pytest -n 2 -m "not slow"

# torch comes first and without a hash: on some machines a CPU build is taken, on others the default one.
$(STAMP): requirements.lock requirements-torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "isotone needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements-torch.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

# After a change of the dependencies in pyproject.toml.
lock:
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --unsafe-package torch --no-emit-options \
	  --no-emit-index-url --no-emit-find-links --constraint requirements-torch.txt \
	  --extra train --extra plot --extra serve --extra test --extra lint --extra fuzz --extra docs \
	  --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) demo build dist
