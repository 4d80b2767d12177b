"""Collecting the annotations of each video while a file is read."""

from afsd_jax.data.annotations.checks import check_name, without_suffix
from afsd_jax.types import Action, AnnotatedVideo

Annotations = dict[str, AnnotatedVideo]  # by the name of the video


class Collector:
    """The videos of one file, in its order, with their actions and notes on what was left out."""

    def __init__(self) -> None:
        """Starts without videos."""
        self._places: dict[str, str] = {}
        self._actions: dict[str, list[Action]] = {}
        self._left_out: dict[str, list[str]] = {}

    def add_video(self, path: str, place: str) -> str:
        """Adds a video by the path or URL of its file, and returns its name.

        Raises:
          UserError: the name is not a safe file name.
        """
        name = without_suffix(path.replace("\\", "/").rpartition("/")[2].strip())
        check_name(name, "video name", place)
        self._places.setdefault(name, place)
        return name

    def add_action(self, name: str, label: str, start_s: float, end_s: float, place: str) -> None:
        """Adds an action to a video."""
        self._actions.setdefault(name, []).append(Action(label, start_s, end_s, None, place))

    def leave_out(self, name: str, what: str, place: str) -> None:
        """Notes that something in a video is left out; `what` names it and the reason."""
        self._left_out.setdefault(name, []).append(f"{place}: {what}")

    def annotations(self, subsets: dict[str, str] | None = None) -> Annotations:
        """Returns the videos, with their subsets by name if there are any."""
        videos = {}
        for name, place in self._places.items():
            left_out = self._left_out.get(name, [])
            more = f" (and {len(left_out) - 1} more of {name})" if len(left_out) > 1 else ""
            videos[name] = AnnotatedVideo(
                (subsets or {}).get(name, ""),
                None,
                tuple(self._actions.get(name, ())),
                place,
                tuple(f"{first}: left out{more}" for first in left_out[:1]),
            )
        return videos
