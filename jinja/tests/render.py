"""Renders templates with Jinja2, for the test that compares with it.

Reads {name: {"templates": {file: text}, "variables": {…}}} as JSON, renders the file "main" of each, and writes
{name: {"text": …}} or {name: {"error": …}}. Options are those of `Case::render` in it/common.rs.
"""

import json
import sys

import jinja2


def render(templates, variables):
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(templates),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    try:
        return {"text": environment.get_template("main").render(component=variables)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump({name: render(**one) for name, one in given.items()}, sys.stdout)
