"""Videos in, actions out: a trained network (or two, RGB and flow) applied to whole videos."""

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from afsd_jax import inputs
from afsd_jax.data.clips.windows import centre_crop, cut_windows, window_offsets
from afsd_jax.errors import UserError
from afsd_jax.models import PADDING, normalise
from afsd_jax.postprocess import VideoLabel, decode_streams, detections_of_video
from afsd_jax.sharding import spread
from afsd_jax.types import Detection
from afsd_jax.weights import checkpoint, loading, parameters


class Detector:
    """Finds the actions in videos.

    Attributes:
      checkpoints: what each network was read from, without its weights.
      configs: of each stream's network.
      config: the first of them; its `data` and `inference` parts are used.
      class_names: C-1 names of the actions.
      weights: of each network; others of the same shapes may take their place.
      mesh: devices that share a batch of windows, if it can be shared evenly.
    """

    def __init__(self, streams: Sequence[checkpoint.Checkpoint]):
        """Fuses the streams' networks, which must share everything but their input.

        Raises:
          UserError: the streams do not fit together.
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
            if first.class_names != other.class_names:
                raise UserError("the streams' checkpoints were trained on different classes")
        self.checkpoints = [stream._replace(weights={}) for stream in streams]
        self.configs = [stream.config for stream in streams]
        self.config = first.config
        self.class_names = first.class_names
        networks = [parameters.abstract_network(stream.config) for stream in streams]
        self.weights = [stream.weights for stream in streams]
        self.mesh: Mesh | None = None
        self._channels = [stream.config.model.in_channels for stream in streams]
        inference, priors = self.config.inference, networks[0].priors

        def forward(
            weights: list[dict[str, jax.Array]], videos: list[jax.Array], num_frames: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            predictions = []
            for network, values, frames in zip(networks, weights, videos, strict=True):
                outputs = parameters.replace(network, values)(
                    normalise(frames, num_frames, PADDING["grey"])
                )
                predictions.append(outputs.predictions)
            return decode_streams(
                predictions, jnp.asarray(priors), self.config.data.clip_length, inference.fusion
            )

        self._forward = jax.jit(forward)

    def __repr__(self) -> str:
        data, names = self.config.data, self.class_names
        streams = "+".join(config.data.stream for config in self.configs)
        classes = f"{len(names)} {'class' if len(names) == 1 else 'classes'}"
        rate = f"at {data.fps:g} fps" if data.fps else "at each video's own rate"
        return (
            f"Detector({streams}, {classes}: {', '.join([*names[:3], '…'][: len(names)])}, "
            f"clips of {data.clip_length} frames {rate})"
        )

    def detect(self, video: str | os.PathLike[str], flow_method: str = "tvl1") -> list[Detection]:
        """Returns the actions in a video file, best first.

        Args:
          video: the file.
          flow_method: tvl1 or dis, of the optical flow if a network wants it.

        Raises:
          UserError: the file is missing, damaged or no video.
        """
        decoded = inputs.from_video(video, self.configs, flow_method)
        return self.detect_frames(decoded.streams, decoded.fps, decoded.duration_s)

    def detect_frames(
        self,
        streams: Sequence[np.ndarray],
        fps: float,
        duration_s: float | None = None,
        video_label: VideoLabel | None = None,
        progress: str = "",
    ) -> list[Detection]:
        """Returns the actions in a video given as frames, best first.

        Args:
          streams: for each network uint8 [N,H,W,channels], sampled at `fps`.
          fps: frames per second.
          duration_s: of the video; detections are cut there.
          video_label: class and score factor of a video-level classifier.
          progress: name to show beside a progress bar; none if empty.

        Raises:
          UserError: the frames' type or shape does not fit the networks.
        """
        data, inference = self.config.data, self.config.inference
        cropped = [
            self._crop(frames, channels)
            for frames, channels in zip(streams, self._channels, strict=True)
        ]
        num_frames = len(cropped[0])
        if any(len(frames) != num_frames for frames in cropped):
            raise UserError(
                "the streams have different numbers of frames: "
                + ", ".join(str(len(frames)) for frames in cropped)
            )
        offsets = self.window_offsets(num_frames)
        size = min(inference.batch_size, len(offsets))
        segments, scores = [], []
        starts = range(0, len(offsets), size)
        for i in tqdm(starts, desc=progress, unit="batch", leave=False, disable=not progress):
            # The last batch repeats its last window, so that the network sees one shape.
            part = offsets[i : i + size]
            filled = part + part[-1:] * (size - len(part))
            cut = [cut_windows(frames, filled, data.clip_length) for frames in cropped]
            clips, valid = [windows for windows, _ in cut], cut[0][1]
            if self.mesh and size % self.mesh.size == 0:
                clips, valid = jax.device_put((clips, valid), spread(self.mesh))
            batch_segments, batch_scores = self._forward(self.weights, clips, valid)
            segments.append(np.asarray(batch_segments)[: len(part)])
            scores.append(np.asarray(batch_scores)[: len(part)])
        decoded = np.concatenate(segments), np.concatenate(scores)
        return self.detections(*decoded, offsets, fps, duration_s, video_label)

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
        inference, fused = self.config.inference, len(self.configs) > 1
        return detections_of_video(
            segments,
            scores,
            np.array(offsets),
            fps,
            self.class_names,
            score_threshold=inference["fusion_score_threshold" if fused else "score_threshold"],
            nms_sigma=inference.nms_sigma,
            nms_threshold=inference["fusion_nms_threshold" if fused else "nms_threshold"],
            max_detections=inference.max_detections,
            duration_s=duration_s if inference.clip_to_video else None,
            video_label=video_label,
        )

    def _crop(self, frames: np.ndarray, channels: int) -> np.ndarray:
        size = self.config.data.crop_size
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != channels:
            raise UserError(
                f"frames must be uint8 [frames, height, width, {channels}], "
                f"not {frames.dtype} {list(frames.shape)}"
            )
        if min(frames.shape[1:3]) < size:
            raise UserError(
                f"frames of {frames.shape[2]}x{frames.shape[1]} pixels are smaller than the "
                f"network's {size}x{size}; resize them to {self.config.data.frame_size}"
            )
        top, left = (centre_crop(side, size) for side in frames.shape[1:3])
        return frames[:, top : top + size, left : left + size]


def load_detector(
    path: str | os.PathLike[str], flow_path: str | os.PathLike[str] | None = None
) -> Detector:
    """Loads a trained detector.

    Args:
      path: a checkpoint folder that `afsd train` (the run's folder will do) or `afsd convert`
        wrote, or an official PyTorch checkpoint file.
      flow_path: a second one of the same kind, trained on optical flow, to fuse with the first.

    Raises:
      UserError: a path is neither, or the two do not fit together.
    """
    streams = [loading.load_checkpoint(p) for p in (path, flow_path) if p is not None]
    if len(streams) > 1 and streams[1].config.data.stream != "flow":
        raise UserError(
            f"{flow_path}: is a network on {streams[1].config.data.stream}; the second checkpoint "
            "must be one on optical flow"
        )
    return Detector(streams)
