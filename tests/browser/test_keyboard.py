"""Everything that a mouse can do on a page can be done with the keyboard."""

import pytest
from built import page as built_page
from built import target_of

CHAPTER = "book/04_elman_unit.html"
FOCUSED = """() => {
    const e = document.activeElement;
    return e === document.body ? '' : (e.getAttribute('aria-label') || e.title || e.innerText || e.id).trim();
}"""


def walk(page, steps: int) -> list[str]:
    """What gets the focus, one press of Tab after the other."""
    names = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        names.append(page.evaluate(FOCUSED))
    return names


def test_the_first_stop_leads_past_the_menu(visit):
    page, _ = visit(CHAPTER)
    assert walk(page, 1) == ["Skip to main content"]
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#main-content').contains(document.activeElement)")


def test_menu_search_and_buttons_are_reached(visit):
    page, _ = visit(CHAPTER)
    names = walk(page, 120)
    for wanted in ("Search", "Launch interactive content", "Source repositories", "Download this page"):
        assert wanted in names, names
    assert "8. Training" in names
    assert any("Color mode" in name or "light/dark" in name for name in names), names


def test_the_focus_can_be_seen(visit):
    page, _ = visit(CHAPTER)
    walk(page, 3)
    look = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{look}.outlineStyle !== 'none' || {look}.boxShadow !== 'none'")


def test_search_opens_and_finds_without_a_mouse(visit):
    page, _ = visit(CHAPTER)
    page.keyboard.press("Control+k")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("perplexity")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.locator("#search-results li a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/book/**")


def test_escape_closes_the_search(visit):
    page, _ = visit(CHAPTER)
    page.keyboard.press("Control+k")
    assert page.locator("#pst-search-dialog").evaluate("dialog => dialog.open")
    page.keyboard.press("Escape")
    assert not page.locator("#pst-search-dialog").evaluate("dialog => dialog.open")


def test_the_menu_of_a_phone_opens_and_closes(visit):
    page, _ = visit(CHAPTER, "phone-light")
    button = page.locator("button.primary-toggle").first
    button.focus()
    page.keyboard.press("Enter")
    link = page.locator("#pst-primary-sidebar-modal a", has_text="8. Training")
    assert link.is_visible()
    page.keyboard.press("Escape")
    assert not link.is_visible()
    assert button.evaluate("button => button === document.activeElement")


def test_the_launch_menu_leads_to_colab(visit):
    page, _ = visit(CHAPTER)
    page.locator("button[aria-label='Launch interactive content']").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert "colab" in page.evaluate("document.activeElement.href")


def test_a_solution_unfolds(visit):
    page, _ = visit(CHAPTER)
    details = page.locator("article details").last
    assert not details.evaluate("e => e.open")
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    assert details.evaluate("e => e.open")


def test_code_is_copied(visit, contexts, server):
    contexts["desktop-light"].grant_permissions(["clipboard-read", "clipboard-write"], origin=server.origin)
    page, _ = visit(CHAPTER)
    cell = page.locator("div.cell_input:visible").first
    button = cell.locator("button.copybtn")
    button.focus()
    page.wait_for_function("e => getComputedStyle(e).opacity === '1'", arg=button.element_handle())
    page.keyboard.press("Enter")
    code = cell.locator("pre").inner_text().strip()
    page.wait_for_function("async code => (await navigator.clipboard.readText()).trim() === code", arg=code)


@pytest.mark.parametrize("setting", ["desktop-light", "phone-light"])
def test_the_theme_can_be_changed(visit, setting):
    page, _ = visit(CHAPTER, setting)
    button = page.locator("button.theme-switch-button:visible").first
    button.focus()
    seen = set()
    for _ in range(3):  # light, dark, and what the system has
        page.keyboard.press("Enter")
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
    assert seen == {"light", "dark", "auto"}


def test_previous_and_next_are_links(visit):
    page, _ = visit(CHAPTER)
    following, _ = target_of(CHAPTER, built_page(CHAPTER).relations["next"])
    page.locator("a.right-next").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{following.name}")
