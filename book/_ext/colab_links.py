"""Make the theme's Colab button open a chapter's paired notebook instead of its MyST source."""

from pathlib import Path

from sphinx.errors import ExtensionError


def paired_notebook(confdir: str, pagename: str) -> str:
    """Path of the notebook from the repository's root; raises ExtensionError if it is missing."""
    notebook = pagename.replace("book/", "notebooks/", 1) + ".ipynb"
    if not (Path(confdir) / notebook).is_file():
        raise ExtensionError(f"{pagename} has a Colab button, but {notebook} does not exist")
    return notebook


def use_notebooks(app, pagename, templatename, context, doctree):
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                notebook = paired_notebook(app.confdir, pagename)
                button["url"] = button["url"].replace(pagename + ".md", notebook)


def setup(app):
    app.connect("html-page-context", use_notebooks, priority=900)  # after the theme's own handler
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
