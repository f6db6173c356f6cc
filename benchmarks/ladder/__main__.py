"""The command: see the package."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import ladder
from benchmarks.chars import TEXT
from benchmarks.ladder.climb import climb
from benchmarks.ladder.plan import SETTINGS, all_models, find_setting
from benchmarks.ladder.tables import table
from benchmarks.measure import ROOT
from lmcore.errors import InputError
from lmcore.train_config import choose_device


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ladder", description=ladder.__doc__)
    names = [setting.name for setting in SETTINGS]
    parser.add_argument("--setting", nargs="+", default=names, help=f"default: {', '.join(names)}")
    parser.add_argument("--model", nargs="+", default=list(all_models()), help="default: all")
    parser.add_argument("--out", type=Path, help="folder of the records (default: book/records/ladder)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--text", type=Path, default=TEXT, help="the text for characters")
    parser.add_argument("--device", default="cpu", help="cuda: take another folder for --out")
    options = parser.parse_args(arguments)
    root = options.out or ROOT / ("runs/ladder_quick" if options.quick else "book/records/ladder")
    try:
        for model in options.model:
            if model not in all_models():
                raise InputError(f"there is no model {model!r}; there are: {', '.join(all_models())}")
        choose_device(options.device)
        for setting in [find_setting(name, options.quick) for name in options.setting]:
            setting = replace(setting, device=options.device)
            climb(setting, tuple(options.model), root, options.quick, options.text)
            print(f"{setting.name}\n{table(root, setting)}\n", flush=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
