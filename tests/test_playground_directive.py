"""The directive {playground}: what it writes, where its scripts are loaded, and what ends the build."""

import json
import sys
from pathlib import Path

import pytest
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import playground


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "models" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"models": [{"name": "gru"}, {"name": "ngram"}]}), encoding="utf-8")
    monkeypatch.setattr(playground, "MANIFEST", path)
    return path


@pytest.fixture
def build(tmp_path, manifest):
    """Build a book of pages with Sphinx; returns their HTML."""

    def build(**pages: str) -> dict[str, str]:
        source = tmp_path / "book"
        source.mkdir()
        for name, text in {"index": "Start", **pages}.items():
            (source / f"{name}.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
        (source / "conf.py").write_text("", encoding="utf-8")
        static = playground.MANIFEST.parent.parent / "static" / "playground"
        static.mkdir(parents=True)
        for name in ("start.js", "playground.css"):
            (static / name).write_text("", encoding="utf-8")
        settings = {
            "extensions": ["myst_parser", "playground"],
            "html_theme": "basic",
            "suppress_warnings": ["toc"],
        }
        app = SphinxTestApp(
            srcdir=source, confoverrides={**settings, "html_static_path": [str(static.parent)]}
        )
        try:
            app.build()
            return {path.stem: path.read_text(encoding="utf-8") for path in Path(app.outdir).glob("*.html")}
        finally:
            app.cleanup()

    return build


def test_a_page_with_a_playground_has_its_scripts_and_the_others_do_not(build):
    pages = build(live="```{playground}\n```", still="Nothing here.")
    for tag in (
        '<script type="module" src="_static/playground/start.js',
        'href="_static/playground/playground.css',
    ):
        assert tag in pages["live"]
        assert tag not in pages["still"]
        assert tag not in pages["index"]


def test_options_and_the_text_for_readers_without_javascript(build):
    options = (
        ':models: ngram gru\n:chosen: gru\n:parts: text bars\n:prompt: The "President"\n:temperature: 0.5'
    )
    html = build(index=f"```{{playground}}\n{options}\n\n| a |\n|---|\n| *b* |\n```")["index"]
    attributes = 'data-chosen="gru" data-models="ngram gru" data-parts="text bars"'
    attributes += ' data-prompt="The &quot;President&quot;" data-temperature="0.5"'
    assert f'<div class="playground" {attributes}>' in html
    inside = html[html.index('<div class="pg-fallback">') :]
    assert "need JavaScript" in inside
    assert "<em>b</em>" in inside


def test_without_options_all_models_are_offered(build):
    assert '<div class="playground" data-models="gru ngram">' in build(index="```{playground}\n```")["index"]


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (":models: gru lstm", "models names 'lstm', and there are gru, ngram"),
        (":chosen: elman", "chosen names 'elman', and there are gru, ngram"),
        (":parts: text bar", "parts names 'bar', and there are models, sampling, text, bars, state"),
        (":temperature: 2.5", "temperature is '2.5'; the slider goes from 0 to 2"),
        (":temperature: hot", "temperature is 'hot'; the slider goes from 0 to 2"),
    ],
)
def test_a_wrong_option_ends_the_build(build, option, reason):
    with pytest.raises(ExtensionError, match=r"index.md:3: \{playground\}: ") as caught:
        build(index=f"```{{playground}}\n{option}\n```")
    assert reason in str(caught.value)


def test_without_models_no_book_is_built(build, manifest):
    manifest.unlink()
    with pytest.raises(ExtensionError, match=r"no models at .*: run scripts/export_playground\.py"):
        build(index="```{playground}\n```")
