"""After the build: pictures with a palette, and a style sheet without two thousand icons that no page shows.

A figure has few colours, so that one byte for each pixel does as well as three or four; the theme's rules for
icons are a third of its style sheet, which a browser has to read before it paints anything.
"""

import re
from pathlib import Path

from PIL import Image

ICON = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"\\[0-9a-f]+"\}')
COLOURS = 256


def with_palette(path: Path) -> None:
    """Write the picture with a palette, unless that makes it larger or it has one already."""
    with Image.open(path) as picture:
        if picture.mode == "P":
            return
        method = Image.Quantize.FASTOCTREE  # the one that keeps transparency
        small = picture.convert("RGBA").quantize(COLOURS, method=method, dither=Image.Dither.NONE)
    other = path.with_suffix(".small")
    small.save(other, format="PNG", optimize=True)
    if other.stat().st_size < path.stat().st_size:
        other.replace(path)
    else:
        other.unlink()


def without_icons(css: str, kept: set[str]) -> str:
    """The style sheet less the rules of all icons but those that are kept ("fa-bars")."""

    def keep(rule: re.Match) -> str:
        return rule[0] if kept & set(re.findall(r"\.(fa-[\w-]+):before", rule[0])) else ""

    return ICON.sub(keep, css)


def finish(app, exception):
    if exception or app.builder.name != "html":
        return
    site = Path(app.outdir)
    for path in (site / "_images").glob("*.png"):
        with_palette(path)
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    sheet = site / "_static" / "styles" / "pydata-sphinx-theme.css"
    kept = set(re.findall(r"fa-[\w-]+", pages))
    sheet.write_text(without_icons(sheet.read_text(encoding="utf-8"), kept), encoding="utf-8")


def setup(app):
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
