# The two commands of the README: each makes the environment where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test everyday clean

demo: $(STAMP)
	$(BIN)/isotone demo -o demo --force

test: $(STAMP)
	$(BIN)/pytest -n 2

everyday: $(STAMP)
	$(BIN)/pytest -n 2 -m "not slow"

# torch comes first and without a hash: on some machines a CPU build is taken, on others the default one.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "isotone needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) demo build dist
