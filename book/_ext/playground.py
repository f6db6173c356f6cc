"""The directive {playground}: trained models that run in the reader's browser.

    ```{playground}
    :models: gru elman lstm ngram
    :chosen: gru lstm
    :parts: models sampling text bars state
    :prompt: The President
    :temperature: 0.8

    What readers without JavaScript see: any text, table or image.
    ```

``models`` are names of the manifest (default: all), ``chosen`` those to begin with (default: the first),
``parts`` what is shown beside the prompt and the buttons (default: everything). The scripts are loaded on
pages with a playground only; nothing is fetched from another host. The files of the models are written by
scripts/export_playground.py, and without them no book is built.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

MANIFEST = Path(__file__).resolve().parents[1] / "_static" / "playground" / "models" / "manifest.json"
PARTS = ("models", "sampling", "text", "bars", "state")
NOTE = (
    "Here trained models would write in your browser. They do not run now: they need JavaScript, and a page "
    "that comes from a server; from a file on disk, browsers start no modules. In the folder of the book, "
    "“python -m http.server” is such a server."
)


class playground(nodes.General, nodes.Element):
    """A widget; its children are for readers without JavaScript."""


class PlaygroundDirective(SphinxDirective):
    """A wrong name ends the build."""

    has_content = True
    option_spec = {  # noqa: RUF012 - docutils wants it so
        "models": directives.unchanged_required,
        "chosen": directives.unchanged_required,
        "parts": directives.unchanged_required,
        "prompt": directives.unchanged_required,
        "temperature": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        known = self._model_names()
        options = {"models": " ".join(known), **self.options}
        chosen = options.get("chosen", options["models"]).split()
        self._check("models", options["models"].split(), known)
        self._check("chosen", chosen, options["models"].split())
        self._check("parts", options.get("parts", "").split(), PARTS)
        self._check_temperature(options.get("temperature", "1"))
        node = playground("", nodes.paragraph("", NOTE), options=options)
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]

    def _model_names(self) -> list[str]:
        if not MANIFEST.is_file():
            raise self._error(f"there are no models at {MANIFEST.parent}: run scripts/export_playground.py")
        self.env.note_dependency(str(MANIFEST))
        return [entry["name"] for entry in json.loads(MANIFEST.read_text(encoding="utf-8"))["models"]]

    def _check(self, option: str, names: list[str], known: Any) -> None:
        for name in names:
            if name not in known:
                raise self._error(f"{option} names {name!r}, and there are {', '.join(known)}")

    def _check_temperature(self, text: str) -> None:
        try:
            inside = 0 <= float(text) <= 2
        except ValueError:
            inside = False
        if not inside:
            raise self._error(f"temperature is {text!r}; the slider goes from 0 to 2")

    def _error(self, reason: str) -> ExtensionError:
        return ExtensionError(f"{self.get_location()}: {{playground}}: {reason}")


def visit_html(translator, node: playground) -> None:
    data = {f"data-{name}": value for name, value in node["options"].items()}
    translator.body.append(translator.starttag(node, "div", CLASS="playground", **data))
    translator.body.append('<div class="pg-fallback">\n')


def depart_html(translator, node: playground) -> None:
    translator.body.append("</div>\n</div>\n")


def load_scripts(app, pagename, templatename, context, doctree) -> None:
    """On this page only."""
    if doctree is not None and next(doctree.findall(playground), None) is not None:
        app.add_css_file("playground/playground.css")
        app.add_js_file("playground/start.js", type="module")


def setup(app):
    app.add_node(playground, html=(visit_html, depart_html))
    app.add_directive("playground", PlaygroundDirective)
    app.connect("html-page-context", load_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
