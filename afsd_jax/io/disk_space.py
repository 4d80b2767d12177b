"""Free space of disks, and sizes in words."""

import os
import shutil
from pathlib import Path

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def free_bytes(path: str | os.PathLike[str]) -> int:
    """Returns the free bytes of the disk of a path, which need not exist yet."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def size_in_words(num_bytes: float) -> str:
    """Returns a number of bytes with two digits or more, such as 0.9 kB, 33 MB or 1.2 GB.

    Example:
      >>> [size_in_words(number) for number in (900, 33e6, 1.23e9)]
      ['0.9 kB', '33 MB', '1.2 GB']
    """
    size, unit = next(((s, u) for s, u in _UNITS if num_bytes >= s), _UNITS[-1])
    number = num_bytes / size
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"
