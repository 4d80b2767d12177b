r"""Finds the actions in videos.

    python -m afsd_jax.detect --checkpoint DIR VIDEO… --output detections.json

Besides video files it takes frames prepared as arrays (.npy, uint8 [frames, height, width,
channels], with --fps), and fuses an RGB with an optical-flow network (--flow-checkpoint, with the
flow arrays in --flow-dir under the videos' names).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from afsd_jax import errors, files
from afsd_jax.activitynet_json import Detection, write_predictions
from afsd_jax.detector import Detector, load_detector
from afsd_jax.errors import UserError


class Input(NamedTuple):
    """One video ready for the network: frames uint8 [N,H,W,channels] per stream."""

    streams: list[np.ndarray]
    fps: float
    duration_s: float


def parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    result = argparse.ArgumentParser(
        prog="python -m afsd_jax.detect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="video or .npy files")
    result.add_argument(
        "--checkpoint", required=True, type=Path, help="checkpoint folder, or PyTorch file"
    )
    result.add_argument(
        "--output", required=True, type=Path, help="JSON file of detections to write"
    )
    result.add_argument(
        "--flow-checkpoint", type=Path, help="network on optical flow to fuse with"
    )
    result.add_argument("--flow-dir", type=Path, help="folder of the flow arrays")
    result.add_argument("--fps", type=float, help="frame rate of .npy files")
    result.add_argument(
        "--durations", type=Path, help="JSON file: video name → seconds, for .npy files"
    )
    result.add_argument(
        "--video-scores", type=Path, help="JSON file of a video-level classifier's classes"
    )
    result.add_argument("--report", type=Path, help="HTML page of the detections to write")
    result.add_argument("--subtitles", type=Path, help="folder to write one .srt per video to")
    return result


def read_input(path: Path, detector: Detector, args: argparse.Namespace) -> Input:
    """Reads a video's frames for every stream.

    Raises:
      UserError: a file is missing or unreadable, or something that goes with it is not given.
    """
    data = detector.config.data
    if path.suffix != ".npy":
        if args.flow_checkpoint:
            raise UserError(f"{path}: fusing with flow needs prepared .npy frames and --flow-dir")
        from afsd_jax.data.video import read_video

        video = read_video(path, data.fps, (data.frame_size, data.frame_size), data.max_frames)
        return Input([video.frames], video.fps, video.duration_s)
    frames = [read_array(path)]
    if args.flow_checkpoint:
        frames.append(read_array(args.flow_dir / path.name))
    durations = files.read_json(args.durations) if args.durations else {}
    duration_s = durations.get(path.stem)
    fps = args.fps or (duration_s and len(frames[0]) / duration_s)
    if not fps:
        raise UserError(f"{path}: an array has no frame rate; give --fps or --durations")
    return Input(frames, fps, duration_s or len(frames[0]) / fps)


def read_array(path: Path) -> np.ndarray:
    """Opens frames prepared as an array; they are read as they are used.

    Raises:
      UserError: the file is missing or no array.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a NumPy array ({error})") from error
