"""The exception for bad input, which a command reports as one line instead of a traceback."""


class UserError(ValueError):
    """Bad input. The message is one line that names the file, the field and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython and notebooks show instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class WriteError(UserError):
    """A file cannot be written, such as on a full disk; trying the next one would fail, too."""


def printable(text: str) -> str:
    """Returns a text from a file or a path as a terminal may show it.

    Control characters such as ESC, marks that turn the direction of writing, and lone surrogates
    are written as escapes: they could move the cursor, hide a text or fail to be encoded.
    """
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape") for c in text)
    return "".join(c if isinstance(c, str) else c.decode("ascii") for c in escaped)
