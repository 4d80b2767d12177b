"""The common part of the four TFDS builders: from a plan to a prepared folder.

A subclass says which videos there are, what is annotated in them and where their frames lie; all
else is the same for every data set. A prepared folder is an ordinary TFDS one, with one video a
shard; see `folder` for what it holds besides.

TFDS's own way of writing examples holds each whole in memory and cannot go on where it was, so the
shards come from `prepare` and TFDS is told of them. Nor does it look again at what is prepared:
`VideoBuilder.renew` does.
"""

import abc
import contextlib
import dataclasses
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder

from afsd_jax.data import annotations, preparation
from afsd_jax.data.builders import citations
from afsd_jax.data.builders.dataset_folder import (
    REPORT,
    make_report,
    unchanged_result,
    with_earlier_shards,
    write_folder,
)
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode import flow, media
from afsd_jax.data.decode.sources import Timeline, open_array
from afsd_jax.data.storage import schema
from afsd_jax.data.storage.frame_codec import check_encoding
from afsd_jax.data.tasks import PreparationPlan, Task, TaskResult
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.fingerprint import file_fingerprint


# Of the builders that tfds.core names none leaves the writing of examples to its subclass.
class VideoBuilder(dataset_builder.FileReaderBuilder):
    """Base of the builders; see `PrepareOptions` for what they take.

    TFDS asks its subclasses to define `_info` and `_download_and_prepare`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "One video a shard, its frames as JPEG, PNG or raw."}
    HOMEPAGE = citations.AFSD_HOMEPAGE
    CITATION = citations.AFSD
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="rgb", description="RGB frames"),
        tfds.core.BuilderConfig(name="flow", description="optical flow"),
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder holds the videos and their annotations."
    # Nothing is downloaded, so there are no checksums beside the code to look for.
    code_path = None
    FPS = 10.0
    MAX_FRAMES = 0
    ALLOW_MISSING = False

    def __init__(self, *, options: PrepareOptions | None = None, **kwargs: Any):
        """Takes the arguments of every TFDS builder.

        Args:
          options: how to prepare; None prepares TFDS's manual folder in the usual way.
          **kwargs: data_dir, config (rgb or flow), …
        """
        self.options = options
        self._plan: PreparationPlan | None = None
        super().__init__(**kwargs)

    @abc.abstractmethod
    def read_annotations(self, options: PrepareOptions) -> annotations.Annotations:
        """Returns the annotations, their subsets being splits; "" leaves a video out."""

    def class_names(self, options: PrepareOptions, videos: annotations.Annotations) -> list[str]:
        """Returns the classes in the order of their labels, after checking all labels."""
        known = annotations.read_class_list(options.classes) if options.classes else None
        return annotations.class_names(videos, known)

    def check_splits(self, options: PrepareOptions, splits: Collection[str]) -> list[str]:
        """Returns notes on splits that are missing, or refuses their absence."""
        return []

    def file_name(self, name: str) -> tuple[str, ...]:
        """Returns the stems that the file of a video may have."""
        return (name,)

    def timelines(
        self, options: PrepareOptions, videos: annotations.Annotations, paths: Mapping[str, Path]
    ) -> dict[str, Timeline]:
        """Returns what is known of videos given as arrays or images: nothing but their length."""
        fps = self._fps(options)
        known = {}
        for name, path in paths.items():
            if path.suffix == ".npy":
                count, seconds = len(open_array(path)), videos[name].duration_s
                rate = fps or (count / seconds if seconds else 0.0)
                if not rate:
                    raise UserError(f"{path}: its rate is unknown; state --fps or its duration")
                known[name] = Timeline(rate, count, seconds or count / rate, 0)
        return known

    def plan(self) -> PreparationPlan:
        """Reads all annotations and finds all files; writes nothing.

        Raises:
          UserError: of the annotations or files, or there is nothing to prepare.
        """
        if self._plan is None:
            if self.options is None:
                raise UserError(f"{self.name}: no source folder given")
            self._plan = self._make_plan(self.options)
        return self._plan

    def _make_plan(self, options: PrepareOptions) -> PreparationPlan:
        check_encoding(options.encoding)
        for field in ("fps", "max_frames", "workers"):
            if (getattr(options, field) or 0) < 0:
                raise UserError(f"{field} must not be negative, is {getattr(options, field)}")
        if options.size < 1:
            raise UserError(f"size must be positive, is {options.size}")
        if not options.source.is_dir():
            raise UserError(f"{options.source}: no such folder")
        videos = {name: v for name, v in self.read_annotations(options).items() if v.subset}
        names = self.class_names(options, videos)
        prepared = options.source / REPORT
        sources: dict[str, str] = {}
        notes = [note for video in videos.values() for note in video.notes]
        if prepared.exists():
            paths, known, sources = self._read_rgb(prepared, options)
        else:
            found = media.find_sources(options.source, self._stream)
            paths = {}
            for name in videos:
                stem = next((stem for stem in self.file_name(name) if stem in found), None)
                if stem is not None:
                    paths[name] = found.pop(stem)
            if found:
                notes.append(f"{len(found)} files without annotations: left out")
            known = self._known_timelines(options, videos, paths)
        missing = tuple(sorted(name for name in videos if name not in paths))
        allowed = self.ALLOW_MISSING if options.allow_missing is None else options.allow_missing
        if missing and not allowed:
            raise UserError(
                f"{videos[missing[0]].place}: no file of video {missing[0]!r} in {options.source}"
                + (f", nor of {len(missing) - 1} others" if len(missing) > 1 else "")
                + "; add it, or allow missing videos (--allow-missing)"
            )
        if len(missing) == len(videos):
            raise UserError(f"{options.source}: none of the {len(videos)} videos is here")
        order = sorted((v.subset, name) for name, v in videos.items() if name in paths)
        tasks = tuple(
            Task(
                name,
                split,
                paths[name],
                videos[name].actions,
                self._stream,
                self._fps(options),
                self._max_frames(options),
                options.size,
                options.encoding,
                options.flow_method,
                known.get(name),
                tuple(names),
                sources.get(name) or file_fingerprint(paths[name]),
            )
            for split, name in order
        )
        notes += self.check_splits(options, {task.split for task in tasks})
        _check_frames(tasks)
        return PreparationPlan(tasks, tuple(names), missing, tuple(notes))

    def stored_options(self, options: PrepareOptions) -> dict[str, Any]:
        """Returns what determines the stored frames, as `preparation.json` says it."""
        return {
            "fps": self._fps(options),
            "max_frames": self._max_frames(options),
            "size": options.size,
            "encoding": options.encoding,
            **({"flow_method": options.flow_method} if self._stream == "flow" else {}),
        }

    @property
    def _stream(self) -> str:
        return self.builder_config.name

    def _fps(self, options: PrepareOptions) -> float:
        return self.FPS if options.fps is None else options.fps

    def _max_frames(self, options: PrepareOptions) -> int:
        return self.MAX_FRAMES if options.max_frames is None else options.max_frames

    def _known_timelines(
        self, options: PrepareOptions, videos: annotations.Annotations, paths: Mapping[str, Path]
    ) -> dict[str, Timeline]:
        """Returns the timelines of all that is no video, by the prepared rgb stream if any."""
        others = {name: path for name, path in paths.items() if not media.is_video(path)}
        report = Path(self.data_dir_root) / self.name / "rgb" / str(self.version) / REPORT
        if self._stream == "flow" and report.exists():
            _, known, _ = self._read_rgb(report, options)
        else:
            known = self.timelines(options, videos, others)
        for name, path in others.items():
            if name not in known:
                raise UserError(
                    f"{path}: the number of frames of its video is unknown; prepare the stream "
                    "rgb first"
                )
        return {name: known[name] for name in others}

    def _read_rgb(
        self, report: Path, options: PrepareOptions
    ) -> tuple[dict[str, Path], dict[str, Timeline], dict[str, str]]:
        """Returns shards, timelines and fingerprints of an rgb stream sampled as this is to be."""
        content = files.read_json(report)
        if content["stream"] != "rgb":
            raise UserError(
                f"{report.parent}: holds {content['stream']}; frames come from rgb only"
            )
        rgb = (content["fps"], content["max_frames"])
        if rgb != (self._fps(options), self._max_frames(options)):
            raise UserError(
                f"{report.parent}: its rgb frames were sampled with --fps {rgb[0]:g} and "
                f"--max-frames {rgb[1]}; flow must be sampled alike: rates must not be mixed"
            )
        paths, known = {}, {}
        for video in content["videos"]:
            paths[video["name"]] = report.parent / video["shard"]
            known[video["name"]] = Timeline(
                video["fps"], video["num_frames"], video["duration_s"], video["source_frames"]
            )
        fingerprints = content.get("fingerprints", {})
        sources = {name: keys[0] for name, keys in fingerprints.items()}
        return paths, known, sources

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=schema.features(),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            # One video a shard: the order of the files is that of the examples.
            disable_shuffling=True,
        )

    @property
    def _parts(self) -> Path:
        """Where shards gather until the data set is whole."""
        folder = Path(self.data_dir_root) / self.name / self._stream
        return folder / f".parts-{self.version}"

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        if self.options is None:
            self.options = PrepareOptions(Path(dl_manager.manual_dir))
        if self.options.beam_options is None and download_config is not None:
            beam_options = download_config.beam_options
            self.options = dataclasses.replace(self.options, beam_options=beam_options)
        plan = self.plan()
        report = self._report(plan, self._prepare_shards(plan))
        write_folder(Path(self.data_dir), self.info, plan, report, self._parts)

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Prepares as TFDS does, then removes what killed runs left: the folder holds it all."""
        super().download_and_prepare(**kwargs)
        self._remove_parts()

    def renew(self) -> None:
        """Prepares what has changed since the folder was prepared; the folder is whole all along.

        Frames that are the same are kept. Nothing is written where nothing has changed.

        Raises:
          UserError: as of `plan`, or no video could be prepared.
        """
        folder = Path(self.data_dir)
        before = files.read_json(folder / REPORT)
        plan = with_earlier_shards(self.plan(), folder, before)
        known = [result for task in plan.tasks if (result := unchanged_result(task, before))]
        if len(known) < len(plan.tasks) or self._report(plan, known) != before:
            report = self._report(plan, self._prepare_shards(plan))
            with files.atomic_write(folder) as temporary:
                temporary.mkdir()
                info = self._info()  # the builder's own is of the folder as it was
                info.set_file_format(tfds.core.FileFormat.TFRECORD)
                write_folder(temporary, info, plan, report, self._parts)
                info.write_to_directory(temporary)
        self._remove_parts()

    def _report(self, plan: PreparationPlan, results: Sequence[TaskResult]) -> dict[str, Any]:
        assert self.options is not None
        options = self.stored_options(self.options)
        return make_report(plan, results, self.name, self._stream, options)

    def _prepare_shards(self, plan: PreparationPlan) -> list[TaskResult]:
        assert self.options is not None
        options = self.options
        results = preparation.prepare_videos(
            plan.tasks, self._parts, options.workers, options.beam_options
        )
        if all(result.error is not None for result in results):
            raise UserError(f"no video could be prepared; the first: {results[0].error}")
        return results

    def _remove_parts(self) -> None:
        """Removes what this and killed runs left: the folder holds it all."""
        shutil.rmtree(self._parts, ignore_errors=True)
        for pattern in (f"incomplete.*_{self.version}", f".{self.version}.*"):
            for path in self._parts.parent.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # TFDS's, empty: nothing is downloaded
            os.removedirs(Path(self.data_dir_root) / "downloads" / "extracted")


def _check_frames(tasks: Sequence[Task]) -> None:
    """Opens all that can be judged without decoding, so that it is refused before any work.

    A video is judged when its own turn comes, before decoding: to know its length takes reading the
    whole file.
    """
    for task in tasks:
        if task.timeline is not None:
            preparation.open_source(task)
    if any(task.stream == "flow" for task in tasks):
        flow.import_opencv()
