PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help book test lint bench notebooks constraints clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

book: $(INSTALLED) ## execute every chapter and write _build/html/index.html
	$(BIN)/python scripts/build_book.py

test: $(INSTALLED) lint ## run every test: unit, notebooks, strict build, browser
	@echo "==> unit tests"
	$(BIN)/python -m pytest tests --ignore=tests/browser
	$(BIN)/python scripts/build_book.py
	@echo "==> pages in a browser"
	$(BIN)/python -m pytest tests/browser

lint: $(INSTALLED) ## check style and chapter-notebook pairs
	@echo "==> style"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/sync_notebooks.py --check

bench: $(INSTALLED) ## measure speed, memory and quality (long; leave the machine alone meanwhile)
	$(BIN)/python -m benchmarks

notebooks: $(INSTALLED) ## write notebooks/ from the chapters in book/
	$(BIN)/python scripts/sync_notebooks.py

constraints: $(INSTALLED) ## write constraints.txt from what is installed
	(echo "# Versions of everything that requirements.txt brings along. Made by: make constraints"; \
	 $(BIN)/python -m pip list --format=freeze --exclude lmcore --exclude pip --exclude setuptools \
	 | sed 's/+.*//') > constraints.txt

clean: ## remove what was built, but not .venv
	rm -rf _build .executed build lmcore.egg-info

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@echo "==> installing requirements into .venv (once; some minutes)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v.major}.{v.minor} found, but 3.11 or newer is needed")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
