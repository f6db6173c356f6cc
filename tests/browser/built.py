"""The built pages as files: what their HTML holds, without a browser."""

import html.parser
import urllib.parse
from functools import cache
from pathlib import Path

import yaml
from site_server import ROOT, SITE

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
SETTINGS = [f"{width}-{theme}" for width in WIDTHS for theme in ("light", "dark")]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
BASE = CONFIG["html"]["baseurl"]


def contents() -> list[str]:
    """The documents of _toc.yml in reading order, "book/intro" first."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [table["root"]]

    def walk(entries):
        for entry in entries:
            listed.append(entry["file"])
            walk(entry.get("sections", []))

    for part in table["parts"]:
        walk(part["chapters"])
    return listed


DOCUMENTS = contents()
MADE = ["404.html", "genindex.html", "search.html"]  # pages that no source file of ours stands behind
PAGES = [f"{name}.html" for name in DOCUMENTS] + MADE


class Page(html.parser.HTMLParser):
    """Ids, links, meta tags and CSS classes of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: set[str] = set()
        self.classes: set[str] = set()
        self.links: list[str] = []  # of href and src
        self.relations: dict[str, str] = {}  # next, prev, canonical
        self.meta: dict[str, str] = {}
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = {name: value or "" for name, value in attributes}
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        self.classes |= set(found.get("class", "").split())
        if tag == "meta" and "content" in found:
            self.meta[found.get("property") or found.get("name", "")] = found["content"]
        elif tag == "link" and "rel" in found:
            self.relations[found["rel"]] = found.get("href", "")
        self.links += [found[key] for key in ("href", "src") if found.get(key)]


@cache
def page(name: str) -> Page:
    return Page((SITE / name).read_text(encoding="utf-8"))


def target_of(name: str, link: str) -> tuple[Path, str] | None:
    """File and fragment that a link of a page leads to, or None for a link that leads elsewhere."""
    base = urllib.parse.urlsplit(BASE)
    url = urllib.parse.urlsplit(urllib.parse.urljoin(BASE + name, link))
    if (url.scheme, url.netloc) != (base.scheme, base.netloc):
        return None
    path = urllib.parse.unquote(url.path)
    assert path.startswith(base.path), f"{name}: {link} leaves the book"
    file = SITE / path.removeprefix(base.path)
    return (file / "index.html" if path.endswith("/") else file), url.fragment
