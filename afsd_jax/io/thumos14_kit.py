"""The annotations of the THUMOS'14 challenge as its kit publishes them.

A folder with one text file per class, CLASS_test.txt (or CLASS_val.txt), of lines
`video start_s end_s`; actions of uncertain class are in Ambiguous_test.txt.
"""

import os
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import number
from afsd_jax.types import Action, AnnotatedVideo

_SUBSETS = {"test": "test", "val": "validation"}


def is_kit(folder: str | os.PathLike[str]) -> bool:
    """Returns whether the folder holds annotations in the kit's form."""
    return Path(folder).is_dir() and bool(_files(Path(folder)))


def read_kit(folder: str | os.PathLike[str]) -> dict[str, AnnotatedVideo]:
    """Reads the kit's annotations.

    Args:
      folder: folder with files CLASS_test.txt, or CLASS_val.txt.

    Returns:
      The videos by name. Ambiguous actions are among the others, with the label "Ambiguous".

    Raises:
      UserError: the folder has no such file, or a line is malformed (the message says where).
    """
    found: dict[str, list[Action]] = {}
    subsets: dict[str, str] = {}
    paths = _files(Path(folder))
    if not paths:
        raise UserError(f"{folder}: no file is called CLASS_test.txt, as in the THUMOS'14 kit")
    for path in paths:
        label, _, subset = path.stem.rpartition("_")
        for index, line in enumerate(files.read_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            place = f"{path}: line {index}"
            words = line.split()
            if len(words) != 3:
                raise UserError(f"{place} must be: video start end; it is {line.strip()!r}")
            video, start, end = words
            action = Action(
                label, number(start, f"{place}: start"), number(end, f"{place}: end"), place=place
            )
            found.setdefault(video, []).append(action)
            subsets.setdefault(video, _SUBSETS[subset])
    return {
        video: AnnotatedVideo(subsets[video], None, tuple(actions), actions[0].place)
        for video, actions in sorted(found.items())
    }


def _files(folder: Path) -> list[Path]:
    """Returns the class files, one subset's: those of the test set if there are any."""
    for subset in _SUBSETS:
        paths = sorted(folder.glob(f"*_{subset}.txt"))
        if paths:
            return paths
    return []
