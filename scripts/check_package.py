"""Install lmcore as a user does, not as an editable copy, and run the tests that need no book.

    python scripts/check_package.py [--cpu-torch] [--newest]     make package

For Linux, macOS and Windows. ``--cpu-torch``: torch from pytorch.org's index of CPU builds. ``--newest``: the
newest releases of everything instead of those that constraints.txt pins.
"""

import subprocess
import sys
from pathlib import Path

import fresh_venv
from fresh_venv import ROOT

TOOLS = ["pytest", "hypothesis", "beartype", "trustme", "nltk"]
NAMES = ["api_reference", "book", "diagrams", "findings", "glossary", "learning_curve", "light_pages", "lock"]
NAMES += ["notebook_interrupt", "notebook_playground", "numbers", "plain_markdown", "playground_directive"]
NAMES += ["prose", "publishing", "reading_time", "record_numbers", "scripts", "slides", "term_cards"]
BENCHMARKS = ["benchmark*", "ladder", "records", "replace_numbers"]  # no part of the package either
NEED_THE_BOOK = ["tests/browser/*", "tests/exercises/*"]
NEED_THE_BOOK += [f"tests/test_{name}.py" for name in NAMES + BENCHMARKS]


def install(cpu_torch: bool, newest: bool) -> Path:
    """An environment with the package and what its tests use; returns its Python."""
    pinned = [] if newest else ["--constraint", "constraints.txt"]
    python = fresh_venv.make("package")
    if cpu_torch:
        fresh_venv.pip(python, "torch", *pinned, "--index-url", fresh_venv.CPU_TORCH)
    fresh_venv.pip(python, ".[datasets,zstd]", *TOOLS, *pinned)
    return python


def main() -> int:
    options = set(sys.argv[1:])
    if unknown := options - {"--cpu-torch", "--newest"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are --cpu-torch and --newest")
    python = install("--cpu-torch" in options, "--newest" in options)
    left_out = [f"--ignore-glob={pattern}" for pattern in NEED_THE_BOOK]
    # -P: the folder that this starts in holds lmcore's source, and the installed package is to be tested
    command = [str(python), "-P", "-m", "pytest", "tests", *left_out]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
