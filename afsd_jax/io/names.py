"""Names of videos and splits, in the one form in which they are compared."""

import difflib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from afsd_jax.errors import UserError

T = TypeVar("T")

# ActivityNet's names of subsets, and other usual names of splits.
_SPLITS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


def composed(text: str) -> str:
    """Returns a text in Unicode's form NFC.

    Two names may look alike and differ: macOS stores the character ä in file names as a and a
    diaeresis, most other programs write the one character.

    Example:
      >>> len("a\\u0308"), len(composed("a\\u0308"))
      (2, 1)
    """
    return unicodedata.normalize("NFC", text)


def video_name(path: str | os.PathLike[str]) -> str:
    """Returns the name of a video: its file's name without folder and suffix, composed."""
    return composed(Path(path).stem)


def with_composed_names(table: Mapping[str, T], place: str) -> dict[str, T]:
    """Returns a table by composed names.

    Raises:
      UserError: two names are the same then.
    """
    result: dict[str, T] = {}
    for name, value in table.items():
        if composed(name) in result:
            raise UserError(
                f"{place}: {composed(name)!r} appears twice, with differently composed characters; "
                "it must appear once"
            )
        result[composed(name)] = value
    return result


def split_name(subset: str) -> str:
    """Returns the name of the split that a subset is: train, validation, test or another word.

    Example:
      >>> split_name("Training"), split_name("dev"), split_name("Fold 1")
      ('train', 'validation', 'fold 1')
    """
    subset = subset.strip().lower()
    return _SPLITS.get(subset, subset)


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns ", the nearest is 'x'" for the most similar name, or nothing if none is similar."""
    found = difflib.get_close_matches(name, list(names), 1)
    return f", the nearest is {found[0]!r}" if found else ""


def nearest_path(path: Path) -> str:
    """Returns ", the nearest is 'x'" for a path that does not exist, or nothing if none is similar.

    The first part of the path that is missing is compared with what lies in its place.
    """
    missing = next(part for part in (*reversed(path.parents), path) if not os.path.exists(part))
    try:
        there = [str(missing.parent / name) for name in os.listdir(missing.parent)]
    except OSError:
        return ""
    names = {Path(text).name: text for text in there}
    found = difflib.get_close_matches(missing.name, names, 1)
    return f", the nearest is {names[found[0]]!r}" if found else ""


def first_names(names: Sequence[str], most: int) -> str:
    """Returns names for a message; only the first `most` are written out.

    Example:
      >>> first_names(["run", "jump", "throw"], 2)
      'run, jump and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
