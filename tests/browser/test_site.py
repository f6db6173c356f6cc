"""The built book as files: links, addresses for others, dates, icons. No browser is needed for these."""

import re
import subprocess
import urllib.parse
import xml.etree.ElementTree as ET

import pytest
from built import BASE, DOCUMENTS, PAGES, ROOT, SITE, page, target_of
from make_icons import NAMES
from plain_markdown import read_book

REPOSITORY = "https://github.com/next-word/next-word"
each_page = pytest.mark.parametrize("name", PAGES)
each_document = pytest.mark.parametrize("name", DOCUMENTS)


def git(*arguments: str) -> str | None:
    """What git says, or None where there is no git or no repository."""
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def test_every_entry_of_the_contents_has_a_page_and_nothing_else_has():
    built = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")}
    assert {name for name in built if not name.startswith("_static/")} == {*PAGES, "index.html"}


@each_page
def test_internal_links_and_anchors_resolve(name):
    missing = []
    for link in page(name).links:
        if (found := target_of(name, link)) is None:
            continue
        file, fragment = found
        if file == SITE / "next-word.pdf":  # `make site` puts it there
            continue
        if not file.is_file() or (fragment and fragment not in page(str(file.relative_to(SITE))).ids):
            missing.append(link)
    assert missing == []


def test_figures_and_equations_have_the_numbers_that_notebooks_say():
    for target in read_book(ROOT).targets.values():
        behind = page(f"book/{target.page}.html").text.partition(f'id="{target.anchor}"')[2]
        number = re.search(r'(?:caption-number">Fig\. |eqno">\()([\d.]+)', behind)
        assert number is not None, target
        assert number[1] == target.number, target


@each_page
def test_colab_and_edit_links_lead_to_files_of_the_repository(name):
    for link in page(name).links:
        path = urllib.parse.urlsplit(link).path
        if "colab.research.google.com" in link:
            assert link.startswith("https://colab.research.google.com/github/next-word/next-word/blob/main/")
            assert (ROOT / path.partition("/blob/main/")[2]).is_file(), link
        elif link.startswith(f"{REPOSITORY}/edit/main/"):
            assert (ROOT / path.partition("/edit/main/")[2]).is_file(), link


@each_document
def test_a_document_can_be_edited(name):
    assert f"{REPOSITORY}/edit/main/{name}.md" in page(f"{name}.html").links


def test_next_leads_through_the_whole_book_and_previous_back():
    seen, name = [], f"{DOCUMENTS[0]}.html"
    while name:
        seen.append(name)
        following = page(name).relations.get("next")
        if not following:
            break
        file, _ = target_of(name, following)
        before, _ = target_of(
            str(file.relative_to(SITE)), page(str(file.relative_to(SITE))).relations["prev"]
        )
        assert before == SITE / name
        name = str(file.relative_to(SITE))
    assert seen == [f"{document}.html" for document in DOCUMENTS]


@each_document
def test_what_others_show_of_a_page(name):
    meta = page(f"{name}.html").meta
    assert meta["og:url"] == f"{BASE}{name}.html"
    assert meta["og:title"]
    assert len(meta["description"]) > 40
    assert meta["og:description"] == meta["description"]
    assert meta["twitter:card"] == "summary_large_image"
    assert meta["og:image"].startswith(BASE)
    assert (SITE / meta["og:image"].removeprefix(BASE)).is_file()
    assert page(f"{name}.html").relations["canonical"] == f"{BASE}{name}.html"


def test_the_front_door_shows_the_same_and_leads_inside():
    door, inside = page("index.html"), page(f"{DOCUMENTS[0]}.html")
    assert f'content="0; url={DOCUMENTS[0]}.html"' in door.text
    for name in ("og:title", "og:url", "og:image", "og:description", "description"):
        assert door.meta[name] == inside.meta[name]


def test_the_sitemap_has_every_document_and_nothing_else():
    tree = ET.parse(SITE / "sitemap.xml")
    space = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    addresses = [element.text for element in tree.findall("s:url/s:loc", space)]
    assert sorted(addresses) == sorted(f"{BASE}{name}.html" for name in DOCUMENTS)


def test_documents_say_when_they_were_last_changed():
    tracked = git("ls-files", "book")
    if tracked is None or git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("dates come from git, and this is no full clone")
    documents = [name for name in DOCUMENTS if f"{name}.md" in tracked.splitlines()]
    without = [name for name in documents if "Last updated on" not in page(f"{name}.html").text]
    assert without == []


@each_page
def test_icons_are_among_those_that_the_icon_font_has(name):
    shown = {part for part in page(name).classes if part.startswith("fa-")}
    sizes_and_styles = {"fa-solid", "fa-brands", "fa-lg"}
    assert {part.removeprefix("fa-") for part in shown - sizes_and_styles} <= set(NAMES)


@each_page
def test_a_page_asks_for_no_more_than_it_uses(name):
    scripts = [link for link in page(name).links if ".js" in link]
    assert not [link for link in scripts if "fontawesome" in link]
    if name != "search.html":
        assert not [link for link in scripts if "searchindex" in link or "searchtools" in link]
