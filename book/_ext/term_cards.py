"""A link to the glossary shows the definition while the mouse rests on it: the browser's own card."""

from docutils import nodes
from sphinx import addnodes


def collect(app, doctree):
    """Remember the definitions of a glossary, by the ids of its terms."""
    for item in doctree.findall(nodes.definition_list_item):
        if isinstance(item.parent.parent, addnodes.glossary):
            text = item[-1].astext().partition("→")[0].strip()  # what follows names the chapter
            for term in item.findall(nodes.term):
                definitions(app.env).update(dict.fromkeys(term["ids"], text))


def show(app, doctree, docname):
    """Give each link to a term its definition as a title."""
    for word in doctree.findall(nodes.inline):
        link = word.parent
        if "std-term" in word["classes"] and isinstance(link, nodes.reference):
            target = link.get("refid") or link["refuri"].rpartition("#")[2]
            if target in definitions(app.env):
                link["reftitle"] = definitions(app.env)[target]


def definitions(env) -> dict[str, str]:
    if not hasattr(env, "term_definitions"):  # else they come from the build before
        env.term_definitions = {}
    return env.term_definitions


def setup(app):
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", show)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
