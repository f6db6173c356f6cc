"""The mark, the logo and the card that a link to the book shows elsewhere.

The mark is a unit that hands its state on to itself, over a line of text whose next word is missing.
"""

from diagrams.style import ACCENT, COLOURS, SANS

BLANK = COLOURS["n-gram"]  # the word that is missing
WORD = "#2A86C0"  # letters of the logo: 3.9 against white, 4.7 against the dark page
NIGHT, SNOW, MIST = "#0B1F33", "#FFFFFF", "#C3D3E2"


def mark(x: float, y: float, size: float) -> str:
    """The mark in a square of the given size."""
    round_ends = 'stroke-linecap="round" stroke-linejoin="round"'
    shapes = [
        f'<rect width="64" height="64" rx="14" fill="{ACCENT}"/>',
        f'<path d="M13 48h20" stroke="{SNOW}" stroke-width="6" {round_ends}/>',
        f'<path d="M42 48h9" stroke="{BLANK}" stroke-width="6" {round_ends}/>',
        f'<path d="M20 35a13 13 0 1 1 23 -6" fill="none" stroke="{SNOW}" stroke-width="5" {round_ends}/>',
        f'<path d="M37 29h13l-6.5 9z" fill="{SNOW}" stroke="{SNOW}" stroke-width="1" {round_ends}/>',
    ]
    return f'<g transform="translate({x:g} {y:g}) scale({size / 64:g})">{"".join(shapes)}</g>'


def favicon() -> str:
    return _file(64, 64, "Next Word", [mark(0, 0, 64)])


def logo() -> str:
    letters = f'font-family="{SANS}" font-size="34" font-weight="bold" fill="{WORD}"'
    word = f'<text x="80" y="44" {letters}>Next Word</text>'
    blank = f'<path d="M168 55h84" stroke="{BLANK}" stroke-width="4" stroke-linecap="round"/>'
    return _file(272, 64, "Next Word", [mark(0, 0, 64), word, blank])


def social_card() -> str:
    """1200 × 630 pixels, the size that link previews use."""
    parts = [
        f'<rect width="1200" height="630" fill="{NIGHT}"/>',
        mark(80, 84, 132),
        _line(248, 178, "Next Word", 92, SNOW, bold=True),
        _line(80, 300, "Train a recurrent network to predict the next word,", 42, MIST),
        _line(80, 356, "and understand every number on the way.", 42, MIST),
    ]
    words = ["The", "President", "of", "the"]
    for step, word in enumerate(words):
        x = 136 + 200 * step
        parts += [
            f'<rect x="{x - 56}" y="428" width="112" height="64" rx="12" fill="{ACCENT}"/>',
            f'<path d="M{x + 56} 460h66" stroke="{SNOW}" stroke-width="5"/>',
            f'<path d="M{x + 142} 460l-22 -11v22z" fill="{SNOW}"/>',
            f'<path d="M{x} 532v-38" stroke="{MIST}" stroke-width="4"/>',
            _line(x, 570, word, 34, SNOW, anchor="middle"),
        ]
    parts.append(f'<path d="M904 478h216" stroke="{BLANK}" stroke-width="12" stroke-linecap="round"/>')
    return _file(1200, 630, "Next Word: a course on recurrent language models", parts)


def _line(x: float, y: float, text: str, size: float, colour: str, bold=False, anchor="start") -> str:
    weight = ' font-weight="bold"' if bold else ""
    look = f'font-family="{SANS}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{weight}'
    return f'<text x="{x:g}" y="{y:g}" {look}>{text}</text>'


def _file(wide: int, high: int, title: str, parts: list[str]) -> str:
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">'
    return "\n".join([head, *parts, "</svg>", ""])
