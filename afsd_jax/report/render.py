"""Pages from Jinja templates that share one base: a page needs nothing but a browser."""

import os
from typing import Any

from afsd_jax.files import atomic_write


def write_html(path: str | os.PathLike[str], package: str, template: str, **values: Any) -> None:
    """Fills a template and writes it, in one piece or not at all.

    Args:
      path: of the page.
      package: beside whose code the template lies; it may extend `base.html` of this package.
      template: its file name.
      **values: what the template needs; all of it, or it raises `jinja2.UndefinedError`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, ".") for name in dict.fromkeys((package, __package__))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = environment.get_template(template).render(**values)
    with atomic_write(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
