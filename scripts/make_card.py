"""Render book/_static/social_card.svg as a PNG of 1200 × 630 pixels: other sites show no SVG beside a link.

python scripts/make_card.py     make card
"""

import chromium
from site_server import ROOT

CARD = ROOT / "book" / "_static" / "social_card.svg"
SIZE = {"width": 1200, "height": 630}


def main() -> None:
    target = CARD.with_suffix(".png")
    with chromium.started() as browser:
        page = browser.new_page(viewport=SIZE)
        page.set_content(
            f"<style>* {{ margin: 0 }} svg {{ display: block }}</style>{CARD.read_text('utf-8')}"
        )
        page.screenshot(path=target)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
