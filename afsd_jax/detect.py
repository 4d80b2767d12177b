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
from absl import logging
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
    result.add_argument("--flow-checkpoint", type=Path, help="network on optical flow to fuse with")
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


def thumbnails(item: Input, count: int = 8) -> tuple[np.ndarray, list[float]]:
    """Returns `count` RGB frames spread over the video, and their times in seconds."""
    frames = item.streams[0]
    index = np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)
    return np.asarray(frames[index]), [float(i) / item.fps for i in index]


def check_videos(paths: Sequence[Path]) -> None:
    """Raises UserError before anything is computed, if a video is missing or named twice."""
    names: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        if path.stem in names:
            raise UserError(
                f"{names[path.stem]} and {path} have the same name; detections are kept by name, "
                "so detect them one after the other into two files"
            )
        names[path.stem] = path
        if path.suffix != ".npy":
            from afsd_jax.data.video import VideoReader

            VideoReader(path)


def detections(
    detector: Detector, args: argparse.Namespace
) -> Iterator[tuple[Path, Input, list[Detection]]]:
    """Yields each video's path, input and detections, with progress."""
    scores = None
    if args.video_scores:
        from afsd_jax.video_scores import read_video_scores

        scores = read_video_scores(args.video_scores)
    elif detector.config.inference.video_labels:
        raise UserError("this checkpoint finds actions of unknown class; give --video-scores")
    for path in tqdm(args.videos, desc="detecting", unit="video"):
        label = None
        if scores is not None:
            from afsd_jax.video_scores import label_of

            label = label_of(path.stem, scores)
        item = read_input(path, detector, args)
        found = detector.detect_frames(
            item.streams, item.fps, item.duration_s, label, progress=path.name
        )
        yield path, item, found


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    args = parser().parse_args(arguments)
    logging.set_verbosity(logging.ERROR)  # libraries' notes would bury the progress bar
    if bool(args.flow_checkpoint) != bool(args.flow_dir):
        raise UserError("--flow-checkpoint and --flow-dir go together; give both or neither")
    check_videos(args.videos)
    detector = load_detector(args.checkpoint, args.flow_checkpoint)
    results: dict[str, list[Detection]] = {}
    pages = []
    for path, item, found in detections(detector, args):
        results[path.stem] = found
        if args.report:
            from afsd_jax.report.page import VideoReport
            from afsd_jax.report.tracks import Track

            track = Track(path.stem, item.duration_s, found)
            pages.append(VideoReport(track, *thumbnails(item)))
    write_predictions(args.output, results)
    if args.report:
        from afsd_jax.report.page import write_page

        write_page(args.report, pages)
    if args.subtitles:
        from afsd_jax.report.subtitles import write_subtitles

        for name, found in results.items():
            write_subtitles(args.subtitles / f"{name}.srt", found)
    count = sum(map(len, results.values()))
    print(f"{args.output}: {count} detections in {len(results)} videos")


if __name__ == "__main__":
    sys.exit(errors.run(main))
