PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TOOLS := .venv/tools
LOCKS ?= requirements.lock requirements-cuda.lock

.PHONY: help book slides test lint bench notebooks constraints errors lock locked audit clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

book: $(INSTALLED) ## execute every chapter and write _build/html/index.html
	$(BIN)/python scripts/build_book.py

slides: book ## make a slide deck of every chapter in _build/html/slides
	$(BIN)/python scripts/make_slides.py

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

errors: $(INSTALLED) ## write the page of error messages, by provoking every one
	$(BIN)/python tests/malformed/page.py --write

lock: $(TOOLS) ## write requirements.lock: every package with its hashes (asks the registry)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(TOOLS)/bin/python scripts/make_lock.py

locked: ## install .venv from requirements.lock, every file checked by its hash (see SECURITY.md)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --require-hashes --only-binary :all: --no-deps $(LOCKS:%=-r %)
	$(BIN)/python -m pip install --no-index --no-deps --no-build-isolation -e .
	touch $(INSTALLED)

audit: $(TOOLS) ## ask for published vulnerabilities of the packages in requirements.lock
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	$(TOOLS)/bin/pip-audit --require-hashes --disable-pip $(LOCKS:%=-r %)

$(TOOLS): # of their own, so that the environment of the book holds only what is pinned
	$(PYTHON) -m venv $@

clean: ## remove what was built, but not .venv
	rm -rf _build .executed build lmcore.egg-info

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@echo "==> installing requirements into .venv (once; some minutes)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v.major}.{v.minor} found, but 3.11 or newer is needed")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
