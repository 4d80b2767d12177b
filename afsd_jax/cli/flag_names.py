"""Messages of the library in the words of the command line: with the flags as they are typed."""

import re
from argparse import Namespace

_FIELD = re.compile(r"(?<![\w./-])config\.(?!json\b|py\b)(?=[a-z])")
DATA_DIR = "config.data.data_dir"
# What a command's flag does, as the library says it.
_FLAGS = {
    "prepare": {"allow missing videos": "give --allow-missing"},
    "train": {
        "allow changed data": "give --allow-changed-data",
        "state which class was renamed": "state which class was renamed (--rename OLD=NEW)",
    },
}


def with_flags(message: str, args: Namespace) -> str:
    """Returns a message with the flags of the command that it is about.

    Args:
      message: a message of the library, which names fields of the configuration and no flags.
      args: the values of the command's flags.
    """
    for words, flag in _FLAGS.get(args.command, {}).items():
        message = message.replace(words, flag)
    if "config" in args:
        if getattr(args, "data_dir", None) is not None:
            message = message.replace(DATA_DIR, "--data-dir")
        return _FIELD.sub("--config.", message)
    return message.replace(DATA_DIR, "--data-dir") if "data_dir" in args else message
