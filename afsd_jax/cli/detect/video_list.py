"""The videos that `afsd detect` is given: files, arrays, or a split of a prepared data set."""

import argparse
import functools
import glob
import itertools
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import ml_collections

from afsd_jax.cli.detect import pipe
from afsd_jax.data.decode import media
from afsd_jax.data.decode.container import ByteSource
from afsd_jax.data.decode.video_reader import stated_duration
from afsd_jax.errors import UserError
from afsd_jax.inputs import video as inputs
from afsd_jax.inputs.video import Input, Source
from afsd_jax.io import files, fingerprint
from afsd_jax.types import Action


def video_files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files that paths name: a folder stands for the videos in it and below it.

    A pattern that the shell did not expand, such as videos/*.mp4 or **/*.mp4, stands for the files
    that match it.

    Raises:
      UserError: a file is missing, a folder has no video, no file matches a pattern, or two files
        have the same name.
    """
    names: dict[str, Path] = {}
    for path in itertools.chain.from_iterable(map(_videos_in, paths)):
        if not path.is_file():
            wrong = "is a pipe, socket or device, not a file" if path.exists() else "no such file"
            raise UserError(f"{path}: {wrong}")
        if path.stem in names:
            raise UserError(
                f"{names[path.stem]} and {path} have the same name; detections are kept by name, "
                "so detect them one after the other into two files"
            )
        names[path.stem] = path
    return list(names.values())


def _videos_in(path: Path) -> list[Path]:
    if not path.exists() and glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not matches:
            raise UserError(f"{path}: no file matches")
        return [video for match in matches for video in _videos_in(match)]
    if not path.is_dir():
        return [path]
    found = [video for video in media.find_sources(path, "rgb").values() if media.is_video(video)]
    if not found:
        raise UserError(f"{path}: no video is in this folder")
    return found


class GivenVideos(Protocol):
    """Videos by name."""

    names: list[str]

    def stated_s(self, name: str) -> float:
        """Returns about how many seconds a video lasts; 0 where only opening it tells."""

    def sources(self, names: Sequence[str]) -> Iterator[Source]:
        """Yields what opens the videos of these names, one after another."""

    def state(self, name: str) -> str:
        """Returns a digest of what a video is read from and how."""

    def path(self, name: str) -> Path | None:
        """Returns the file that players play; None: there is none."""

    def actions(self, name: str) -> Sequence[Action] | None:
        """Returns a video's true actions; None: they are not known."""


class VideoFiles:
    """Video files and arrays of frames."""

    def __init__(self, args: argparse.Namespace, configs: Sequence[ml_collections.ConfigDict]):
        """Opens nothing yet.

        Args:
          args: the command line; see `cli`.
          configs: of the networks.

        Raises:
          UserError: --durations is no file of durations, or --ground-truth none of annotations of
            these videos.
        """
        self._args, self._configs = args, configs
        self._durations = files.read_json(args.durations) if args.durations else {}
        if not isinstance(self._durations, dict):
            raise UserError(f"{args.durations}: must map video names to seconds")
        self._paths = {path.stem: path for path in args.videos}
        self.names = list(self._paths)
        self._truth = _read_truth(args.ground_truth, self.names) if args.ground_truth else {}

    def stated_s(self, name: str) -> float:
        path = self._paths[name]
        return 0.0 if path.suffix == ".npy" else stated_duration(path)

    def sources(self, names: Sequence[str]) -> Iterator[Source]:
        return (Source(name, functools.partial(self._open, name)) for name in names)

    def state(self, name: str) -> str:
        paths, args = self._read_from(name), self._args
        if paths[0].suffix != ".npy":
            return fingerprint.of_values(fingerprint.of_files(paths), args.flow_method)
        timing = args.fps, self._durations.get(name)
        return fingerprint.of_values(fingerprint.of_files(paths), *timing)

    def path(self, name: str) -> Path | None:
        path = self._paths[name]
        return None if path.suffix == ".npy" else path

    def actions(self, name: str) -> Sequence[Action] | None:
        return self._truth.get(name)

    def _open(self, name: str) -> Input:
        paths = self._read_from(name)
        if paths[0].suffix != ".npy":
            return inputs.from_video(paths[0], self._configs, self._args.flow_method)
        return inputs.from_arrays(paths, self._configs, self._args.fps, self._durations)

    def _read_from(self, name: str) -> list[Path]:
        path, flow_dir = self._paths[name], self._args.flow_dir
        return [path, flow_dir / path.name] if flow_dir and path.suffix == ".npy" else [path]


class Stream:
    """A video that comes once, through standard input."""

    def __init__(
        self,
        args: argparse.Namespace,
        configs: Sequence[ml_collections.ConfigDict],
        bytes_: ByteSource,
    ):
        """Opens nothing yet.

        Args:
          args: the command line; see `cli`.
          configs: of the networks.
          bytes_: that come.
        """
        self.names = [pipe.NAME]
        given = bytes_, pipe.NAME, configs, args.flow_method
        self._open = functools.partial(inputs.from_stream, *given)

    def stated_s(self, name: str) -> float:
        return 0.0

    def sources(self, names: Sequence[str]) -> Iterator[Source]:
        return (Source(name, self._open) for name in names)

    def state(self, name: str) -> str:
        return uuid.uuid4().hex  # no other stream is this one

    def path(self, name: str) -> Path | None:
        return None

    def actions(self, name: str) -> Sequence[Action] | None:
        return None


class PreparedVideos:
    """A split of the prepared data sets that the networks' configurations name."""

    def __init__(self, args: argparse.Namespace, configs: Sequence[ml_collections.ConfigDict]):
        """Finds the videos; reads no frames.

        Args:
          args: the command line; see `cli`.
          configs: of the networks.

        Raises:
          UserError: as `inputs.Prepared` does, or --ground-truth is no file of annotations of
            these videos.
        """
        prepared = inputs.Prepared(configs, args.data_dir, args.split or "")
        self.sources = prepared.sources
        self.names = list(prepared.durations_s)
        self.stated_s = prepared.durations_s.__getitem__
        self._files = fingerprint.of_files(prepared.files)
        given = args.ground_truth
        self.actions = (_read_truth(given, self.names) if given else prepared.actions).get

    def state(self, name: str) -> str:
        return self._files

    def path(self, name: str) -> Path | None:
        return None


def _read_truth(path: Path, names: Sequence[str]) -> dict[str, Sequence[Action]]:
    """Returns the annotated ones of these videos, found with or without a leading "v_"."""
    from afsd_jax.data import annotations

    annotated = annotations.read_annotations(path)
    found = {name: annotated.get(name) or annotated.get(name.removeprefix("v_")) for name in names}
    truth: dict[str, Sequence[Action]] = {
        name: video.actions for name, video in found.items() if video
    }
    if not truth:
        raise UserError(f"{path}: names none of the videos, such as {names[0]}")
    return truth


def share(names: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Returns every n-th of the names in alphabetical order, from the i-th on: (i, n), i from 1.

    Raises:
      UserError: there are fewer names than shares.
    """
    number, count = shard
    if len(names) < count:
        raise UserError(f"--shard {number}/{count}: there are only {len(names)} videos")
    return sorted(names)[number - 1 :: count]
