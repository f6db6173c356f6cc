"""Run every notebook as Colab would: without this repository, lmcore installed by the notebook's first cell.

    python scripts/run_like_colab.py [--newest] [--cpu-torch] [NAME ...]      make colab, make newest

A new environment holds what colab_versions.txt lists, or with ``--newest`` the newest releases of the same.
The address of the repository stands for this clone, at its last commit. NAME: "04_elman_unit", for example.
Python should be Colab's (colab_versions.txt says which). Asks the package registry.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import fresh_venv
from fresh_venv import ROOT

VERSIONS = ROOT / "scripts" / "colab_versions.txt"
SECONDS_PER_CELL = 600


def packages(newest: bool) -> list[str]:
    lines = [line for line in VERSIONS.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
    return [re.split("==", line)[0] for line in lines] if newest else lines


def repository_here(folder: Path) -> dict[str, str]:
    """Environment variables with which git finds the last commit here, as main, at the published address."""
    clone = folder / "repository.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(ROOT), str(clone)], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    update = ["git", "update-ref", "refs/heads/main", head.stdout.strip()]
    subprocess.run(update, cwd=clone, check=True)
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{clone.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


def run(notebook: Path, python: Path, folder: Path, environment: dict[str, str]) -> bool:
    """Run a copy of the notebook in a folder of its own, lmcore not installed; returns whether it passed."""
    subprocess.run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "lmcore"], check=True)
    place = folder / notebook.stem
    place.mkdir()
    shutil.copyfile(notebook, place / notebook.name)
    start = time.perf_counter()
    program = python.with_name("jupyter-execute")
    command = [str(program), f"--timeout={SECONDS_PER_CELL}", "--kernel_name=python3", notebook.name]
    passed = subprocess.run(command, cwd=place, env=environment).returncode == 0
    print(
        f"==> {notebook.stem}: {'passed' if passed else 'FAILED'}, {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return passed


def main() -> int:
    flags = {argument for argument in sys.argv[1:] if argument.startswith("-")}
    if unknown := flags - {"--newest", "--cpu-torch"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are --newest and --cpu-torch")
    names = [argument for argument in sys.argv[1:] if argument not in flags]
    notebooks = [
        path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not names or path.stem in names
    ]
    if not notebooks or len(notebooks) < len(names):
        sys.exit(f"not all of these are notebooks: {', '.join(names)}")
    wanted = packages("--newest" in flags)
    python = fresh_venv.make("colab")
    if "--cpu-torch" in flags:
        torch = [line for line in wanted if line.startswith("torch")]
        fresh_venv.pip(python, *torch, "--index-url", fresh_venv.CPU_TORCH)
    fresh_venv.pip(python, *wanted)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"  # "%pip" is this environment's
        environment = {**os.environ, "PATH": path, **repository_here(Path(folder))}
        failed = [n.stem for n in notebooks if not run(n, python, Path(folder), environment)]
    print(f"{len(notebooks) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
