PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TOOLS := .venv/tools
LOCKS ?= requirements.lock requirements-cuda.lock
CORPUS := $(NEXT_WORD_CORPUS)
export NEXT_WORD_CORPUS := $(CORPUS)

.PHONY: help book model slides serve pdf site pages test lint bench notebooks package colab newest links \
  icons diagrams card mathjax constraints errors lock locked audit cputorch clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

book: $(INSTALLED) $(if $(CORPUS),model) ## execute every chapter and write _build/html/index.html (CORPUS=PATH: on another text)
	$(BIN)/python scripts/build_book.py

model: $(INSTALLED) ## train the network of the course on the text of CORPUS=PATH, unless that is done
	$(BIN)/python scripts/train_course_model.py

slides: book ## make a slide deck of every chapter in _build/html/slides
	$(BIN)/python scripts/make_slides.py

serve: book ## show the built book at http://127.0.0.1:8000/next-word/
	$(BIN)/python scripts/site_server.py

pdf: book ## print the whole book to _build/next-word.pdf (needs Chromium)
	$(BIN)/python scripts/make_pdf.py

site: pdf ## all that is published, in _build/html: the pages and the PDF
	cp _build/next-word.pdf _build/html/

test: $(INSTALLED) lint ## run every test: unit, notebooks, strict build, browser
	@echo "==> unit tests"
	$(BIN)/python -m pytest tests --ignore=tests/browser
	$(BIN)/python scripts/build_book.py --all
	$(MAKE) pages

pages: $(INSTALLED) ## test the built pages in a browser (needs Chromium)
	@echo "==> pages in a browser"
	$(BIN)/python -m pytest tests/browser

package: ## test lmcore alone, installed as a user installs it (Linux, macOS, Windows)
	$(PYTHON) scripts/check_package.py

colab: ## run every notebook as Colab would, with the versions that Colab has (best with Python 3.13)
	$(PYTHON) scripts/run_like_colab.py

newest: ## the same with the newest releases
	$(PYTHON) scripts/run_like_colab.py --newest

links: book ## ask every address that the book links to (needs a network)
	$(BIN)/jupyter-book build . --builder custom --custom-builder linkcheck

lint: $(INSTALLED) ## check style, spelling, prose and chapter-notebook pairs
	@echo "==> style and spelling"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell .
	$(BIN)/python scripts/check_prose.py
	$(BIN)/python scripts/sync_notebooks.py --check

bench: $(INSTALLED) ## measure speed, memory and quality (long; leave the machine alone meanwhile)
	$(BIN)/python -m benchmarks

notebooks: $(INSTALLED) ## write notebooks/ from the chapters in book/
	$(BIN)/python scripts/sync_notebooks.py

icons: $(INSTALLED) ## cut the icons of the pages out of the theme's fonts
	$(BIN)/python scripts/make_icons.py

diagrams: ## draw the diagrams, the logo and the social card (SVG)
	$(PYTHON) scripts/draw_diagrams.py

card: $(INSTALLED) ## make a PNG of the social card, which other sites show beside a link (needs Chromium)
	$(BIN)/python scripts/make_card.py

mathjax: ## fetch the files of MathJax that the book ships (asks the npm registry)
	$(PYTHON) scripts/fetch_mathjax.py

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

cputorch: ## put the small CPU build of torch into .venv (Linux; asks pytorch.org)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  "$$(grep '^torch==' requirements.txt)" --index-url https://download.pytorch.org/whl/cpu

clean: ## remove what was built, but not .venv
	rm -rf _build .executed build lmcore.egg-info

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@echo "==> installing requirements into .venv (once; some minutes)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v.major}.{v.minor} found, but 3.11 or newer is needed")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
