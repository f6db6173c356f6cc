"""A new virtual environment below _build/, for tests of what somebody else's machine would have."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CPU_TORCH = "https://download.pytorch.org/whl/cpu"  # Linux: the registry's build brings gigabytes of CUDA


def make(name: str) -> Path:
    """Make the environment anew; returns its Python."""
    folder = ROOT / "_build" / name
    print(f"==> Python {sys.version.split()[0]} in {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(python: Path, *arguments: str) -> None:
    """Install; ends the program if that fails."""
    print(f"==> pip install {' '.join(arguments)}", flush=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit("pip failed; see above")
