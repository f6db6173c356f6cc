"""Write requirements.lock and requirements-cuda.lock: every package with the SHA-256 of its files.

    make lock

Asks the registry, so it needs a network. The result is for Linux, macOS and Windows and for every Python
that the pinned versions have in common; markers say what is for which. The second file holds what torch's
CUDA build brings along on Linux: several gigabytes that a CPU build does without.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"
CUDA = ("nvidia-", "cuda-", "triton==")
NOTE = """\
# {what}
# Made by "make lock" from requirements.txt and constraints.txt; not edited by hand. Python {oldest} or newer.
#   pip install --require-hashes --only-binary :all: --no-deps -r requirements.lock -r requirements-cuda.lock
# With a CPU build of torch installed before, leave out requirements-cuda.lock.
"""
FILES = {
    "requirements.lock": "All packages with their hashes, for Linux, macOS and Windows.",
    "requirements-cuda.lock": "What torch's CUDA build on Linux needs besides requirements.lock.",
}


def resolved() -> str:
    """The lock as `uv` writes it, without this package itself."""
    options = [
        "--universal",
        "--python-version",
        OLDEST_PYTHON,
        "--generate-hashes",
        "--only-binary",
        ":all:",
    ]
    quiet = ["--no-emit-package", "lmcore", "--no-header", "--no-annotate", "--quiet"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "requirements.txt", *options, *quiet]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def blocks(lock: str) -> list[str]:
    """One text per package: its line, and the lines of its hashes."""
    found: list[str] = []
    for line in lock.splitlines():
        if line[:1].isalnum():
            found.append(line)
        elif line.startswith(" "):
            found[-1] += f"\n{line}"
    return found


def main() -> None:
    packages = blocks(resolved())
    for name, what in FILES.items():
        chosen = [text for text in packages if text.startswith(CUDA) is (name == "requirements-cuda.lock")]
        (ROOT / name).write_text(
            NOTE.format(what=what, oldest=OLDEST_PYTHON) + "\n".join(chosen) + "\n", encoding="utf-8"
        )
        print(f"{name}: {len(chosen)} packages")


if __name__ == "__main__":
    main()
