"""Finds numbers in prose that claim to be results of ours and were typed by hand (see test_numbers.py)."""

import re
from functools import cache
from typing import NamedTuple

import jupytext

WORDS = """two three four five six seven eight nine ten eleven twelve fifteen sixteen twenty thirty forty
    fifty sixty hundred hundreds thousand thousands million half third quarter fifth tenth dozen"""
DIGITS = r"(?<![\w.,])\d[\d,]*(?:\.\d+)?"
NUMBER = rf"(?:{DIGITS}|\b(?:{'|'.join(WORDS.split())})\b)"
TIMES = r"times\s+(?:as|more|less|fewer|the|(?:fast|slow|larg|small|long|short|high|low|cheap)e?r)"
SECONDS = r"(?:milli|micro|nano)?seconds?|minutes?|hours?|days?|[mµn]?s|min|h"
SIZES = r"(?:mega|giga|kilo)bytes?|[kMGT]i?B|[kMG]?FLOPs?|nats?|bits\s+per\s+\w+"
SHARES = r"per\s?cent|percentage\s+points?|orders?\s+of\s+magnitude"
SPEEDS = r"(?:steps|tokens|words|characters|predictions)(?:/s|\s+(?:per|a)\s+second)"
PARTS = r"(?:twice|half|thirds?|quarter|fifth|tenth|sixteenth)\s+(?:as|the|of\s+(?:the|all|its|their|that))"
MEASURES = (
    r"perplexity|perplexities|loss|losses|bits\s+per\s+byte|nats\s+per\s+token|accuracy|speed-?up|factor"
)
LINKS = r"of|is|was|at|to|near|about|around|below|above|under|by|from|stands|falls|fell|reach\w*|than|a|the"

CLAIM = re.compile(
    rf"""{NUMBER} (?:\s+ (?:or|to|and) \s+ (?:{NUMBER}|a\s+half))? [\s-]+
           (?:{TIMES}|{SECONDS}|{SIZES}|{SHARES}|{SPEEDS})\b
       | {NUMBER} \s? (?:[%×]|x\b)
       | {DIGITS} \s+ (?:[kMB]\s|million\s)? parameters\b
       | \b (?:an?|half\s+an?) \s+ (?:minute|hour|day)\b
       | \b {PARTS}\b
       | \b (?:{MEASURES})\b (?:\s+(?:{LINKS})\b)* \s+ [(~≈]* \d(?:[\d,.]*\d)?
       | (?<![\w.]) \d+\.\d+ (?![\w.]*\w)  # a decimal fraction is hardly ever anything but a result
    """,
    re.IGNORECASE | re.VERBOSE,
)
NUMBER_CELL = re.compile(r"[~≈±]?\d[\d.,]*\s*\w{0,3}")  # of a table

LINES = re.MULTILINE | re.DOTALL
FENCED_PROSE = re.compile(r"^(`{3,})\{(?:figure|glossary|note|tip|warning)\}[^\n]*\n(.*?)^\1\s*$", LINES)
NO_PROSE = re.compile(r"\A---\n.*?^---$|^(`{3,}).*?^\1\s*$|\$\$.*?\$\$", LINES)
IN_PROSE = (
    (re.compile(r"\{cite[^}]*\}`[^`]*`"), "CITED"),
    (re.compile(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)"), ""),  # other roles, code, addresses
    (re.compile(r"(?<!\\)\$[^$]*\$"), "$"),
    (re.compile(r"\*Time:\* about \d+ minutes"), ""),  # a guess at the reader's time, not a result
    (re.compile(r"\*\*\d+\.\d \w+\.\*\*|\b(?:exercise|lab) \d+\.\d\b", re.IGNORECASE), ""),  # 4.1 is a name
    # the README's table of speeds: another test compares it with the records
    (re.compile(r"^\| two cores, no GPU \|.*?(?:\n\n|\Z)", LINES), ""),
)


LINKED = re.compile(r"\{term\}`([^`<]+?)(?: <[^`>]+>)?`")  # a word with a link to the glossary


class Allowed(NamedTuple):
    """A number that may stand in the prose."""

    page: str
    words: str  # as they stand in the source; the number is among them
    reason: str
    code: str = ""  # what in the page's cells makes sure of it, if something does


def read_allowed(text: str) -> list[Allowed]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Allowed(*(part.strip() for part in line.split(" :: "))) for line in lines]


@cache
def prose(source: str) -> tuple[str, ...]:
    """What a reader reads besides code and its output: text, captions, descriptions of images."""
    if not source.startswith("---\n"):
        return (LINKED.sub(r"\1", source),)
    pieces = []
    for cell in jupytext.reads(source, fmt="md:myst").cells:
        shown = cell.metadata.get("mystnb", {})
        captions = [shown.get("figure", {}).get("caption", ""), shown.get("image", {}).get("alt", "")]
        pieces += [cell.source] if cell.cell_type == "markdown" else captions
    return tuple(LINKED.sub(r"\1", piece) for piece in pieces)


@cache
def code(source: str) -> str:
    """All code cells of a chapter; nothing for another page."""
    cells = jupytext.reads(source, fmt="md:myst").cells if source.startswith("---\n") else []
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@cache
def claims(piece: str) -> tuple[str, ...]:
    """The numbers in a piece of prose that claim to be results, each with its sentence."""
    text = NO_PROSE.sub("", FENCED_PROSE.sub(r"\2", piece))
    for pattern, replacement in IN_PROSE:
        text = pattern.sub(replacement, text)
    found = []
    for sentence in re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n(?=[|\-*])", text):
        cells = [cell.strip() for cell in sentence.split("|")[2:-1]] if sentence.startswith("|") else []
        hits = [cell for cell in cells if NUMBER_CELL.fullmatch(cell)]
        hits += [match[0] for match in CLAIM.finditer(sentence)]
        if "CITED" not in sentence:
            found += [f"{hit!r} in {' '.join(sentence.split())!r}" for hit in hits]
    return tuple(found)


def unbacked(page: str, source: str, allowed: list[Allowed]) -> list[str]:
    """The claims of a page that no entry allows."""
    pieces = prose(source)
    for entry in allowed:
        if entry.page == page:
            pieces = [piece.replace(entry.words, "") for piece in pieces]
    return [claim for piece in pieces for claim in claims(piece)]
