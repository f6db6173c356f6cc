"""Provoke every message and write the page of the book that lists them.

    python tests/malformed/page.py            # print the page
    python tests/malformed/page.py --write    # write book/reference_errors.md, as "make errors" does

This runs in a process of its own, without the type checks that pytest installs: the messages are those that
a reader gets.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no case asks the network
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from cases import CASES, COMMANDS, STOPPED
from workspace import DAMAGED, FILES, NAMES, make, names

from lmcore.__main__ import main
from lmcore.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "book" / "reference_errors.md"
HEAD = """\
# Error messages

What lmcore says when it is given something that it cannot use. A message is one line, names the value and \
the limit, and comes before the work where that is possible. A command prints it behind `lmcore:` and ends \
with status 2; a call raises `lmcore.InputError`. Each message below was provoked by the line beside it when \
this page was written (`make errors`), and a test provokes them again.

## The inputs

The commands run in a folder with these files:

"""


def message(how: str, variables: dict[str, Any]) -> str:
    """What lmcore says to a command or a call; raises SystemExit if it does not refuse it in one line."""
    is_command = how.split()[0] in COMMANDS
    text = of_command(how) if is_command else of_call(how, variables)
    if not text or "\n" in text:
        sys.exit(f"{how}: not refused in one line, but: {text!r}")
    return text


def of_command(how: str) -> str:
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = main(shlex.split(how))
    text = errors.getvalue()
    if status != 2 or not text.startswith("lmcore: "):
        sys.exit(f"{how}: status {status}, {text!r}")
    return text.removeprefix("lmcore: ").removesuffix("\n")


def of_call(how: str, variables: dict[str, Any]) -> str:
    try:
        eval(how, variables)
    except InputError as error:
        return str(error)
    sys.exit(f"{how}: nothing was raised")


def code(text: str) -> str:
    """Inline code, whatever backticks the text holds."""
    fence = "``" if "`" in text else "`"
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines) + "\n"


def glossary(head: str, entries: dict[str, str]) -> str:
    return table(("Name", head), [(code(name), what) for name, what in entries.items()])


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def row(what: str, how: str, variables: dict[str, Any]) -> tuple[str, ...]:
    shown = f"python -m lmcore {how}" if how.split()[0] in COMMANDS else how
    return (what, *(cell(code(text)) for text in (shown, message(how, variables))))


def page() -> str:
    """The whole page, from a fresh folder of inputs."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        make(Path())
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            main(shlex.split(STOPPED))
        variables = names()
        text = HEAD + glossary("What it is", FILES)
        text += "\nand copies of `trained/`, each with one fault:\n\n" + glossary("Fault", DAMAGED)
        text += "\nThe calls use a few names:\n\n" + glossary("What it is", NAMES)
        for group, cases in CASES.items():
            rows = [row(*case, variables) for case in cases]
            text += f"\n## {group}\n\n" + table(("What is wrong", "Shown by", "Message"), rows)
        return same_everywhere(text, Path(folder))


def same_everywhere(text: str, folder: Path) -> str:
    """Without what only this machine has: where things are, its devices, its zlib; and without checksums."""
    records = Path(str(files("lmcore_records")))
    for path in (folder.resolve(), folder, records.parents[1].resolve(), records.parents[1]):
        text = text.replace(f"{path}{os.sep}", "")
    for pattern, instead in (
        (r"this machine has: [\w, ]+", "this machine has: cpu"),
        (r"bomb\.zip has [\d,]+ bytes", "bomb.zip has 97,318 bytes"),
        (r"\b(?!0{64})[0-9a-f]{64}\b", "[SHA-256]"),
    ):
        text = re.sub(pattern, instead, text)
    return text


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.reconfigure(encoding="utf-8")
        print(page(), end="")
