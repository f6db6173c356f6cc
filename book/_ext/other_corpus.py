"""A book that was executed on another text says so at the top of every page."""

from html import escape
from pathlib import Path

from lmcore.course import course_source

NOTE = (
    "The cells of this copy were executed on <b>{name}</b>. The prose and the records of long runs are about "
    "the messages of presidents. An assertion that fails is a finding that does not hold on this text."
)


def announce(app, config):
    source = course_source()
    if source is not None:
        config.html_theme_options["announcement"] = NOTE.format(name=escape(Path(source).name))
        config.nb_output_stderr = "show"  # a smaller text lacks things whose mean a cell then takes


def setup(app):
    app.connect("config-inited", announce)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
