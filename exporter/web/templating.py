"""The Jinja environment of the program's own HTML pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def page_template(path: Path, *filters: Callable[..., object]) -> jinja2.Template:
    """Return the template at ``path``, which can include the ones beside it.

    ``filters`` are known there by their names. Values are escaped as HTML. A name that is not
    defined is an error.
    """
    import jinja2  # 4 MB: loaded when the first page is shown

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {each.__name__: each for each in filters}
    return environment.get_template(path.name)
