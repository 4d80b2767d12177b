"""Videos in, actions out: a trained network (or two, RGB and flow) applied to whole videos."""

import contextlib
import functools
import json
import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from afsd_jax.data.clips.geometry import window_offsets
from afsd_jax.detection import nms
from afsd_jax.detection.backends import chosen_backend, make_forward
from afsd_jax.detection.batching import Batches
from afsd_jax.detection.candidates import Candidates
from afsd_jax.detection.postprocess import detections_of_video
from afsd_jax.errors import UserError
from afsd_jax.inputs import video as inputs
from afsd_jax.inputs.arrays import check_video, from_array
from afsd_jax.inputs.video import Input, Source
from afsd_jax.inputs.windows import End, Event, Opened, Window, read_windows, unexpected
from afsd_jax.io import fingerprint
from afsd_jax.models import parameters
from afsd_jax.results.detections import Detections
from afsd_jax.results.footage import ArrayFootage, DetectedVideo, FileFootage, Footage
from afsd_jax.runtime.prefetch import prefetch
from afsd_jax.runtime.sharding import data_mesh, place
from afsd_jax.types import Detection, VideoLabel
from afsd_jax.weights import checkpoint


class Found(NamedTuple):
    """What came of one video.

    video: None if it could not be opened.
    detections: best first; none if it failed.
    error: why it failed, if it did.
    """

    name: str
    video: Input | None
    detections: list[Detection]
    error: UserError | None = None


class Detector:
    """Finds the actions in videos.

    Attributes:
      checkpoints: what each network was read from, without its weights.
      configs: of each stream's network.
      config: the first of them; its `data` and `inference` parts are used.
      class_names: C-1 names of the actions.
      weights: of each network; others of the same shapes may take their place.
      backend: what computes the trunk.
      mesh: devices that share a batch of windows, by default all of them; None: there is one.
    """

    def __init__(self, streams: Sequence[checkpoint.Checkpoint], backend: str | None = None):
        """Fuses the streams' networks, which must share everything but their input.

        Args:
          streams: the networks.
          backend: one of `forward.BACKENDS`; None: OpenVINO on CPUs where it is installed.

        Raises:
          UserError: the streams do not fit together, or there is no such backend.
        """
        first = streams[0]
        for other in streams[1:]:
            for field in (
                *("fps", "max_frames", "clip_length", "crop_size", "frame_size"),
                "class_agnostic",
            ):
                if first.config.data[field] != other.config.data[field]:
                    raise UserError(
                        f"the streams' checkpoints differ in config.data.{field}: "
                        f"{first.config.data[field]} and {other.config.data[field]}"
                    )
            for field in ("refinement", "quality"):
                if first.config.model[field] != other.config.model[field]:
                    raise UserError(
                        f"the streams' checkpoints differ in config.model.{field}; fuse networks "
                        "that predict the same"
                    )
            if first.class_names != other.class_names:
                raise UserError("the streams' checkpoints were trained on different classes")
        self.checkpoints = [stream._replace(weights={}) for stream in streams]
        self.configs = [stream.config for stream in streams]
        self.config = first.config
        self.class_names = first.class_names
        networks = [parameters.abstract_network(stream.config) for stream in streams]
        self.weights = [stream.weights for stream in streams]
        # Of several hosts each looks at all videos.
        shared = jax.process_count() == 1 and jax.device_count() > 1
        self.mesh: Mesh | None = data_mesh() if shared else None
        self.backend = chosen_backend(backend, first.config.model.dtype)
        self._forward = make_forward(networks, first.config, self.backend)

    def __repr__(self) -> str:
        data, names = self.config.data, self.class_names
        streams = "+".join(config.data.stream for config in self.configs)
        classes = f"{len(names)} {'class' if len(names) == 1 else 'classes'}"
        rate = f"at {data.fps:g} fps" if data.fps else "at each video's own rate"
        return (
            f"Detector({streams}, {classes}: {', '.join([*names[:3], '…'][: len(names)])}, "
            f"clips of {data.clip_length} frames {rate})"
        )

    def detect(
        self,
        video: str | os.PathLike[str] | NDArray[np.uint8],
        fps: float | None = None,
        flow_method: str | None = None,
    ) -> Detections:
        """Returns the actions in a video, best first.

        Args:
          video: the file, or its frames: uint8 [N, H, W, 3], RGB, of any size; they are sampled and
            resized as a file's are, and not copied.
          fps: frames per second of an array; a file states its own.
          flow_method: tvl1 or dis, of the optical flow if a network wants it; None: what it was
            trained on, by its configuration.

        Raises:
          UserError: the file is missing, damaged or no video, the array is no video, or `fps` is
            given for a file or missing for an array.
        """
        if isinstance(video, str | os.PathLike):
            if fps is not None:
                raise UserError(f"{video}: a file states its own frame rate; leave fps= out")
            found = self._detect_one(self._file(video, flow_method))
            return self._result(found, FileFootage(Path(video)))
        frames = check_video(video, fps)
        rate = float(fps or 0.0)
        source = Source("video", lambda: from_array(frames, rate, self.configs, flow_method))
        return self._result(self._detect_one(source), ArrayFootage(frames, rate))

    def detect_many(
        self, videos: Iterable[str | os.PathLike[str]], flow_method: str | None = None
    ) -> Iterator[tuple[str | os.PathLike[str], Detections]]:
        """Yields each video file, as it was given, and its actions, best first.

        The videos share batches, and are decoded while the network computes.

        Args:
          videos: the files.
          flow_method: tvl1 or dis, of the optical flow if a network wants it; None: what it was
            trained on, by its configuration.

        Raises:
          UserError: some files are missing, damaged or no videos; after all others are yielded.
        """
        given: deque[str | os.PathLike[str]] = deque()
        failed: list[str] = []

        def sources() -> Iterator[Source]:
            for path in videos:
                given.append(path)
                yield self._file(path, flow_method)

        for found in self.detect_sources(sources()):
            path = given.popleft()
            if found.error:
                failed.append(str(found.error))
            else:
                yield path, self._result(found, FileFootage(Path(path)))
        if failed:
            raise UserError("; ".join(failed))

    def detect_frames(
        self,
        streams: Sequence[np.ndarray],
        fps: float,
        duration_s: float | None = None,
        video_label: VideoLabel | None = None,
    ) -> Detections:
        """Returns the actions in a video given as frames, best first.

        Args:
          streams: for each network uint8 [N,H,W,channels], sampled at `fps`; they are not copied.
          fps: frames per second.
          duration_s: of the video; detections are cut there.
          video_label: class and score factor of a video-level classifier.

        Raises:
          UserError: the frames' type or shape does not fit the networks.
        """
        length_s = float("inf") if duration_s is None else duration_s

        def opened() -> Input:
            video = inputs.of_arrays(streams, fps, length_s, self.configs)
            return video._replace(label=video_label)

        found = self._detect_one(Source("frames", opened))
        rgb = next((frames for frames in streams if frames.shape[-1] == 3), None)
        return self._result(found, None if rgb is None else ArrayFootage(rgb, fps))

    def detect_sources(self, sources: Iterable[Source]) -> Iterator[Found]:
        """Yields what is found in each video, in order, as each is done.

        Frames are read in a thread, while the network computes and at most a batch ahead of it.
        Windows of different videos share batches of one shape; see `Batches`.

        Args:
          sources: of the videos; iterated and opened in the thread. A failure to open or to read
            one is in its `Found`.

        Raises:
          Exception: what iterating over `sources` itself raises.
        """
        data, batches = self.config.data, self.batches(self.config.inference.batch_size)
        batch: list[tuple[Window, Candidates]] = []
        ended: deque[tuple[End, Candidates]] = deque()
        candidates = Candidates()

        def compute() -> None:
            decoded = batches.compute([window for window, _ in batch])
            for (window, found), outputs in zip(batch, decoded, strict=True):
                found.add(window.offset, *outputs, self.score_threshold)
            batch.clear()

        def done() -> Iterator[Found]:
            while ended and not (batch and batch[0][1] is ended[0][1]):
                yield self._found(*ended.popleft())

        def events(unwanted: threading.Event) -> Iterator[Event]:
            args = self.window_offsets, data.clip_length, data.crop_size, unwanted
            return read_windows(sources, *args)

        with contextlib.closing(prefetch(events, batches.size)) as coming:
            for event in coming:
                if isinstance(event, Opened):
                    batches.prepare()  # while the first window is read
                elif isinstance(event, Window):
                    batch.append((event, candidates))
                else:
                    ended.append((event, candidates))
                    candidates = Candidates()
                if len(batch) == batches.size:
                    compute()
                yield from done()
        if batch:
            compute()
        yield from done()

    def batches(self, size: int) -> Batches:
        """Returns what runs the networks on windows, so many at a time."""
        mesh = self.mesh
        self.weights = place(self.weights, mesh) if mesh else jax.device_put(self.weights)
        length, side = self.config.data.clip_length, self.config.data.crop_size
        shapes = [(length, side, side, config.model.in_channels) for config in self.configs]
        return Batches(self._forward, self.weights, shapes, size, mesh)

    def _found(self, end: End, candidates: Candidates) -> Found:
        name, video, error = end
        if error or video is None:
            return Found(name, video, [], error)
        try:
            times = video.fps, video.duration_s, video.label
            detections = self.detections(*candidates.gathered(), *times)
        except Exception as raised:  # such as too little memory: of this video
            return Found(name, video, [], unexpected(name, raised))
        return Found(name, video, detections)

    def _file(self, path: str | os.PathLike[str], flow_method: str | None) -> Source:
        open_video = functools.partial(inputs.from_video, path, self.configs, flow_method)
        return Source(os.fspath(path), open_video)

    def _detect_one(self, source: Source) -> Found:
        (found,) = self.detect_sources([source])
        if found.error:
            raise found.error
        return found

    def _result(self, found: Found, footage: Footage | None) -> Detections:
        video = found.video
        assert video is not None  # it did not fail
        # Whoever does not say how long frames last has as many seconds as there are frames for.
        known = math.isfinite(video.duration_s)
        duration_s = video.duration_s if known else video.num_frames / video.fps
        name = video.name or found.name
        seen = DetectedVideo(name, duration_s, self.class_names, footage)
        return Detections(found.detections, seen)

    def fingerprint(self) -> str:
        """Returns a digest of the networks' weights, configurations, classes and backend."""
        configs = [json.loads(config.to_json()) for config in self.configs]
        return fingerprint.of_arrays(self.weights, self.class_names, self.backend, *configs)

    @property
    def score_threshold(self) -> float:
        """Only candidates above it count."""
        return self._threshold("score_threshold")

    @property
    def nms_threshold(self) -> float:
        """Candidates whose score falls below it are dropped."""
        return self._threshold("nms_threshold")

    def _threshold(self, name: str) -> float:
        return self.config.inference[f"fusion_{name}" if len(self.configs) > 1 else name]

    @property
    def nms_factor(self) -> nms.Factor:
        """What suppresses overlapping candidates of a class."""
        inference = self.config.inference
        if inference.nms == "plain":
            return nms.plain(inference.nms_tiou)
        return nms.gaussian(inference.nms_sigma)

    def window_offsets(self, num_frames: int) -> list[int]:
        """Returns the first frame of each window of a video of so many frames."""
        inference = self.config.inference
        return window_offsets(
            num_frames,
            self.config.data.clip_length,
            inference.window_stride,
            inference.one_window,
        )

    def detections(
        self,
        segments: np.ndarray,
        scores: np.ndarray,
        offsets: Sequence[int],
        fps: float,
        duration_s: float | None = None,
        video_label: VideoLabel | None = None,
    ) -> list[Detection]:
        """Returns a video's actions, best first, of what `decode_streams` gives of its windows.

        Args:
          segments: float32 [W,K,2], frames from each window's start.
          scores: float32 [W,K,C].
          offsets: of the W windows, frames.
          fps: frames per second.
          duration_s: of the video; detections are cut there.
          video_label: class and score factor of a video-level classifier.
        """
        inference = self.config.inference
        return detections_of_video(
            segments,
            scores,
            np.array(offsets),
            fps,
            self.class_names,
            score_threshold=self.score_threshold,
            factor=self.nms_factor,
            nms_threshold=self.nms_threshold,
            max_detections=inference.max_detections,
            voting_tiou=inference.voting_tiou,
            duration_s=duration_s if inference.clip_to_video else None,
            video_label=video_label,
        )
