"""Reading and writing files so that nothing is ever half-written."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afsd_jax.errors import UserError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends without error.

    The block may create a file or a folder there. On any error the temporary is removed and
    whatever stood at `path` stays as it was. Parent folders are created.

    Raises:
      UserError: the folder cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror})") from error
    temporary = folder / target.name
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            os.replace(target, folder / "replaced")
        os.replace(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Returns the content of a JSON file.

    Raises:
      UserError: the file is missing, unreadable or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as JSON, in one piece or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
