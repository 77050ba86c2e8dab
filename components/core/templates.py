"""Text for people, rendered from a template next to the module that fills it."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape


def load(path: Path, **filters: Callable[[str], str]) -> Template:
    """The template of a file, with custom filters.

    Values in `*.html.j2` are escaped; a missing name raises `jinja2.UndefinedError` when the template is rendered.
    """
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= filters
    return environment.get_template(path.name)
