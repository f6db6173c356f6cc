"""The book's diagrams, logo and social card, drawn into book/_static.

    python scripts/draw_diagrams.py            write every file anew
    python scripts/draw_diagrams.py --check    only say which differ; exit 1 if any does

Needs nothing but Python. scripts/diagrams/README.md describes the look.
"""

import sys

from diagrams import data, gates, marks, memory, path, prediction, recurrent
from diagrams.style import ROOT

STATIC = ROOT / "book" / "_static"

DIAGRAMS = {
    "path": path.tall,
    "path_wide": path.wide,
    "pipeline": data.pipeline,
    "elman_unit": recurrent.elman_unit,
    "unrolled": recurrent.unrolled,
    "two_layers": recurrent.two_layers,
    "batch_block": data.batch_block,
    "shifted_sequences": data.shifted_sequences,
    "softmax_loss": prediction.softmax_loss,
    "truncated_bptt": recurrent.truncated_bptt,
    "teacher_forcing": prediction.teacher_forcing,
    "lstm": gates.lstm,
    "gru": gates.gru,
    "mingru": gates.mingru,
    "scan_tree": memory.scan_tree,
    "kv_cache": memory.kv_cache,
    "bidirectional": recurrent.bidirectional,
}
MARKS = {"favicon": marks.favicon, "logo": marks.logo, "social_card": marks.social_card}


def files() -> dict[str, str]:
    """Content of every file, by its name below book/_static."""
    drawn = {f"diagrams/{name}.svg": draw().svg() for name, draw in DIAGRAMS.items()}
    return drawn | {f"{name}.svg": draw() for name, draw in MARKS.items()}


def differences() -> list[str]:
    """One line for each file that is missing, differs, or is drawn by nothing."""
    wanted = files()
    found = {f"diagrams/{path.name}" for path in (STATIC / "diagrams").glob("*")}
    problems = [f"{name} is drawn by nothing" for name in sorted(found - wanted.keys())]
    for name, content in wanted.items():
        if not (STATIC / name).is_file():
            problems.append(f"{name} is missing")
        elif (STATIC / name).read_text(encoding="utf-8") != content:
            problems.append(f"{name} differs from what is drawn")
    return problems


def main() -> int:
    if "--check" in sys.argv[1:]:
        problems = [f"book/_static/{line}" for line in differences()]
        print("\n".join(problems) or f"{len(files())} drawings, each as it is drawn")
        return 1 if problems else 0
    (STATIC / "diagrams").mkdir(exist_ok=True)
    for name, content in files().items():
        (STATIC / name).write_text(content, encoding="utf-8", newline="\n")
    print(f"{len(files())} drawings written to {STATIC.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
