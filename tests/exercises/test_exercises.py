"""Every exercise: its empty stub is told so, its solution passes, each wrong answer gets its own message."""

import importlib
import re
from pathlib import Path

import jupytext
import pytest

from lmcore_exercises.checking import NotYet

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))
HEADING = re.compile(r"^\*\*(\d+\.\d+) (Check|Derive|Ablate|Extend|Find)\.\*\* ", re.MULTILINE)

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def number_of(chapter: Path) -> str:
    return chapter.stem[:2]


def section(chapter: Path) -> str:
    return chapter.read_text(encoding="utf-8").split("\n## Exercises\n")[1].split("\n## Further reading\n")[0]


def numbers(chapter: Path) -> list[str]:
    return [match[1] for match in HEADING.finditer(section(chapter))]


def checks(chapter: Path) -> dict:
    """The checks of a chapter by the number of their exercise."""
    module = importlib.import_module(f"lmcore_exercises.chapter_{number_of(chapter)}")
    return {check.number: check for check in vars(module).values() if hasattr(check, "number")}


def wrong_answers(chapter: Path) -> dict[str, list]:
    return importlib.import_module(f"exercises.wrong_{number_of(chapter)}").WRONG


def cells(chapter: Path, tag: str) -> list[str]:
    found = [cell for cell in jupytext.read(chapter).cells if tag in cell.metadata.get("tags", [])]
    return [cell.source for cell in found]


def set_up(chapter: Path) -> dict:
    """What a reader has who ran the imports and nothing else: answers must need no more."""
    code = [cell.source for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]
    namespace = {}
    exec(code[1], namespace)
    exec(next(source for source in code if "lmcore_exercises" in source), namespace)
    return namespace


@each_chapter
def test_three_to_five_exercises_are_numbered_in_order(chapter):
    found = numbers(chapter)
    assert 3 <= len(found) <= 5
    assert found == [f"{int(number_of(chapter))}.{i}" for i in range(1, len(found) + 1)]
    assert list(checks(chapter)) == found


@each_chapter
def test_every_exercise_has_a_stub_hints_and_a_solution(chapter):
    for text in HEADING.split(section(chapter))[3::3]:
        assert text.count(":tags: [exercise]") == 1
        assert text.count("tags: [solution, hide-cell]") == 1
        assert "<details><summary>Hint 1</summary>" in text
        assert text.index("[exercise]") < text.index("<summary>Hint 1") < text.index("[solution, hide-cell]")


@each_chapter
def test_an_empty_stub_is_told_that_it_is_empty(chapter, capsys):
    namespace = set_up(chapter)
    for number, stub in zip(numbers(chapter), cells(chapter, "exercise"), strict=True):
        exec(stub, namespace)
        assert capsys.readouterr().out.startswith(f"{number} not yet: "), stub


@each_chapter
def test_the_solution_passes(chapter, capsys):
    namespace = set_up(chapter)
    for number, solution in zip(numbers(chapter), cells(chapter, "solution"), strict=True):
        exec(solution, namespace)
        assert f"{number} right." in capsys.readouterr().out, solution


@each_chapter
def test_at_least_two_wrong_answers_are_kept_for_every_exercise(chapter):
    assert {number: len(kept) >= 2 for number, kept in wrong_answers(chapter).items()} == dict.fromkeys(
        numbers(chapter), True
    )


@each_chapter
def test_a_wrong_answer_is_told_what_is_wrong(chapter):
    for number, kept in wrong_answers(chapter).items():
        messages = [message_for(checks(chapter)[number], answer) for answer, _ in kept]
        for (answer, expected), message in zip(kept, messages, strict=True):
            assert re.search(expected, message), f"{number}, {answer}: {message}"
        assert len(set(messages)) >= 2, f"{number}: one message for all mistakes"


def message_for(check, answer) -> str:
    with pytest.raises(NotYet) as found:
        check.__wrapped__(answer)
    return str(found.value)


def test_there_are_at_least_sixty():
    assert sum(len(numbers(chapter)) for chapter in CHAPTERS) >= 60
