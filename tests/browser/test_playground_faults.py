"""The playground in Chromium when files are damaged, missing or of another version: it says so, in words."""

import shutil
from pathlib import Path

import pytest
from playground_site import (
    COLUMNS,
    MODELS,
    READY,
    SAID,
    SUB_PATH,
    press,
    run_to_the_end,
    show,
    status,
    wait_for_status,
)

NO_SUBTLE = "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })"
NO_NETWORK = "window.fetch = async () => { throw new TypeError('no network'); }"
OTHER = "is damaged, or belongs to another version of this page: "


@pytest.fixture
def damaged(playground_folder, tmp_path, serve):
    """Serve a copy of the small book after ``change(folder of its models)``; returns the page's address."""

    def damaged(change) -> str:
        shutil.copytree(playground_folder, tmp_path / "copy")
        change(tmp_path / "copy" / SUB_PATH / MODELS)
        return f"{serve(tmp_path / 'copy')}/book/full.html"

    return damaged


def flip_a_bit(name: str):
    def change(models: Path) -> None:
        content = bytearray((models / name).read_bytes())
        content[len(content) // 2] ^= 4
        (models / name).write_bytes(content)

    return change


def cut(name: str):
    return lambda models: (models / name).write_bytes((models / name).read_bytes()[:-4])


def in_manifest(old: str, new: str):
    def change(models: Path) -> None:
        text = (models / "manifest.json").read_text(encoding="utf-8")
        assert old in text
        (models / "manifest.json").write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


@pytest.mark.parametrize("script", [None, NO_SUBTLE], ids=["the browser's SHA-256", "our own"])
def test_damaged_weights_are_not_used_and_the_other_models_are(open_page, damaged, script):
    page = open_page(damaged(flip_a_bit("gru.bin")), wait_for=SAID, script=script)
    assert status(page).startswith(f"gru.bin {OTHER}its checksum (SHA-256) begins with ")
    assert "Reload the page" in status(page)
    assert page.locator(".pg-fallback").is_visible()
    assert page.locator(COLUMNS).count() == 0
    page.get_by_role("checkbox", name="GRU", exact=True).uncheck()
    show(page, "LSTM")
    page.wait_for_function(READY)
    run_to_the_end(page)
    page.get_by_role("checkbox", name="GRU", exact=True).check()
    wait_for_status(page, f"gru.bin {OTHER}")
    assert not page.get_by_role("checkbox", name="GRU", exact=True).is_checked()
    assert page.locator(COLUMNS).count() == 1


def test_where_browsers_offer_no_sha256_ours_lets_whole_files_pass(open_page, serve, playground_folder):
    page = open_page(f"{serve(playground_folder)}/book/full.html", script=NO_SUBTLE)
    assert page.evaluate("crypto.subtle === undefined")
    assert "Ready" in status(page)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut("gru.bin"), f"gru.bin {OTHER}it has "),
        (flip_a_bit("tokenizer.json"), f"tokenizer.json {OTHER}its checksum"),
        (in_manifest('"format": 1', '"format": 2'), "has format 2, and this page reads format 1"),
        (in_manifest('"format": 1', '"format": '), "The list of models (manifest.json) is damaged."),
        (in_manifest('"models"', '"model"'), "The list of models (manifest.json) is damaged."),
        (in_manifest('"letters": [65, 90', '"letters": [90, 65'), "(manifest.json) is damaged."),
        (in_manifest('"cell": "gru"', '"cell": "tanh"'), "This page has no cell named “tanh”."),
    ],
)
def test_other_damage(open_page, damaged, change, message):
    page = open_page(damaged(change), wait_for=SAID)
    assert message in status(page)
    assert page.locator(".pg-fallback").is_visible()
    assert page.outside == page.errors == []


def test_a_description_that_does_not_fit_its_file(open_page, damaged):
    page = open_page(damaged(in_manifest('"shape": [400, 16]', '"shape": [400, 1600]')))
    page.get_by_role("checkbox", name="Elman", exact=True).check()
    wait_for_status(page, "The list of models (manifest.json) does not fit elman.bin.")
    assert page.errors == []


def test_a_missing_file_can_be_tried_again(open_page, damaged):
    kept = {}

    def remove(models: Path) -> None:
        kept[models / "gru.bin"] = (models / "gru.bin").read_bytes()
        (models / "gru.bin").unlink()

    page = open_page(damaged(remove), wait_for=SAID)
    assert status(page) == "gru.bin could not be fetched: the server answers with status 404."
    for path, content in kept.items():
        path.write_bytes(content)
    press(page, "Try again")
    page.wait_for_function(READY)
    assert page.locator(COLUMNS).count() == 1
    assert page.locator(".pg-fallback").is_hidden()


def test_no_connection(open_page, serve, playground_folder):
    page = open_page(f"{serve(playground_folder)}/book/full.html", wait_for=SAID, script=NO_NETWORK)
    assert status(page) == "manifest.json could not be fetched: there is no connection, or it broke off."
