"""How long the book takes to build, and its parts: each notebook's cells, and the strict build.

Runs scripts/build_book.py, which executes only notebooks whose outputs are out of date (all of them after
a record or lmcore has changed), then reads the times that every executed notebook holds for its cells.
With ``quick`` nothing is built; the times of the last build are read.
"""

import json
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, new_record, say, text_table

EXECUTED = ROOT / ".executed"  # where scripts/build_book.py keeps the executed copies
RAN = re.compile(r"==> (\S+)\.ipynb: executed in")
BUILDING = "==> building the book"


def run(quick: bool) -> dict[str, Any]:
    record = new_record("book", quick)
    if not quick:
        record["build"] = build()
    record["notebooks"] = notebook_seconds(EXECUTED)
    if not record["notebooks"]:
        return {**record, "skipped": f"no executed notebooks in {EXECUTED}; run: make book"}
    return record


def build() -> dict[str, Any]:
    """Run the build; returns its seconds, those of its last part, and which notebooks it executed.

    Raises RuntimeError if it fails.
    """
    command = [sys.executable, "-u", str(ROOT / "scripts" / "build_book.py"), "--all"]
    executed, strict_from, start = [], None, time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if match := RAN.match(line):
                executed.append(match[1])
                say(line.removeprefix("==> ").rstrip())
            if line.startswith(BUILDING):
                strict_from = time.perf_counter()
    end = time.perf_counter()
    if process.returncode:
        raise RuntimeError(f"the build ended with status {process.returncode}; run: make book")
    return {"seconds": end - start, "strict_build_seconds": end - strict_from, "executed": executed}


def notebook_seconds(folder: Path) -> dict[str, dict[str, Any]]:
    """By notebook: code cells that ran, seconds of all and of the longest, bytes of the largest process."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        seconds = [_cell_seconds(cell) for cell in notebook["cells"] if cell["metadata"].get("execution")]
        if seconds:
            found[path.stem] = {
                "cells": len(seconds),
                "seconds": sum(seconds),
                "longest": max(seconds),
                "peak_bytes": notebook["metadata"].get("peak_bytes"),
            }
    return found


def _cell_seconds(cell: dict[str, Any]) -> float:
    times = cell["metadata"]["execution"]
    start, end = (datetime.fromisoformat(times[f"iopub.status.{name}"]) for name in ("busy", "idle"))
    return (end - start).total_seconds()


def megabytes(parts: dict[str, Any]) -> str:
    """Of the largest process; copies that were executed before this was noted do not say."""
    return f"{parts['peak_bytes'] / 1e6:.0f}" if parts.get("peak_bytes") else "?"


def table(record: dict[str, Any]) -> str:
    notebooks = record["notebooks"]
    rows = [
        [name, parts["cells"], f"{parts['seconds']:.1f}", f"{parts['longest']:.1f}", megabytes(parts)]
        for name, parts in notebooks.items()
    ]
    total = sum(parts["seconds"] for parts in notebooks.values())
    rows.append(["all notebooks", sum(p["cells"] for p in notebooks.values()), f"{total:.1f}", "", ""])
    lines = [text_table(["notebook", "cells", "seconds", "longest cell", "MB"], rows)]
    if "build" in record:
        parts = record["build"]
        lines.append(
            f"build: {parts['seconds']:.0f} s, of it the strict build of the pages "
            f"{parts['strict_build_seconds']:.0f} s; notebooks executed in it: {len(parts['executed'])} "
            f"of {len(notebooks)} (each also starts a kernel, which its cells' seconds leave out)"
        )
    return "\n".join(lines)
