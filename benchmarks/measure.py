"""What every benchmark needs: interleaved times, peak memory of a child process, rates, tables, records.

Times are seconds of wall clock. Every single measurement goes into the record; medians and spreads are
worked out when a table is printed. Left out: statistics beyond median, smallest and largest.
"""

import importlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from lmcore.errors import InputError
from lmcore.record import environment

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = re.compile(r"\[[\s\d.,eE+-]+\]")  # a list of numbers, which belongs on one line


def say(text: str) -> None:
    """Progress, on standard error: standard output is for tables."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def interleave(
    steps: dict[str, Callable[[], Any]], rounds: int, warm_up: int = 1
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Call each step once per round, in order (`A B A B`), so that a slow minute hits all of them.

    Returns seconds and results by name, one per round; the first ``warm_up`` rounds are dropped.
    Raises InputError if nothing would be left.
    """
    if rounds < 1 or warm_up < 0:
        raise InputError(f"{rounds} rounds after {warm_up} of warm-up: at least 1 after 0 is needed")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    results: dict[str, list[Any]] = {name: [] for name in steps}
    for _ in range(warm_up + rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            result = step()
            seconds[name].append(time.perf_counter() - start)
            results[name].append(result)
    return (
        {name: values[warm_up:] for name, values in seconds.items()},
        {name: values[warm_up:] for name, values in results.items()},
    )


def spread(values: list[float], unit: float = 1.0, digits: int = 3) -> str:
    """Median and range, for a table: "0.480 (0.471..0.502)". ``unit`` divides: 1e-3 shows thousandths."""
    low, middle, high = (pick(values) / unit for pick in (min, median, max))
    return f"{middle:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def exponent(x: list[float], y: list[float]) -> float:
    """The p of y = c x^p that fits best: least squares in log-log. Needs two different x, all above 0."""
    if len(x) != len(y) or len(set(x)) < 2 or min(*x, *y) <= 0:
        raise InputError(f"an exponent needs two different values above 0, found x {x} and y {y}")
    return float(np.polyfit(np.log(x), np.log(y), deg=1)[0])


def peak_bytes() -> int:
    """Most memory that this process has held at once.

    On Linux from VmHWM: the figure of getrusage starts at what the parent held when it forked. Linux
    counts pages per core and sums up now and then, so that the last few hundred kilobytes are not exact.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def in_child(function: str, **arguments: Any) -> tuple[Any, int]:
    """Call "module:name" in a new Python process; returns its result and the process's peak bytes.

    Arguments and result go through JSON. What the child prints on standard error is passed on; raises
    RuntimeError if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.measure", function, json.dumps(arguments), str(answer)]
        status = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode
        if status:
            raise RuntimeError(f"{function} failed in a child process with status {status}; see above")
        content = json.loads(answer.read_text(encoding="utf-8"))
    return content["result"], content["peak_bytes"]


def _answer(function: str, arguments: str, answer: str) -> None:
    """The child's side of `in_child`."""
    module, name = function.split(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    content = {"result": result, "peak_bytes": peak_bytes()}
    Path(answer).write_text(json.dumps(content), encoding="utf-8")


def matmul(rows: int, inner: int, columns: int) -> Callable[[], None]:
    """A float32 product of (rows, inner) and (inner, columns) into memory that is already there.

    It does 2 rows inner columns floating-point operations and nothing else.
    """
    a, b, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    return lambda: torch.mm(a, b, out=out)


def new_record(name: str, quick: bool, **settings: Any) -> dict[str, Any]:
    """The head of a record: what ran, when, where. Measurements are added by the benchmark."""
    return {
        "benchmark": name,
        "quick": quick,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "environment": {
            **environment(torch.device("cpu")),
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),  # processes that wanted a core, last minute
        },
        "settings": settings,
    }


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def save(record: dict[str, Any], path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    text = json.dumps(record, indent=1, ensure_ascii=False)
    text = NUMBERS.sub(lambda match: " ".join(match[0].split()), text)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def text_table(header: list[str], rows: list[list[Any]]) -> str:
    """Columns under their names; the first is aligned left, the others right."""
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def headline(record: dict[str, Any]) -> str:
    """One line that says where the figures of a record come from."""
    where = record["environment"]
    return (
        f"{record['benchmark']}: {record['date']}, commit {where['commit']}, {where['processor']}, "
        f"{where['threads']} threads, torch {where['libraries']['torch']}, "
        f"load before the run {where['load_before']}{', QUICK' if record['quick'] else ''}"
    )


if __name__ == "__main__":
    _answer(*sys.argv[1:])
