"""Quizzes and interview questions: one right answer, every answer explained, every link leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
QUIZZES = sorted(BOOK.glob("quiz_*.md"))
INTERVIEW = BOOK / "interview.md"
PAGES = [*QUIZZES, INTERVIEW, BOOK / "notation.md", BOOK / "instructors.md"]

FENCE = re.compile(r"^(`{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r'<details class="quiz"><summary>(.+?)</summary>\n\n(.+?)\n\n</details>', re.DOTALL)
LINK = re.compile(r"(?<!!)\]\(([^)\s]+)\)")
FIGURE = re.compile(r"^(?:    name: |:::\{figure-md\} )(fig-[\w-]+)$", re.MULTILINE)
NUMREF = re.compile(r"\{numref\}`([^`]+)`")
STARTS = ("Right. ", "No. ", "Not quite. ")

each_quiz = pytest.mark.parametrize("quiz", QUIZZES, ids=lambda path: path.stem)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def questions(path: Path, mark: str = "## ") -> list[str]:
    """The parts of a page behind its headings, each with its heading's text at the front."""
    return read(path).split(f"\n{mark}")[1:]


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings, to the third level, as MyST makes them (see _config.yml)."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,3} (.+)$", FENCE.sub("", read(path)), re.MULTILINE):
        slug = base = re.sub(r"[^\w\- ]", "", title.strip().lower().replace(" ", "-"))
        number = 1
        while slug in found:
            slug, number = f"{base}-{number}", number + 1
        found.add(slug)
    return found


def is_there(page: Path, link: str) -> bool:
    """Whether the file of a link is in the contents, and the heading of its anchor in the file."""
    if "://" in link:
        return True
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    listed = f"file: book/{target.stem}\n" in read(ROOT / "_toc.yml") or target.stem == "intro"
    return target.is_file() and listed and (not anchor or anchor in slugs(target))


def parts() -> list[list[str]]:
    """The files of every part of the contents; a part without a caption belongs to the one before."""
    found: list[list[str]] = []
    for line in read(ROOT / "_toc.yml").splitlines():
        if "caption:" in line:
            found.append([])
        elif match := re.search(r"file: book/(\S+)", line):
            found[-1].append(match[1])
    return found


def test_anchors_are_switched_on():
    assert re.search(r"^    myst_heading_anchors: 3\b", read(ROOT / "_config.yml"), re.MULTILINE)


def test_every_part_with_chapters_ends_with_its_quiz():
    with_chapters = [files for files in parts() if any(re.match(r"\d\d_", name) for name in files)]
    assert [files[-1] for files in with_chapters] == [path.stem for path in QUIZZES]
    assert all(sum(name.startswith("quiz_") for name in files) == 1 for files in with_chapters)


def test_a_quiz_takes_no_chapter_number():
    for quiz in QUIZZES:
        part = read(ROOT / "_toc.yml").split(f"file: book/{quiz.stem}\n")[0].rsplit("\n  - ", 1)[1]
        assert "numbered" not in part, quiz.stem


@each_quiz
def test_six_to_eight_numbered_questions(quiz):
    numbers = [question.split(".")[0] for question in questions(quiz)]
    assert 6 <= len(numbers) <= 8
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


@each_quiz
def test_a_question_has_one_right_answer_and_explains_each(quiz):
    for question in questions(quiz):
        options = OPTION.findall(question)
        assert 3 <= len(options) <= 4, question
        assert question.count("<details") == question.count("</details>") == len(options)
        assert len({answer for answer, _ in options}) == len(options)
        assert all(why.startswith(STARTS) and len(why.split(". ", 1)[1]) > 20 for _, why in options), question
        assert [why.startswith("Right. ") for _, why in options].count(True) == 1, question
        assert not any(re.search(r"[$`*]", answer) for answer, _ in options), "no Markdown in a summary"


@each_quiz
def test_every_question_names_the_section_that_explains_it(quiz):
    for question in questions(quiz):
        where = question.strip().splitlines()[-1]
        assert where.startswith("Where it stands: ")
        assert LINK.search(where)
        assert all("#" in link for link in LINK.findall(where)), where


@each_quiz
def test_the_right_answer_has_no_fixed_place(quiz):
    places = [
        [why.startswith("Right. ") for _, why in OPTION.findall(question)].index(True)
        for question in questions(quiz)
    ]
    assert len(set(places)) >= 3
    assert max(places.count(place) for place in set(places)) <= len(places) / 2


@each_page
def test_every_link_and_every_figure_is_there(page):
    text = read(page)
    assert [link for link in LINK.findall(text) if not is_there(page, link)] == []
    chapters = "\n".join(read(path) for path in BOOK.glob("[0-9][0-9]_*.md"))
    named = set(FIGURE.findall(chapters))
    assert [name for name in NUMREF.findall(text) if name not in named] == []


def test_interview_questions_are_answered_with_a_section_and_a_figure():
    groups = questions(INTERVIEW)
    asked = [question for group in groups for question in group.split("\n### ")[1:]]
    assert 25 <= len(asked) <= 30
    for question in asked:
        ((summary, answer),) = OPTION.findall(question)
        assert summary == "Answer"
        body, where = answer.rsplit("\n\n", 1)
        assert len(re.findall(r"[.?!:](?=\s|$)", body)) >= 3, question
        assert where.startswith("See ")
        assert NUMREF.search(where)
        assert any("#" in link for link in LINK.findall(where))


def test_instructors_have_a_goal_and_a_row_for_every_chapter():
    page = read(BOOK / "instructors.md")
    chapters = [name for files in parts() for name in files if re.match(r"\d\d_", name)]
    goals, rows = page.split("## The goal of each chapter")[1].split("## What the chapters need to run")
    assert [name for name in chapters if f"]({name}.md) |" not in goals] == []
    assert [name for name in chapters if f"\n| {int(name[:2])} |" not in rows] == []


def test_a_link_to_nowhere_is_noticed():
    quiz = QUIZZES[0]
    assert is_there(quiz, "02_tokens.md#bits-per-byte")
    assert not is_there(quiz, "02_tokens.md#bits-per-bite")
    assert not is_there(quiz, "02_token.md")
    assert "the-boundary-of-documents-and-why-eos" in slugs(BOOK / "06_data_shifting.md")
