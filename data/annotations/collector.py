"""Collecting the annotations of each video while a file is read."""

import dataclasses
from pathlib import PurePosixPath

from afsd_jax.data.annotations.checks import check_name, ends_too_early
from afsd_jax.data.annotations.video_matching import fullest, joined, stated_stem, two_values
from afsd_jax.data.decode.crops import crop_text
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed
from afsd_jax.types import Action, AnnotatedVideo

Annotations = dict[str, AnnotatedVideo]  # by the name of the video


class Collector:
    """The videos of one file, in its order, with their actions and notes on what was left out."""

    def __init__(self, observed: bool = False) -> None:
        """Starts without videos; see `AnnotatedVideo` for `observed`."""
        self._observed = observed
        self._places: dict[str, str] = {}
        self._actions: dict[str, list[Action]] = {}
        self._left_out: dict[str, list[str]] = {}
        self._notes: dict[str, list[str]] = {}
        self._crops: dict[str, tuple[str, str]] = {}  # and the place of each

    def add_video(self, path: str, place: str) -> str:
        """Adds a video by the path or URL of its file, and returns its path in its usual form.

        The other methods take that path.

        Raises:
          UserError: the name is not a safe file name.
        """
        _check_text(path, "video name", place)
        *folders, last = composed(path).replace("\\", "/").split("/")
        check_name(stated_stem(PurePosixPath(last.strip())), "video name", place)
        parts = [part for part in folders if part.strip() not in ("", ".", "..")]
        file = "/".join([*parts, last.strip()])
        self._places.setdefault(file, place)
        return file

    def add_action(self, file: str, label: str, start_s: float, end_s: float, place: str) -> None:
        """Adds an action to a video, or notes that it has no length.

        Raises:
          UserError: it ends before it starts, or its label is no text.
        """
        _check_text(label, "label", place)
        action = Action(label, start_s, end_s, None, place)
        if end_s < start_s:
            raise ends_too_early(action)
        if end_s == start_s:
            self.leave_out(file, no_length(action), place)
        else:
            self._actions.setdefault(file, []).append(action)

    def leave_out(self, file: str, what: str, place: str) -> None:
        """Notes that something in a video is left out; `what` names it and the reason."""
        self._left_out.setdefault(file, []).append(f"{place}: {what}")

    def add_note(self, file: str, note: str) -> None:
        """Adds a note on a video."""
        self._notes.setdefault(file, []).append(note)

    def add_crop(self, file: str, text: str, place: str) -> None:
        """Adds the part of its pictures that is used of a video; see `decode.crops`.

        Raises:
          UserError: the text is no crop, or the video has another one.
        """
        crop = crop_text(text, place)
        first, first_place = self._crops.setdefault(file, (crop, place))
        if crop != first:
            raise two_values("crop", shown_name(file), (place, crop), (first_place, first))

    def annotations(
        self, subsets: dict[str, str] | None = None, groups: dict[str, str] | None = None
    ) -> Annotations:
        """Returns the videos by their paths, with their subsets and groups if they have any.

        A video that also has a fuller path is the same video.

        Raises:
          UserError: a path is a part of the paths of several videos, or a video has two subsets or
            groups.
        """
        videos: Annotations = {}
        for file, full in fullest(self._places).items():
            left_out = _left_out(shown_name(file), self._left_out.get(file, []))
            video = AnnotatedVideo(
                (subsets or {}).get(file, ""),
                None,
                tuple(self._actions.get(file, ())),
                self._places[file],
                (*self._notes.get(file, ()), *left_out),
                full,
                self._observed,
                (groups or {}).get(file, ""),
                crop=self._crops.get(file, ("", ""))[0],
            )
            videos[full] = (
                joined(shown_name(full), videos[full], video) if full in videos else video
            )
        return videos


def shown_name(file: str) -> str:
    """Returns the name of a video, by the path of `Collector.add_video`, for messages."""
    return stated_stem(PurePosixPath(file))


def without_empty_actions(name: str, video: AnnotatedVideo) -> AnnotatedVideo:
    """Returns a video without the actions that have no length, and with a note on them."""
    kept = tuple(action for action in video.actions if action.start_s != action.end_s)
    if len(kept) == len(video.actions):
        return video
    lines = [f"{a.place}: {no_length(a)}" for a in video.actions if a.start_s == a.end_s]
    notes = (*video.notes, *_left_out(name, lines))
    return dataclasses.replace(video, actions=kept, notes=notes)


def no_length(action: Action) -> str:
    """Returns why an action without length is left out."""
    return f"{action.label!r} starts and ends at {action.start_s:g} s, so it has no length"


def _left_out(name: str, lines: list[str]) -> list[str]:
    """Returns one note for all lines on what was left out of a video."""
    more = f" (and {len(lines) - 1} more of {name})" if len(lines) > 1 else ""
    return [f"{first}: left out{more}" for first in lines[:1]]


def _check_text(text: str, what: str, place: str) -> None:
    """Raises UserError for bytes that are not UTF-8, which `read_table` keeps as surrogates."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(
            f"{place}: the {what} {text!r} is not in UTF-8; save the file in UTF-8 (in Excel: "
            "Save as > CSV UTF-8)"
        )
