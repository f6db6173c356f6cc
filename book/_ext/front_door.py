"""The page at the book's own address leads to its first page; let it tell others the same as that one.

Without this a link to the book, shown on another site, would have no title, text or picture.
"""

import re
from pathlib import Path

HEAD = re.compile(
    r"<title>.*?</title>"
    r'|<meta (?:name="(?:description|twitter:\w+)"|property="og:[\w:]+")[^>]*>'
    r'|<link rel="(?:canonical|icon)"[^>]*>',
    re.DOTALL,
)
DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={first}">
{head}
</head>
<body><p><a href="{first}">{title}</a></p></body>
</html>
"""


def write(app, exception):
    if exception or app.builder.name != "html":
        return
    first = f"{app.config.root_doc}.html"
    site = Path(app.outdir)
    head = "\n".join(HEAD.findall((site / first).read_text(encoding="utf-8")))
    head = head.replace('href="../', 'href="')  # the first page lies one folder deeper
    (site / "index.html").write_text(
        DOOR.format(first=first, head=head, title=app.config.project), encoding="utf-8"
    )


def setup(app):
    app.connect("build-finished", write, priority=900)  # after the table of contents has written its own
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
