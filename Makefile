# make demo   set up, then search, train and export a digit classifier (out/demo)
# make test   set up, then format, lint, types and tests
# make format apply the formatter

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test format clean

demo: .venv/installed
	$(BIN)/python examples/digits.py --directory out/demo

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The stamp is newer than what it depends on, so an unchanged project installs nothing.
.venv/installed: pyproject.toml setup.cfg constraints.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv out
