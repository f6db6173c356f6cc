"""Each chapter links a term of the glossary where it uses it first, and all that is linked is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {int(path.stem[:2]): path for path in sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))}
# everyday words as well: a chapter links them where it means the term
EVERYDAY = {"candidate", "control", "input", "loop", "position", "query", "reset", "round", "step"}
OTHER_MEANING = {(3, "bias"): "prejudices that a text holds"}

LINES = re.MULTILINE | re.DOTALL
NO_TEXT = re.compile(r"^```.*?^```$|^:::\{.*?^:::$|\$\$.*?\$\$|^[#|][^\n]*$", LINES)
CODE = re.compile(r"(\{term\}`[^`]*`)|\{[\w:]+\}`[^`]*`|`[^`\n]*`|\$[^$\n]+\$|\[[^\]\n]*\]\([^)\n]*\)")
PIECE = re.compile(r"\{term\}`(?:[^`<]+ <)?([^`<>]+)>?`|([\w’'-]+)|(\S)")
ENTRY = re.compile(r"^((?:\S.*\n)+)  .*?\((\d\d)_\w+\.md\)$", re.MULTILINE)


def glossary() -> list[tuple[list[str], int]]:
    """The names of each entry, and the number of the chapter that introduces it."""
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").split("```{glossary}\n")[1]
    return [(names.splitlines(), int(chapter)) for names, chapter in ENTRY.findall(text)]


def common(name: str) -> str:
    return name.lower().replace("-", " ").replace("’", "'")


def forms(name: str) -> list[str]:
    """Singular and plural."""
    name = common(name)
    plurals = [f"{name[:-1]}ies"] if name.endswith("y") else [f"{name}s", f"{name}es"]
    return [name, *plurals, re.sub("matrix$", "matrices", name)]


ENTRIES = glossary()
FIRST = {names[0]: chapter for names, chapter in ENTRIES}  # an entry goes by its first name
NAMES = {common(name): names[0] for names, _ in ENTRIES for name in names}
FORMS = {form: names[0] for names, _ in ENTRIES for name in names for form in forms(name)}
LONGEST = max(form.count(" ") for form in FORMS) + 1


def running_text(chapter: str) -> str:
    """From below the head to the exercises, without code, formulas, headings, tables and other links."""
    text = chapter.split("*You need:*", 1)[1].split("\n", 1)[1].split("\n## Exercises")[0]
    return CODE.sub(lambda found: found[1] or " | ", NO_TEXT.sub(" | ", text))


def first_uses(text: str) -> dict[str, bool]:
    """By entry of the glossary that the text uses: whether its first use is a link."""
    pieces, found, place = PIECE.findall(text), {}, 0
    while place < len(pieces):
        linked, word, _ = pieces[place]
        if linked:
            found.setdefault(NAMES[common(linked)], True)
        length = 1
        for size in range(LONGEST if word else 0, 0, -1):
            phrase = " ".join(common(word) for _, word, _ in pieces[place : place + size])
            if phrase in FORMS:
                found.setdefault(FORMS[phrase], False)
                length = size
                break
        place += length
    return found


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_term_is_linked_where_it_comes_first(number):
    uses = first_uses(running_text(CHAPTERS[number].read_text(encoding="utf-8")))
    excused = EVERYDAY | {name for chapter, name in OTHER_MEANING if chapter == number}
    assert {name for name, linked in uses.items() if not linked} - excused == set()


@pytest.mark.parametrize("name", FIRST)
def test_the_chapter_that_introduces_a_term_links_it(name):
    text = CHAPTERS[FIRST[name]].read_text(encoding="utf-8")
    links = [common(linked) for linked, _, _ in PIECE.findall(running_text(text)) if linked]
    assert name in [NAMES[link] for link in links]


def test_the_glossary_is_read_whole():
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    assert len(ENTRIES) == len(re.findall(r"^  ", text, flags=re.MULTILINE)) > 100
    assert {"step", "gradient step"} <= {name for names, _ in ENTRIES for name in names}
    assert [names[0] for names, _ in ENTRIES] == sorted(FIRST, key=common)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A {term}`token`, and tokens.", {"token": True}),
        ("Two tokens, a {term}`token`.", {"token": False}),
        ("the {term}`heads <attention head>`", {"attention head": True}),
        ("A forget gate is one.", {"forget gate": False}),
        ("the cross-entropy", {"cross-entropy": False}),
        ("a token-weighted 5-gram", {}),
        ("hidden. State: forget | gate", {"gate": False}),
        ("conditional probabilities; Batches", {"conditional probability": False, "mini-batch": False}),
    ],
)
def test_uses_are_found(text, expected):
    assert first_uses(text) == expected


def test_code_formulas_and_headings_are_no_running_text():
    head = "# Title\n\n*You need:* tokens.\n\n"
    text = "## A token\n\n`token` $token$ [token](a.md) {numref}`token`\n\n$$\ntoken\n$$\n\n| token |\n\n"
    rest = "A {term}`gate`.\n\n## Exercises\n\nA token."
    assert first_uses(running_text(head + text + rest)) == {"gate": True}
