"""Renders self-contained pages from Jinja templates with a common base."""

import base64
import hashlib
import io
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

from afsd_jax.io.files import atomic_write

if TYPE_CHECKING:
    from markupsafe import Markup


class Script(NamedTuple):
    """A page's script, and the content security policy that allows only this script.

    The page can also show images that it contains and play local media files. It cannot run other
    scripts or use a network.
    """

    text: "Markup"
    policy: str

    @classmethod
    def of_files(cls, *names: str) -> "Script":
        """Returns the script that consists of these files of the package."""
        from markupsafe import Markup

        parts = (resources.files(__package__) / name for name in names)
        text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed = "style-src 'unsafe-inline'; img-src data:; media-src 'self' file: data:"
        return cls(Markup(text), f"default-src 'none'; script-src 'sha256-{digest}'; {allowed}")


def counted(number: int, noun: str, plural: str = "s") -> str:
    """Returns a number with its noun, such as 1 video or 2,000 videos; `plural` is the ending."""
    return f"{number:,} {noun}" + ("" if number == 1 else plural)


def render(template: str, **values: Any) -> str:
    """Returns a template filled with escaped values.

    Args:
      template: file name in this package.
      **values: all values of the template; `jinja2.UndefinedError` is raised if one is missing.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.get_template(template).render(**values)


def write_html(path: str | os.PathLike[str], template: str, **values: Any) -> None:
    """Renders a template and writes it to a file, completely or not at all."""
    content = render(template, **values)
    with atomic_write(path) as temporary:
        # File names may contain bytes that are not UTF-8.
        temporary.write_bytes(content.encode("utf-8", "backslashreplace"))


def data_url(media_type: str, data: bytes) -> str:
    """Returns a data URL that contains the bytes."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def jpeg_url(frame: np.ndarray) -> str:
    """Returns an RGB frame, uint8 [H, W, 3], as the data URL of a JPEG image."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=90)
    return data_url("image/jpeg", buffer.getvalue())


def relative_url(target: str | os.PathLike[str], page: str | os.PathLike[str]) -> str:
    """Returns the URL of a file relative to a page, for any characters in its name."""
    folder = os.path.abspath(os.path.dirname(os.fspath(page)))
    return quote(os.fsencode(Path(os.path.relpath(os.path.abspath(target), folder)).as_posix()))
