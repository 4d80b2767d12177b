"""Pages from Jinja templates that share one base: a page needs nothing but a browser."""

import base64
import io
import os
from typing import Any

import numpy as np

from afsd_jax.files import atomic_write


def render(template: str, **values: Any) -> str:
    """Fills a template; whatever is put into it is escaped.

    Args:
      template: its file name in this package.
      **values: what the template needs; all of it, or it raises `jinja2.UndefinedError`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_html(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """Fills a template, as `render` does, and writes it, in one piece or not at all."""
    content = render(template, **values)
    with atomic_write(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def data_url(media_type: str, data: bytes) -> str:
    """Returns a data URL that holds the bytes themselves."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def jpeg_url(frame: np.ndarray) -> str:
    """Returns an RGB frame, uint8 [H, W, 3], as the data URL of a JPEG image."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=90)
    return data_url("image/jpeg", buffer.getvalue())
