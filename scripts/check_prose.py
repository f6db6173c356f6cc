"""Lint what a person reads: the pages of the book and beside it, docstrings and comments.

    python scripts/check_prose.py [FILE ...]     make lint

proselint gets text, tables, captions and descriptions of figures, but no code, no formula, no address, no
name of a paper. Spelling is British, by the dictionary of codespell; misspelt words codespell itself looks
for, in every file. What is allowed, and why, stands in pyproject.toml under ``tool.check-prose``. Prints
``file:line: 'words': message (rule)`` for every finding, and exits with 1 if there is any.
"""

import ast
import html
import inspect
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from proselint.checks import __register__ as checks
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("book", "lmcore", "scripts", "benchmarks", "tests")
GAP = "¤"  # stands for code, a formula, a name: no word, so that no phrase reaches over it
END = " |"  # of a piece, for the same reason
ADDRESS = re.compile(r"https?://\S+")
TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
DIRECTIVE = re.compile(r"\{([\w-]+)\}")
OPTIONS = re.compile(r"\A(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
TERM = re.compile(r"^(\S.*)\n  (?=\S)", re.MULTILINE)  # of a glossary, and the indent of what it means
NO_PROSE = {"eval-rst", "bibliography", "nb-exec-table"}
FIGURE_TEXTS = {"caption", "alt"}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


class Piece(NamedTuple):
    """A paragraph, a heading, a cell of a table, or the like."""

    line: int  # of the file, where it begins; from 1
    text: str


class Finding(NamedTuple):
    line: int
    words: str
    message: str
    rule: str


@cache
def markdown() -> MarkdownIt:
    """The parser that the book is built with, without the one extension that changes words."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    extensions = set(config["parse"]["myst_enable_extensions"]) - {"smartquotes"}
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def pieces(text: str, line: int = 1) -> Iterator[Piece]:
    """The prose of a text in MyST, which begins in this line of its file."""
    for token in markdown().parse(text):
        here = line + token.map[0] if token.map else line
        if token.type == "inline":
            yield Piece(here, "".join(map(_inline, token.children)))
        elif token.type == "html_block":
            text = TAG.sub(lambda tag: "\n" * tag[0].count("\n"), token.content)
            yield Piece(here, html.unescape(text))
        elif token.type in ("fence", "colon_fence") and (kind := DIRECTIVE.match(token.info)):
            yield from _directive(kind[1], token.content, here + 1)


def _inline(token: Token) -> str:
    if token.type in ("text", "text_special"):
        return ADDRESS.sub(GAP, token.content)
    if token.type == "image":
        return token.content
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "myst_role" and token.meta["name"] == "term":
        return re.sub(r"\s*<.*>$", "", token.content)
    ends = "\n" * token.content.count("\n")
    return ends if token.nesting or token.type == "html_inline" else GAP + ends


def _directive(kind: str, content: str, line: int) -> Iterator[Piece]:
    options = match[0] if (match := OPTIONS.match(content)) else ""
    if kind == "code-cell":
        for node in _figure_texts(yaml.compose(options.strip("-\n"))) if options.startswith("---") else ():
            below = node.style in ("|", ">")  # the key stands in a line of its own
            yield from pieces(node.value, line + 1 + node.start_mark.line + below)
    elif kind not in NO_PROSE:
        text = content[len(options) :]
        text = TERM.sub(r"\1\n: ", text) if kind == "glossary" else text
        yield from pieces(text, line + options.count("\n"))


def _figure_texts(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value in FIGURE_TEXTS:
            yield value
        else:
            yield from _figure_texts(value)


def python_pieces(source: str) -> Iterator[Piece]:
    """Docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node, clean=False)):
            yield from pieces(inspect.cleandoc(text), node.body[0].lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from pieces(token.string.lstrip("# "), token.start[0])


def shadow(source: str, found: Iterator[Piece]) -> str:
    """Only the prose, each word in the line in which it stands in the source."""
    lines = [""] * (source.count("\n") + 1)
    for piece in found:
        texts = [" ".join(text.split()) for text in piece.text.split("\n")]
        for number, text in enumerate(texts, start=piece.line - 1):
            lines[number] += f" {text}" if lines[number] else text
        lines[number] += END
    return "\n".join(lines)


@cache
def allowed() -> dict[str, list[str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["check-prose"]


@cache
def style_rules() -> Config:
    CheckRegistry().register_many(checks)
    return Config(max_errors=10_000, checks=dict.fromkeys(allowed()["rules"], False) | DEFAULT["checks"])


def style(text: str) -> Iterator[Finding]:
    """What proselint finds. Some of its rules find a phrase in the midst of a word, too: "for ever" in
    "for every"; that is left out."""
    lint = LintFile("", text)
    for result in lint.lint(style_rules()):
        rule, message, (start, end), _ = result.check_result
        words = lint.content[start:end]
        if not re.match(r"\w\w", lint.content[end - 1 : end + 1]):
            yield Finding(result.pos[0], " ".join(words.split()), message, rule)


@cache
def american() -> dict[str, str]:
    """British spelling of each word that codespell's dictionary has in two spellings."""
    dictionary = resources.files("codespell_lib") / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = [line.split("->") for line in dictionary.read_text(encoding="utf-8").splitlines()]
    spellings = {other.strip(): word for word, others in pairs for other in others.split(",")}
    return {word: spellings[word] for word in spellings.keys() - {"", *allowed()["words"]}}


def spelling(text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        for word in re.findall(r"[^\W\d_]+", line):
            if british := american().get(word.lower()):
                yield Finding(number, word, f"British spelling is {british!r}", "spelling")


def findings(path: Path) -> list[Finding]:
    source = path.read_text(encoding="utf-8")
    text = shadow(source, (python_pieces if path.suffix == ".py" else pieces)(source))
    return sorted([*style(text), *spelling(text)]) if text.strip() else []


def files() -> list[Path]:
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted([*ROOT.glob("*.md"), *(path for path in inside if path.suffix in (".md", ".py"))])


def main() -> int:
    found = False
    for path in [Path(name).resolve() for name in sys.argv[1:]] or files():
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        for line, words, message, rule in findings(path):
            print(f"{name}:{line}: {words!r}: {message} ({rule})")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
