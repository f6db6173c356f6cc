"""Does training need more memory, or run slower, when the corpus is larger?

The built-in corpus is written 1, 10 and 100 times into folders of text files, 12 MB, 120 MB and 1.2 GB.
For each, `python -m lmcore train` runs as a process of its own, in turn, several rounds. The first round
encodes the text and writes the token file; the later ones find it. Validation is on the same amount of
text for each. Left out: a whole pass over the largest corpus, which would take hours.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, in_child, new_record, say, spread, text_table
from lmcore.corpus import builtin_corpus
from lmcore.record import load_record

TIMES, ROUNDS = (1, 10, 100), 3
OPTIONS = {"max-steps": 300, "eval-size": 200_000, "vocab-size": 8192, "batch-size": 32, "seq-len": 32}
QUICK_OPTIONS = {"max-steps": 3, "eval-size": 2_000, "vocab-size": 300, "batch-size": 4, "seq-len": 8}
QUICK_DOCUMENTS = 40
MEGABYTE = 1e6


def run(quick: bool) -> dict[str, Any]:
    """Every single run of every size; the peak is of the whole process, preparation included."""
    times = (1, 2) if quick else TIMES
    rounds = 1 if quick else ROUNDS
    options = QUICK_OPTIONS if quick else OPTIONS
    record = new_record("corpus_size", quick, times=times, rounds=rounds, options=options)
    record["runs"] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {count: write_corpus(folder / f"text_{count}", count, quick) for count in times}
        for number in range(rounds):
            for count, size in sizes.items():
                measured = train(folder, f"text_{count}", folder / f"run_{count}_{number}", options)
                record["runs"].append({"times": count, "text_bytes": size, "round": number, **measured})
                say(f"corpus_size: {record['runs'][-1]}")
    return record


def write_corpus(folder: Path, count: int, quick: bool) -> int:
    """All documents of the built-in corpus ``count`` times, one file each; returns bytes of text."""
    corpus = builtin_corpus()
    texts = [*corpus.train, *corpus.validation, *corpus.test]
    contents = [text.encode() for text in texts]
    if quick:
        contents = [
            content[:2_000].decode(errors="ignore").encode() for content in contents[:QUICK_DOCUMENTS]
        ]
    for copy in range(count):
        part = folder / f"copy_{copy:03}"
        part.mkdir(parents=True)
        for i, content in enumerate(contents):
            (part / f"{i:03}.txt").write_bytes(content)
    return count * sum(map(len, contents))


def train(folder: Path, corpus: str, out: Path, options: dict[str, int]) -> dict[str, Any]:
    """One `python -m lmcore train`: peak resident bytes, training tokens/s, seconds for everything."""
    cache = folder / "cache"
    more = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "lmcore", "train", f"--corpus={folder / corpus}", f"--out={out}"]
    files_before = sum(1 for _ in cache.glob("*.tokens"))
    start = time.perf_counter()
    command += [f"--cache={cache}", "--device=cpu", *more]
    peak_bytes, _ = in_child("benchmarks.corpus_size:peak_of", command=command)  # which holds little itself
    seconds = time.perf_counter() - start
    return {
        "prepared": sum(1 for _ in cache.glob("*.tokens")) > files_before,
        "peak_bytes": peak_bytes,
        "tokens_per_second": load_record(out / "record.json").tokens_per_second,
        "seconds": round(seconds, 1),
    }


def peak_of(command: list[str]) -> int:
    """Run a command to its end; returns the most memory that its process has held, in bytes.

    On Linux that is never less than what this process holds when it starts the command. Raises
    RuntimeError if the command fails.
    """
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with status {process.returncode}; see above")
    return peak_in_bytes(usage)


def peak_in_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def table(record: dict[str, Any]) -> str:
    """Peak memory and speed of each size, and both relative to the smallest."""
    rows, first = [], None
    for count in record["settings"]["times"]:
        runs = [run for run in record["runs"] if run["times"] == count]
        peak = max(run["peak_bytes"] for run in runs)
        speeds = [run["tokens_per_second"] for run in runs]
        first = first or (peak, median(speeds))
        whole = median(run["seconds"] for run in runs if run["prepared"])
        rows.append(
            [
                f"{runs[0]['text_bytes'] / MEGABYTE:,.1f} MB",
                f"{peak / MEGABYTE:,.0f}",
                f"{peak / first[0]:.3f}",
                spread(speeds, digits=0),
                f"{median(speeds) / first[1]:.3f}",
                f"{whole:,.0f}",
            ]
        )
    header = ["text", "peak MB", "ratio", "tokens/s", "ratio", "first run s"]
    return text_table(header, rows)
