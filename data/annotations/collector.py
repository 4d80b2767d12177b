"""Gathering what annotations say of each video."""

from pathlib import Path

from afsd_jax.data.annotations.checks import check_name, without_suffix
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo

Annotations = dict[str, AnnotatedVideo]  # by the video's name


class Collector:
    """The videos of one file, in its order, each with its actions and what was left out."""

    def __init__(self) -> None:
        """Holds no videos yet."""
        self._places: dict[str, str] = {}
        self._actions: dict[str, list[Action]] = {}
        self._left_out: dict[str, list[str]] = {}

    def video(self, path: str, place: str) -> str:
        """Returns the name of a video given as its file's path or URL, and lists it.

        Raises:
          UserError: it would be no safe file name.
        """
        name = without_suffix(path.replace("\\", "/").rpartition("/")[2].strip())
        check_name(name, "video name", place)
        self._places.setdefault(name, place)
        return name

    def add(self, name: str, label: str, start_s: float, end_s: float, place: str) -> None:
        """Adds an action of a video."""
        self._actions.setdefault(name, []).append(Action(label, start_s, end_s, None, place))

    def leave_out(self, name: str, what: str, place: str) -> None:
        """Notes that something of a video is left out, such as: events without length."""
        self._left_out.setdefault(name, []).append(f"{place}: {what}")

    def result(self, subsets: dict[str, str] | None = None) -> Annotations:
        """Returns the videos."""
        found = {}
        for name, place in self._places.items():
            left_out = self._left_out.get(name, [])
            more = f" (and {len(left_out) - 1} more of {name})" if len(left_out) > 1 else ""
            found[name] = AnnotatedVideo(
                (subsets or {}).get(name, ""),
                None,
                tuple(self._actions.get(name, ())),
                place,
                tuple(f"{first}: left out{more}" for first in left_out[:1]),
            )
        return found


def unknown_video(path: Path | str, remedy: str) -> UserError:
    """Returns the error of annotations that do not say which video they are of."""
    return UserError(f"{path}: names no video file; {remedy}")
