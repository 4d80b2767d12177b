"""The exception for bad input, which a command reports as one line instead of a traceback."""


class UserError(ValueError):
    """Bad input. The message is one line that names the file, the field and the remedy."""
