"""The API reference as lmcore's source has it: signatures with shapes, fields with their comments, links.

autodoc evaluates annotations before it shows them; here they stand as they are written, for example
``hidden: Float[Tensor, "N D"]``. What a comment says behind the field of a class becomes that field's
description. A name in single backticks becomes a link where the reference describes it, else code.

Left out: private names, and methods that a class has from torch.
"""

import ast
import inspect
import re
import textwrap
from dataclasses import is_dataclass
from typing import Any

import lmcore

NAME = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FACTORY = re.compile(r"field\(default_factory=(\w+)\)")
SPECIAL = re.compile(r"([*|\\])")  # would start markup in the text of a comment


def tree_of(thing: Any) -> ast.AST:
    """The definition of a class or a function, decorators or not."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def ours(cls: type) -> list[type]:
    """The class and those that it inherits from, as far as they are lmcore's."""
    return [base for base in cls.__mro__ if base.__module__.startswith("lmcore.")]


def fields(cls: type) -> dict[str, tuple[str, str]]:
    """By field: what the source says of it ("seed: int = 0"), and the comment behind it; bases first."""
    found: dict[str, tuple[str, str]] = {}
    if not (is_dataclass(cls) or issubclass(cls, tuple)):
        return found
    for base in reversed(ours(cls)):
        lines = textwrap.dedent(inspect.getsource(base)).splitlines()
        for node in tree_of(base).body:
            if isinstance(node, ast.AnnAssign):
                comment = lines[node.end_lineno - 1][node.end_col_offset :].strip()
                written = FACTORY.sub(r"\1()", ast.unparse(node))
                found[node.target.id] = (written, comment.removeprefix("#").strip())
    return found


def without_first(arguments: ast.arguments) -> str:
    """Arguments as written, less self or cls."""
    first = arguments.posonlyargs or arguments.args
    del first[:1]
    return f"({ast.unparse(arguments)})"


def class_signature(cls: type) -> str | None:
    """The arguments of a class: its fields without their types, which are listed below, or its __init__'s."""
    if found := fields(cls):
        short = [re.sub(r": .+?(?= = |$)", "", written).replace(" = ", "=") for written, _ in found.values()]
        return f"({', '.join(short)})"
    for base in ours(cls):
        if "__init__" in vars(base):
            return without_first(tree_of(base.__init__).args)
    return None


def signature(app, what, name, obj, options, given, returned):
    """What autodoc shows behind a name; the event is autodoc-process-signature."""
    if what in ("class", "exception"):
        return class_signature(obj), None
    if what not in ("function", "method"):
        return given, returned
    tree = tree_of(obj)
    arguments = without_first(tree.args) if what == "method" else f"({ast.unparse(tree.args)})"
    return arguments, ast.unparse(tree.returns) if tree.returns else None


def described(path: str) -> bool:
    """Whether the reference describes "Tokenizer" or "Tokenizer.encode"."""
    first, _, rest = path.partition(".")
    thing = vars(lmcore).get(first)
    if thing is None or inspect.ismodule(thing):
        return False
    if not rest:
        return True
    member = vars(thing).get(rest) if inspect.isclass(thing) and not rest.startswith("_") else None
    return bool((inspect.isroutine(member) or inspect.isdatadescriptor(member)) and member.__doc__)


def linked(text: str, owner: str) -> str:
    """The text with a link, or else code, in the place of each name in single backticks."""

    def replace(match: re.Match) -> str:
        for path in (match[1].removeprefix("lmcore."), f"{owner}.{match[1]}"):
            if described(path):
                return f":py:obj:`{match[1]} <lmcore.{path}>`"
        return f"``{match[1]}``"

    return NAME.sub(replace, text)


def docstring(app, what, name, obj, options, lines):
    """Links in the text, and a list of fields below a class; the event is autodoc-process-docstring."""
    owner = name.removeprefix("lmcore.").split(".")[0]
    lines[:] = linked("\n".join(lines), owner).splitlines()
    if what not in ("class", "exception"):
        return
    for written, comment in fields(obj).values():
        about = linked(SPECIAL.sub(r"\\\1", comment), owner)
        lines += ["", f"- ``{written}``" + (f": {about}" if about else "")]
    lines.append("")


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", docstring)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
