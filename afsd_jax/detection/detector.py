"""Videos in, actions out: a trained network (or two, RGB and flow) applied to videos."""

import functools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from afsd_jax.config import check
from afsd_jax.config_checks import FEATURES
from afsd_jax.data.clips.geometry import frame_unit, window_offsets
from afsd_jax.data.decode.crops import crop_text
from afsd_jax.detection.backends import ForwardPass, VideoTrunks, chosen_backend, input_shapes
from afsd_jax.detection.batching import BatchRunner
from afsd_jax.detection.checkpoint_checks import check_fusible, check_memory
from afsd_jax.detection.later_fields import digested_fields
from afsd_jax.detection.pipeline import VideoResult, detect_videos, open_windows
from afsd_jax.detection.postprocess import Postprocessing
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import checked_array, open_array, open_array_files, open_sampled
from afsd_jax.inputs.video import OpenVideo, VideoSource, open_file
from afsd_jax.inputs.windows import Event
from afsd_jax.io import fingerprint
from afsd_jax.io.video_names import video_names
from afsd_jax.results.clips import ArrayFootage, DetectedVideo, FileFootage, Footage
from afsd_jax.results.detections import Detections
from afsd_jax.runtime import devices
from afsd_jax.runtime.sharding import data_mesh, place
from afsd_jax.types import VideoLabel
from afsd_jax.weights import loading
from afsd_jax.weights.checkpoint import Checkpoint


def load_detector(
    path: str | os.PathLike[str],
    flow_path: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    trunk_context: str | None = None,
    crop: str | None = None,
) -> "Detector":
    """Loads a trained detector.

    Args:
      path: a checkpoint folder that `afsd train` or `afsd convert` wrote (the folder of a run also
        works), or an official PyTorch checkpoint file.
      flow_path: a second one of the same kind, trained on optical flow, to fuse with the first.
      backend: software that computes the trunk: xla, openvino, or openvino-bfloat16, whose scores
        differ a little; None: openvino on CPUs where it is installed, else xla.
      trunk_context: input of the trunk: each window alone (clip), or the whole video once (video),
        which is faster; None: as the checkpoint was trained.
      crop: the part of the pictures of videos that is used, x,y,width,height in pixels or percent,
        such as "10%,0%,80%,100%"; None: as in the data that the checkpoint was trained on.

    Raises:
      UserError: a path is neither, the two do not fit together, there is no such backend, or JAX
        finds no device.

    Example:
      An untrained network stands in for a trained one here.

      >>> import tempfile
      >>> from afsd_jax.config import default_config, resolve
      >>> from afsd_jax.models import parameters
      >>> from afsd_jax.weights import checkpoint
      >>> config = default_config()
      >>> config.data.update(clip_length=64, crop_size=32, frame_size=32)
      >>> config.model.update(trunk_width=0.05, channels=16, groups=4)
      >>> config = resolve(config, num_actions=2)
      >>> weights = parameters.flatten(parameters.build_network(config))
      >>> folder = tempfile.mkdtemp() + "/checkpoint"
      >>> checkpoint.write(folder, weights, config, ["jump", "run"])
      >>> load_detector(folder)
      Detector(rgb, 2 classes: jump, run, clips of 64 frames at 10 fps)
    """
    devices.start_jax()
    streams = [loading.load_checkpoint(p) for p in (path, flow_path) if p is not None]
    if len(streams) > 1 and streams[1].config.data.stream != "flow":
        raise UserError(
            f"{flow_path}: is a network on {streams[1].config.data.stream}; the second checkpoint "
            "must be one on optical flow"
        )
    for stream in streams:
        with stream.config.unlocked():
            stream.config.model.trunk_context = trunk_context or stream.config.model.trunk_context
            if crop is not None:
                stream.config.data.crop = crop_text(crop)
        check(stream.config)
    return Detector(streams, backend)


class Detector:
    """Finds the actions in videos.

    `load_detector` makes one from files. `detector.detect("video.mp4")` then returns `Detections`.
    Several threads may call the methods of one detector at once, and get what one thread would:
    they decode side by side, while the networks compute for one of them at a time. Attributes may
    be changed only while no thread detects, and an iterator of `detect_many` belongs to one thread.

    Attributes:
      checkpoints: the checkpoint of each network, without its weights.
      configs: configuration of each stream's network.
      config: the first of them; its `data` and `inference` parts are used.
      class_names: names of the C-1 actions.
      weights: weights of each network; others of the same shapes may take their place.
      backend: software that computes the trunk.
      mesh: devices that share each batch of windows, by default all of them; None: there is one.
      postprocessing: turns decoded windows into detections.

    Example:
      >>> from afsd_jax.config import default_config, resolve
      >>> from afsd_jax.models import parameters
      >>> from afsd_jax.weights.checkpoint import Checkpoint
      >>> config = default_config()
      >>> config.data.update(clip_length=64, crop_size=32, frame_size=32)
      >>> config.model.update(trunk_width=0.05, channels=16, groups=4)
      >>> config = resolve(config, num_actions=2)
      >>> weights = parameters.flatten(parameters.build_network(config))
      >>> detector = Detector([Checkpoint(0, config, ["jump", "run"], weights)])
      >>> detector
      Detector(rgb, 2 classes: jump, run, clips of 64 frames at 10 fps)
      >>> detector.window_offsets(num_frames=100)  # of a video of 10 s
      [0, 36]
    """

    def __init__(self, streams: Sequence[Checkpoint], backend: str | None = None):
        """Fuses the streams' networks, which must share everything but their input.

        Args:
          streams: checkpoint of each stream's network.
          backend: one of `backends.BACKENDS`; None: OpenVINO on CPUs where it is installed.

        Raises:
          UserError: the streams do not fit together, or there is no such backend.
        """
        check_fusible(streams)
        check_memory(streams[0].config)
        self.checkpoints = [stream._replace(weights={}) for stream in streams]
        self.configs = [stream.config for stream in streams]
        self.config = streams[0].config
        self.class_names = streams[0].class_names
        self.weights = [stream.weights for stream in streams]
        # Of several hosts each detects in all videos.
        shared = jax.process_count() == 1 and jax.device_count() > 1
        self.mesh: Mesh | None = data_mesh() if shared else None
        no_trunk = self.config.data.stream == FEATURES
        self.backend = "xla" if no_trunk else chosen_backend(backend, self.config.model.dtype)
        self._placing = threading.Lock()
        self._forward = ForwardPass(self.configs, self.backend)
        self._video_trunks = VideoTrunks(self.configs, self.backend)
        self.postprocessing = Postprocessing(self.config, self.class_names, len(streams) > 1)

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
            resized as those of a file, and not copied. For a network on features, their .npy file.
          fps: frames per second of an array; a file states its own.
          flow_method: tvl1 or dis, the method of optical flow if a network needs it; None: the one
            it was trained on, by its configuration.

        Raises:
          UserError: the file is missing, damaged or no video, the array is no video, or `fps` is
            given for a file or missing for an array.
        """
        if isinstance(video, str | os.PathLike):
            if fps is not None:
                raise UserError(f"{video}: a file states its own frame rate; leave fps= out")
            return self._detect_one(self._source(video, flow_method), FileFootage(Path(video)))
        frames, rate = checked_array(video, fps)
        open_video = functools.partial(open_array, frames, rate, self.configs, flow_method)
        return self._detect_one(VideoSource("video", open_video), ArrayFootage(frames, rate))

    def detect_many(
        self, videos: Iterable[str | os.PathLike[str]], flow_method: str | None = None
    ) -> Iterator[tuple[str | os.PathLike[str], Detections]]:
        """Yields each video file, as it was given, and its actions, best first.

        The videos share batches, and are decoded while the network computes.

        Args:
          videos: the files. Those with one name in different folders get names with folders, if
            `videos` is a list or another collection.
          flow_method: tvl1 or dis, the method of optical flow if a network needs it; None: the one
            it was trained on, by its configuration.

        Raises:
          UserError: some files are missing, damaged or no videos; after all others are yielded.
        """
        names: dict[Path, str] = {}
        if isinstance(videos, Collection):
            names = {path: name for name, path in video_names(map(Path, videos)).items()}
        opened: deque[str | os.PathLike[str]] = deque()
        failed: list[str] = []

        def sources() -> Iterator[VideoSource]:
            for path in videos:
                opened.append(path)
                yield self._source(path, flow_method, names.get(Path(path)))

        for result in self.detect_sources(sources()):
            path = opened.popleft()
            if result.error:
                failed.append(str(result.error))
            else:
                yield path, self._detections(result, FileFootage(Path(path)))
        if failed:
            raise UserError("; ".join(failed))

    def detect_frames(
        self,
        streams: Sequence[np.ndarray],
        fps: float,
        duration_s: float | None = None,
        video_label: VideoLabel | None = None,
    ) -> Detections:
        """Returns the actions in a video given as sampled frames, best first.

        Args:
          streams: one array for each network, uint8 [N, H, W, channels], sampled at `fps`; they
            are not copied.
          fps: frames per second.
          duration_s: length of the video, seconds; detections are clipped to it.
          video_label: class and score factor from a video-level classifier.

        Raises:
          UserError: the frames' type or shape does not fit the networks.
        """
        length_s = float("inf") if duration_s is None else duration_s

        def open_video() -> OpenVideo:
            video = open_sampled(streams, fps, length_s, self.configs)
            return video._replace(label=video_label)

        rgb = next((frames for frames in streams if frames.shape[-1] == 3), None)
        footage = None if rgb is None else ArrayFootage(rgb, fps)
        return self._detect_one(VideoSource("frames", open_video), footage)

    def detect_sources(self, sources: Iterable[VideoSource]) -> Iterator[VideoResult]:
        """Yields the result of each video, in order, as soon as it is done.

        A thread reads frames, at most a batch of windows in advance, while the network computes.
        Windows of different videos share batches of one shape; see `BatchRunner`. On CPUs these are
        one window for each device, so that a result does not depend on the other videos.

        Args:
          sources: the videos; the thread iterates over them and opens them. A failure to open or to
            read a video is in its result.

        Raises:
          Exception: any that iterating over `sources` itself raises.
        """
        # On CPUs larger batches gain nothing, and the last digit of a window's result would depend
        # on its place among the others.
        on_cpu = jax.default_backend() == "cpu"
        runner = self.batch_runner(1 if on_cpu else self.config.inference.batch_size)
        windows = self.open_windows(sources, self.window_offsets, runner.size)
        return detect_videos(windows, runner, self.postprocessing)

    def open_windows(
        self, sources: Iterable[VideoSource], offsets_of: Callable[[int], Iterable[int]], ahead: int
    ) -> Generator[Event, None, None]:
        """Returns the windows of videos; see `pipeline.open_windows`."""
        whole_videos = self.config.model.trunk_context == "video"
        trunks = self._video_trunks(self.weights) if whole_videos else None
        return open_windows(sources, offsets_of, self.config.data, trunks, ahead)

    def batch_runner(self, size: int) -> BatchRunner:
        """Returns the object that runs the networks on batches of `size` windows."""
        mesh = self.mesh
        with self._placing:
            weights = place(self.weights, mesh) if mesh else jax.device_put(self.weights)
            self.weights = weights
        inputs = [input_shapes(config) for config in self.configs]
        return BatchRunner(self._forward, weights, inputs, size, mesh)

    def window_offsets(self, num_frames: int) -> list[int]:
        """Returns the first frame of each window of a video with so many frames."""
        inference = self.config.inference
        length, stride = self.config.data.clip_length, inference.window_stride
        unit = max(frame_unit(config.model) for config in self.configs)
        return window_offsets(num_frames, length, stride, inference.one_window, unit)

    def fingerprint(self) -> str:
        """Returns a digest of the networks' weights, configurations, classes and backend."""
        configs = map(digested_fields, self.configs)
        return fingerprint.of_arrays(self.weights, self.class_names, self.backend, *configs)

    def _source(
        self, path: str | os.PathLike[str], flow_method: str | None, name: str | None = None
    ) -> VideoSource:
        open_video = functools.partial(open_file, path, self.configs, flow_method, name)
        if self.config.data.stream == FEATURES:
            open_video = functools.partial(open_array_files, [Path(path)], self.configs, name=name)
        return VideoSource(os.fspath(path), open_video)

    def _detect_one(self, source: VideoSource, footage: Footage | None) -> Detections:
        (result,) = self.detect_sources([source])
        if result.error:
            raise result.error
        return self._detections(result, footage)

    def _detections(self, result: VideoResult, footage: Footage | None) -> Detections:
        video = result.video
        assert video is not None  # it did not fail
        if isinstance(footage, FileFootage):
            footage = footage._replace(fps=video.fps)
        known = math.isfinite(video.duration_s)
        duration_s = video.duration_s if known else video.num_frames / video.fps
        name = video.name or result.name
        detected = DetectedVideo(name, duration_s, self.class_names, footage)
        return Detections(result.detections, detected)
