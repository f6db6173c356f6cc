"""Run benchmarks by name, print their tables, write their records.

    python -m benchmarks [NAME ...] [--out DIR] [--quick] [--text PATH]

A benchmark is a module of this package with ``run(quick) -> record`` and ``table(record) -> str``. One
that takes long may offer ``resume(quick, path) -> record`` as well, which goes on from an unfinished record.
A record with ``skipped`` says why there are no measurements; it is not written.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, headline, save, say
from lmcore.errors import InputError

NAMES = (
    "step", "generation", "batch", "chars", "scaling", "quality",
    "corpus_size", "vocabulary", "ngrams", "playground", "book", "pages",
)  # fmt: skip


def run_one(name: str, folder: Path, quick: bool, **arguments: Any) -> None:
    """Run one benchmark, print its table, write ``folder/name.json``."""
    module = importlib.import_module(f"benchmarks.{name}")
    path = folder / f"{name}.json"
    start = time.perf_counter()
    say(f"{name}: started")
    if hasattr(module, "resume"):
        record = module.resume(quick, path, **arguments)
    else:
        record = module.run(quick, **arguments)
    if "skipped" in record:
        say(f"{name}: skipped, {record['skipped']}")
        return
    save(record, path)
    print(f"{headline(record)}\n{module.table(record)}\n", flush=True)
    say(f"{name}: {time.perf_counter() - start:.0f} s, written to {path}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, help="folder of the records (default: book/records/benchmarks)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--text", type=Path, help="the file for chars (default: Tiny Shakespeare)")
    options = parser.parse_args(arguments)
    folder = options.out or ROOT / ("runs/benchmarks_quick" if options.quick else "book/records/benchmarks")
    try:
        unknown = [name for name in options.names if name not in NAMES]
        if unknown:
            raise InputError(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
        for name in options.names or NAMES:
            own = {"path": options.text} if name == "chars" and options.text else {}
            run_one(name, folder, options.quick, **own)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
