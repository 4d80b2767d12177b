"""The common part of the four TFDS builders, from the annotations to a prepared folder.

A subclass says which videos there are, which actions they have and where their frames are; the rest
is the same for every data set. A prepared folder is an ordinary TFDS folder with one video per
shard; see `dataset_folder` for its other files.

TFDS itself would hold every example in memory and could not resume, so `preparation` writes the
shards and TFDS is told about them. TFDS also never updates a prepared folder; `VideoBuilder.renew`
does.
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

from afsd_jax.config_checks import FEATURES
from afsd_jax.data import annotations, preparation
from afsd_jax.data.builders import citations, prepared_report
from afsd_jax.data.builders.dataset_folder import (
    check_options_of,
    is_described,
    make_report,
    unchanged_result,
    with_earlier_shards,
    write_folder,
)
from afsd_jax.data.builders.picture_parts import check_unshaped, find_geometries
from afsd_jax.data.builders.plan_checks import check_plan, check_results
from afsd_jax.data.builders.prepare_options import PrepareOptions, check_options
from afsd_jax.data.builders.prepared_report import REPORT
from afsd_jax.data.builders.rgb_stream import RgbStream, read_rgb
from afsd_jax.data.builders.source_files import (
    SourceFiles,
    match_files,
    missing_videos,
    openable,
)
from afsd_jax.data.builders.video_facts import with_sampling
from afsd_jax.data.decode import media
from afsd_jax.data.decode.feature_rows import FeatureRows
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.sources import Timeline, open_array
from afsd_jax.data.storage import schema
from afsd_jax.data.storage.frame_codec import ROWS
from afsd_jax.data.tasks import Plan, Task, TaskResult
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.fingerprint import file_fingerprint


# The builders that tfds.core exports all write the examples themselves; this base leaves it to us.
class VideoBuilder(dataset_builder.FileReaderBuilder):
    """Base of the builders; see `PrepareOptions` for their options.

    TFDS calls `_info` and `_download_and_prepare`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "One video per shard, its frames as JPEG, PNG or raw."}
    HOMEPAGE = citations.AFSD_HOMEPAGE
    CITATION = citations.AFSD
    BUILDER_CONFIGS = (
        tfds.core.BuilderConfig(name="rgb", description="RGB frames"),
        tfds.core.BuilderConfig(name="flow", description="optical flow"),
        tfds.core.BuilderConfig(name=FEATURES, description="features that were computed before"),
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder holds the videos and their annotations."
    # Nothing is downloaded, so TFDS need not look for checksums beside the code.
    code_path = None
    FPS = 10.0
    MAX_FRAMES = 0
    COUNT_FRAMES = False  # whether annotations count time in frames; see `VideoReader`
    ALLOW_MISSING = False
    PREFIXES: ClassVar[tuple[str, ...]] = (
        "",
    )  # what may stand before a video's name in the name of its file
    CHECK_ACTIONS = False  # whether times in another unit and doubtful classes are looked for

    def __init__(self, *, options: PrepareOptions | None = None, **kwargs: Any):
        """Takes the arguments of every TFDS builder.

        Args:
          options: options of preparation; None: TFDS's manual folder with the defaults.
          **kwargs: data_dir, config (rgb or flow) and TFDS's other arguments.
        """
        self._options = options
        self._plan: Plan | None = None
        super().__init__(**kwargs)

    @property
    def options(self) -> PrepareOptions:
        """The options; raises UserError if the builder has none."""
        if self._options is None:
            raise UserError(f"{self.name}: no source folder given")
        return self._options

    @abc.abstractmethod
    def read_annotations(self) -> annotations.Annotations:
        """Returns the annotations of the videos to prepare."""

    def class_names(self, videos: annotations.Annotations) -> list[str]:
        """Returns the classes in the order of their labels, after checking all labels."""
        path = self.options.classes
        return annotations.class_names(videos, annotations.read_class_list(path) if path else None)

    def check_splits(self, splits: Collection[str]) -> list[str]:
        """Returns notes on missing splits, or raises UserError."""
        return []

    def assign_splits(self, videos: annotations.Annotations) -> annotations.Annotations:
        """Returns the videos with their splits as subsets; here they have them already."""
        return videos

    def timelines(
        self, videos: annotations.Annotations, paths: Mapping[str, Path]
    ) -> dict[str, Timeline]:
        """Returns the timelines of videos that come as arrays, from the arrays' lengths."""
        timelines = {}
        for name, path in paths.items():
            if path.suffix == ".npy":
                if self._stream == FEATURES:
                    timelines[name] = FeatureRows(path, videos[name].duration_s).timeline
                    continue
                count, seconds = len(open_array(path)), videos[name].duration_s
                rate = self._fps or (count / seconds if seconds else 0.0)
                if not rate:
                    raise UserError(f"{path}: its rate is unknown; state its fps or its duration")
                timelines[name] = Timeline(rate, count, seconds or count / rate, 0)
        return timelines

    def plan(self) -> Plan:
        """Reads all annotations and finds all files; writes nothing.

        Raises:
          UserError: annotations or files are wrong, or there is nothing to prepare.
        """
        if self._plan is None:
            self._plan = self._make_plan()
        return self._plan

    def _make_plan(self) -> Plan:
        options = self.options
        check_options(options)
        stated = self.read_annotations()
        names = self.class_names(stated)
        fingerprints: dict[str, str] = {}
        if (report := options.source / REPORT).exists():
            check_unshaped(options, report)
            self._choose(SourceFiles({}, {}), {})
            rgb = self._read_rgb(report)
            timelines, fingerprints = rgb.timelines, rgb.fingerprints
            matches = annotations.match_names(stated, rgb.paths)
            found = SourceFiles(annotations.renamed(stated, matches), rgb.paths)
            geometries = {n: FrameGeometry(c, options.keep_aspect) for n, c in rgb.crops.items()}
        else:
            found = match_files(options, self._stream, stated, self.PREFIXES)
            geometries = find_geometries(options, self._stream, found)
            self._choose(found, geometries)
            timelines = self._known_timelines(found.videos, found.paths)
        videos = self.assign_splits(found.videos)
        left_out = [note for video in videos.values() for note in video.notes]
        allowed = self.ALLOW_MISSING if options.allow_missing is None else options.allow_missing
        missing = missing_videos(videos, found, options.source, allowed)
        paths, notes = found.paths, [*left_out, *found.notes]
        order = sorted((v.subset, name) for name, v in videos.items() if name in paths)
        tasks = tuple(
            Task(
                *(name, split, paths[name], videos[name].actions, self._stream),
                *(self._fps, self._max_frames, self._size, self._encoding, options.flow_method),
                *(timelines.get(name), tuple(names)),
                fingerprints.get(name) or file_fingerprint(paths[name]),
                count_frames=self.COUNT_FRAMES,
                group=videos[name].group,
                geometry=geometries[name],
            )
            for split, name in order
        )
        notes += self.check_splits({task.split for task in tasks})
        tasks, odd = openable(tasks)
        plan = Plan(tasks, tuple(names), missing, {**found.unreadable, **odd}, tuple(notes))
        if self.CHECK_ACTIONS:
            place = str(options.annotations or options.source)
            plan = dataclasses.replace(plan, warnings=check_plan(plan, left_out, place))
        return plan

    def stored_options(self) -> dict[str, Any]:
        """Returns the options that determine the stored frames, as in `preparation.json`."""
        return {
            "fps": self._fps,
            "max_frames": self._max_frames,
            "size": self._size,
            "encoding": self._encoding,
            "keep_aspect": self.options.keep_aspect,
            **({"flow_method": self.options.flow_method} if self._stream == "flow" else {}),
        }

    @property
    def _stream(self) -> str:
        return self.builder_config.name

    @property
    def _fps(self) -> float:
        return self.FPS if self.options.fps is None else self.options.fps

    @property
    def _size(self) -> int:
        return 1 if self._stream == FEATURES else self.options.size

    @property
    def _encoding(self) -> str:
        return ROWS if self._stream == FEATURES else self.options.encoding

    @property
    def _max_frames(self) -> int:
        return self.MAX_FRAMES if self.options.max_frames is None else self.options.max_frames

    def _known_timelines(
        self, videos: annotations.Annotations, paths: Mapping[str, Path]
    ) -> dict[str, Timeline]:
        """Returns the timelines of arrays and images; for flow, from the prepared rgb stream."""
        others = {name: path for name, path in paths.items() if not media.is_video(path)}
        report = self._report_of("rgb")
        if self._stream == "flow" and report.exists():
            timelines = self._read_rgb(report).timelines
        else:
            timelines = self.timelines(videos, others)
        for name, path in others.items():
            if name not in timelines:
                raise UserError(
                    f"{path}: the number of frames of its video is unknown; prepare the stream "
                    "rgb first"
                )
        return {name: timelines[name] for name in others}

    def _read_rgb(self, report: Path) -> RgbStream:
        return read_rgb(report, self._fps, self._max_frames, self.options.keep_aspect)

    def _report_of(self, stream: str) -> Path:
        """Returns the path of the report on a stream in this folder of prepared data sets."""
        return Path(self.data_dir_root) / self.name / stream / str(self.version) / REPORT

    def _choose(self, found: SourceFiles, geometries: Mapping[str, FrameGeometry]) -> None:
        """Sets those of fps and size that are to be chosen: as a stream has them, or anew."""
        own, source = self._report_of(self._stream), self.options.source / REPORT
        reports = (source, own, self._report_of("rgb"))
        self._options = with_sampling(self.options, reports, found, geometries, self._fps)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=schema.features(),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            # With one video per shard, the order of the files is the order of the examples.
            disable_shuffling=True,
        )

    @property
    def parts(self) -> Path:
        """The folder where shards are collected until the data set is complete."""
        folder = Path(self.data_dir_root) / self.name / self._stream
        return folder / f".parts-{self.version}"

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        if self._options is None:
            self._options = PrepareOptions(Path(dl_manager.manual_dir))
        if self._options.beam_options is None and download_config is not None:
            beam_options = download_config.beam_options
            self._options = dataclasses.replace(self._options, beam_options=beam_options)
        plan = self.plan()
        report = self._report(plan, self._prepare_shards(plan))
        write_folder(Path(self.data_dir), self.info, plan, report, self.parts)

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Prepares as TFDS does, then removes the temporary files of this and killed runs."""
        super().download_and_prepare(**kwargs)
        self._remove_parts()

    def _log_download_bytes(self) -> None:
        """Prints nothing, because nothing is downloaded; TFDS states an unknown size."""

    def _log_download_done(self) -> None:
        """Prints nothing; the command says where the data set lies."""

    def renew(self) -> None:
        """Prepares what has changed since the folder was prepared; readers never see it incomplete.

        Unchanged frames are kept. Nothing is written without changes or without options.

        Raises:
          UserError: see `plan`; or the folder was prepared with other rates, sizes or encodings, or
            no video could be prepared.
        """
        if self._options is None:
            return
        folder = Path(self.data_dir)
        before = prepared_report.read_report(folder / REPORT)
        if self.options.auto:
            self.plan()
        check_options_of(before, self.stored_options(), folder)
        plan = with_earlier_shards(self.plan(), folder, before)
        unchanged = [result for task in plan.tasks if (result := unchanged_result(task, before))]
        if len(unchanged) < len(plan.tasks) or not is_described(
            folder, plan, self._report(plan, unchanged), before
        ):
            report = self._report(plan, self._prepare_shards(plan))
            with files.atomic_write(folder) as temporary:
                temporary.mkdir()
                info = self._info()  # self.info describes the folder as it was
                info.set_file_format(tfds.core.FileFormat.TFRECORD)
                write_folder(temporary, info, plan, report, self.parts)
                info.write_to_directory(temporary)
        self._remove_parts()

    def _report(self, plan: Plan, results: Sequence[TaskResult]) -> dict[str, Any]:
        return make_report(plan, results, self.name, self._stream, self.stored_options())

    def _prepare_shards(self, plan: Plan) -> list[TaskResult]:
        results = preparation.prepare_videos(
            plan.tasks, self.parts, self.options.workers, self.options.beam_options
        )
        if all(result.error is not None for result in results):
            raise UserError(f"no video could be prepared; the first: {results[0].error}")
        if self.CHECK_ACTIONS:
            check_results(plan, results, str(self.options.annotations or self.options.source))
        return results

    def _remove_parts(self) -> None:
        """Removes the temporary files of this and killed runs."""
        shutil.rmtree(self.parts, ignore_errors=True)
        for pattern in (f"incomplete.*_{self.version}", f".{self.version}.*"):
            for path in self.parts.parent.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # TFDS makes it, empty, for downloads
            os.removedirs(Path(self.data_dir_root) / "downloads" / "extracted")
