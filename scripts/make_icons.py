"""Cut the few icons that the pages show out of the theme's icon fonts, into book/_static/icons/.

    python scripts/make_icons.py    make icons

The theme brings Font Awesome twice: as a script of half a megabyte (compressed) that draws every icon there
is, and as fonts of 270 kB. book/_templates/layout.html leaves the script out, and icons.css, written here,
puts small fonts in the place of the large ones. They carry a name of their own, as their licence asks.
"""

import re
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "book" / "_static" / "icons"
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
WEIGHTS = {"fa-solid-900": 900, "fa-brands-400": 400}  # of the theme's files; one family of ours holds both
FAMILY = "course icons"
NAMES = [  # of the classes in the pages; tests/browser/test_site.py looks for others
    *("angle-left", "angle-right", "arrow-up", "bars", "chevron-down", "chevron-right", "circle-half-stroke"),
    *("code", "download", "expand", "file", "file-pdf", "github", "lightbulb", "list", "magnifying-glass"),
    *("moon", "pencil-alt", "rocket", "sun", "xmark"),
]
FACE = """@font-face {{
  font-family: "{family}"; font-weight: {weight}; font-display: block; src: url("{name}.woff") format("woff");
}}
"""
USE = """:root {{
  --fa-font-solid: normal 900 1em/1 "{family}";
  --fa-font-brands: normal 400 1em/1 "{family}";
}}
.fa-solid, .fas, .fa-brands, .fab {{ font-family: "{family}"; }}
"""


def characters(css: str) -> dict[str, str]:
    """By icon's name, the character that stands for it in the font."""
    found = {}
    for names, code in re.findall(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}', css):
        found |= dict.fromkeys(re.findall(r"\.fa-([\w-]+):before", names), chr(int(code, 16)))
    return found


def wanted(css: str) -> str:
    """The characters of the icons by name, and of those that the theme's own rules put before a text."""
    by_name = characters(css)
    return "".join(by_name[name] for name in NAMES) + "".join(re.findall(r'--pst-icon-[\w-]+:"(.)"', css))


def cut(source: Path, text: str, target: Path) -> int:
    """Write a font with these characters only; returns how many of them the source has."""
    font = TTFont(source, recalcTimestamp=False)
    cutter = subset.Subsetter(subset.Options(layout_features=[], name_IDs=[0, 13, 14]))  # copyright, licence
    cutter.populate(text=text)
    cutter.subset(font)
    for number in (1, 4, 6):
        font["name"].setName(FAMILY, number, 3, 1, 0x409)
    font.flavor = "woff"
    font.save(target)
    return len(font.getBestCmap())


def main() -> None:
    css = (THEME / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    rules = (
        "/* Made by scripts/make_icons.py. Font Awesome Free, SIL Open Font License 1.1: see LICENSE. */\n"
    )
    for name, weight in WEIGHTS.items():
        source = THEME / "vendor" / "fontawesome" / "webfonts" / f"{name}.ttf"
        target = FOLDER / f"{name}.woff"
        count = cut(source, wanted(css), target)
        rules += FACE.format(family=FAMILY, weight=weight, name=name)
        print(f"{target.relative_to(ROOT)}: {count} icons, {target.stat().st_size:,} bytes")
    rules += USE.format(family=FAMILY)
    (FOLDER / "icons.css").write_text(rules, encoding="utf-8")


if __name__ == "__main__":
    main()
