"""The videos that `afsd detect` detects in: files, a pipe, or a split of a prepared data set."""

import functools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import ml_collections

from afsd_jax.cli.detect.options import PIPE_NAME, DetectOptions, flow_file
from afsd_jax.data.decode.recordings import ByteSource
from afsd_jax.data.decode.video_reader import stated_duration
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import open_array_files
from afsd_jax.inputs.video import OpenVideo, VideoSource, open_file, open_pipe
from afsd_jax.io import files, fingerprint
from afsd_jax.io.names import nearest, with_composed_names
from afsd_jax.types import Action


class VideoList(Protocol):
    """Videos by name."""

    names: list[str]

    def stated_s(self, name: str) -> float:
        """Returns about how many seconds a video lasts; 0: not known before it is opened."""

    def sources(self, names: Sequence[str]) -> Iterator[VideoSource]:
        """Yields the videos of these names, each to be opened when its turn comes."""

    def state(self, name: str) -> str:
        """Returns a digest of the files that a video is read from, and of how they are read."""

    def path(self, name: str) -> Path | None:
        """Returns the file that a player can play; None: there is none."""

    def actions(self, name: str) -> Sequence[Action] | None:
        """Returns the true actions of a video; None: they are not known."""


class VideoFiles:
    """Video files and arrays of frames."""

    def __init__(self, options: DetectOptions, configs: Sequence[ml_collections.ConfigDict]):
        """Opens no video yet.

        Args:
          options: the options of the command.
          configs: configurations of the networks.

        Raises:
          UserError: `durations` is no file of durations, or `ground_truth` has no annotations of
            these videos.
        """
        self._options, self._configs = options, configs
        self._durations = files.read_json(options.durations) if options.durations else {}
        if not isinstance(self._durations, dict):
            raise UserError(f"{options.durations}: must map video names to seconds")
        self._durations = with_composed_names(self._durations, str(options.durations))
        self._paths = options.videos
        self.names = list(self._paths)
        truth = options.ground_truth
        self._truth = _read_truth(truth, options.videos) if truth else {}

    def stated_s(self, name: str) -> float:
        path = self._paths[name]
        return 0.0 if path.suffix == ".npy" else stated_duration(path)

    def sources(self, names: Sequence[str]) -> Iterator[VideoSource]:
        return (VideoSource(name, functools.partial(self._open, name)) for name in names)

    def state(self, name: str) -> str:
        paths, options = self._read_from(name), self._options
        if paths[0].suffix != ".npy":
            crop = options.crops.by_name.get(name)  # without any, digests are as before
            cropped = () if crop is None else (crop,)
            return fingerprint.of_values(fingerprint.of_files(paths), options.flow_method, *cropped)
        timing = options.fps, self._durations.get(name)
        return fingerprint.of_values(fingerprint.of_files(paths), *timing)

    def path(self, name: str) -> Path | None:
        path = self._paths[name]
        return None if path.suffix == ".npy" else path

    def actions(self, name: str) -> Sequence[Action] | None:
        return self._truth.get(name)

    def _open(self, name: str) -> OpenVideo:
        paths, options = self._read_from(name), self._options
        if paths[0].suffix != ".npy":
            crop = options.crops.of(name)
            return open_file(paths[0], self._configs, options.flow_method, name, crop)
        return open_array_files(paths, self._configs, options.fps, self._durations, name)

    def _read_from(self, name: str) -> list[Path]:
        flow = flow_file(self._options, name)
        return [self._paths[name], *([flow] if flow else [])]


class PipedVideo:
    """A video on standard input, which can be read once."""

    def __init__(
        self,
        source: ByteSource,
        configs: Sequence[ml_collections.ConfigDict],
        flow_method: str | None,
    ):
        """Opens nothing yet.

        Args:
          source: bytes of the video.
          configs: configurations of the networks.
          flow_method: how optical flow is computed; None: as each configuration says.
        """
        self.names = [PIPE_NAME]
        self._open = functools.partial(open_pipe, source, PIPE_NAME, configs, flow_method)

    def stated_s(self, name: str) -> float:
        return 0.0

    def sources(self, names: Sequence[str]) -> Iterator[VideoSource]:
        return (VideoSource(name, self._open) for name in names)

    def state(self, name: str) -> str:
        return uuid.uuid4().hex  # no other video is the same

    def path(self, name: str) -> Path | None:
        return None

    def actions(self, name: str) -> Sequence[Action] | None:
        return None


class PreparedVideos:
    """A split of the prepared data sets that the configurations of the networks name."""

    def __init__(self, options: DetectOptions, configs: Sequence[ml_collections.ConfigDict]):
        """Finds the videos; reads no frames.

        Args:
          options: the options of the command.
          configs: configurations of the networks.

        Raises:
          UserError: as `PreparedSplit` does, or `ground_truth` has no annotations of these
            videos.
        """
        from afsd_jax.inputs.prepared import PreparedSplit  # loads TensorFlow, which takes seconds

        self._split = PreparedSplit(configs, options.split or "", options.data_dir)
        self.names = self._split.names
        self.stated_s = self._split.durations_s.__getitem__
        self._files = fingerprint.of_files(self._split.files)
        truth = options.ground_truth
        self.actions = (_read_truth(truth, self.names) if truth else self._split.actions).get

    def sources(self, names: Sequence[str]) -> Iterator[VideoSource]:
        return self._split.choose(names).sources()

    def state(self, name: str) -> str:
        return self._files

    def path(self, name: str) -> Path | None:
        return None


def _read_truth(
    path: Path, videos: Mapping[str, Path] | Sequence[str]
) -> dict[str, Sequence[Action]]:
    """Returns the actions of those videos that are annotated, with or without a leading "v_".

    Args:
      path: the annotations.
      videos: the files by name, or the names alone.
    """
    from afsd_jax.data import annotations
    from afsd_jax.data.prepared_truth import truth_file

    annotated, prefixes = annotations.read_annotations(truth_file(path)), ("", "v_")
    if isinstance(videos, Mapping):
        found = annotations.match_paths(annotated, videos, prefixes)
    else:
        found = annotations.match_names(annotated, videos, prefixes)
    if not found:
        first = next(iter(videos))
        near = nearest(first, annotated)
        raise UserError(f"{path}: names none of the videos, such as {first}{near}")
    truth = annotations.renamed({name: annotated[name] for name in found}, found)
    return {name: video.actions for name, video in truth.items()}


def every_nth(names: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Returns every n-th of the names in alphabetical order, from the i-th on; shard is (i, n).

    Raises:
      UserError: there are fewer than n names.
    """
    number, count = shard
    if len(names) < count:
        raise UserError(f"--shard {number}/{count}: there are only {len(names)} videos")
    return sorted(names)[number - 1 :: count]
