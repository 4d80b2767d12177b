"""The command `afsd look`: recognises actions in videos without training, as a baseline."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afsd_jax.cli.arguments import CROP, MEMORY, number, positive_number, whole_number
from afsd_jax.cli.process import set_up_process
from afsd_jax.errors import UserError, printable
from afsd_jax.io.files import check_output_file, check_output_folder

if TYPE_CHECKING:
    from afsd_jax.detection.recognizer import Recognizer
    from afsd_jax.report.page import VideoReport
    from afsd_jax.runtime.progress_bar import SecondsBar

SUMMARY = "Recognise Kinetics' actions in videos without training: a baseline."
DETAILS = f"""This is recognition by sliding window, a baseline, not AFSD: it has not learnt
where actions begin and end. An I3D trained on the 400 classes of Kinetics (pip
install "afsd-jax[kinetics]") classifies each third of a second. Consecutive thirds in which the
same class is likely become a segment.

Only the centre square of a wide picture, or of --crop, is used. A smaller --size or --fps is
faster and less accurate. Exit codes are those of `afsd detect`.{MEMORY}"""

TITLE = "Actions recognised without training"
NOTE = (
    "Each part of a video gets the most similar of 400 everyday actions (Kinetics-400), right or "
    "wrong. Where an action begins and ends is a guess. To find your own actions, train a detector."
)


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, and folders of videos")
    output = "file of detections to write: .json, .html, or for one video .csv, .srt, .vtt, .png; "
    output += "without any file a table is printed"
    add("--output", type=Path, help=output)
    add("--report", type=Path, help="HTML page to write")
    add("--subtitles", type=Path, help="folder in which to write one .srt per video")
    scores = "JSON file to write with each video's class scores, for afsd detect --video-scores"
    add("--write-video-scores", type=Path, metavar="FILE", help=scores)
    fps = "frames per second to sample (default: %(default)g)"
    add("--fps", type=positive_number, default=25.0, help=fps)
    size = "height and width of frames (default: %(default)s)"
    add("--size", type=whole_number(32), default=224, help=size)
    add("--crop", metavar="CROP", help=f"{CROP}; the centre square of it is recognised")
    threshold = "least probability of a class, and least score (default: %(default)s)"
    add("--threshold", type=_threshold, default=0.2, help=threshold)


def _threshold(text: str) -> float:
    value = number(text)
    if not 0 < value < 1:
        raise ArgumentTypeError(f"must lie between 0 and 1, both excluded, not {text}")
    return value


def run(args: Namespace) -> int:
    check_output_file(args.output)
    check_output_file(args.report)
    check_output_file(args.write_video_scores)
    check_output_folder(args.subtitles)
    set_up_process()
    from afsd_jax.cli.video_files import video_files
    from afsd_jax.cli.video_outputs import VideoOutputs
    from afsd_jax.data.decode.crops import read_crops
    from afsd_jax.data.decode.video_reader import stated_duration
    from afsd_jax.detection.recognizer import Recognizer
    from afsd_jax.io.video_scores import write_video_scores
    from afsd_jax.results.writers import Selection
    from afsd_jax.runtime.progress_bar import SecondsBar

    crops = read_crops(args.crop)
    videos, failed = video_files(args.videos)
    crops.check_any(videos)
    outputs = VideoOutputs(args.output, args.report, args.subtitles)
    outputs.check_format(len(videos), "give a name that ends in .json or .html")
    if args.write_video_scores:
        check_names(videos)
    recognizer = Recognizer(args.size)
    print(f"{TITLE}. {NOTE}")
    reports: list[VideoReport] = []
    scores: dict[str, Any] = {}
    stated = {name: stated_duration(path) for name, path in videos.items()}
    with SecondsBar(sum(stated.values())) as bar:
        for name, path in videos.items():
            bar.set_description_str(printable(name), refresh=False)
            sampling = name, path, stated[name], args.fps, args.size, crops.of(name) or ""
            shown = outputs.show_frames, args.threshold
            try:
                report, scores[name] = recognize(recognizer, *sampling, *shown, bar)
            except UserError as error:  # one video must not cost the others
                failed.append(str(error))
            else:
                reports.append(report)
    if not reports:
        raise UserError(failed[0])
    if args.write_video_scores:
        write_video_scores(args.write_video_scores, recognizer.class_names, scores)
    selection = Selection(args.threshold, classes=recognizer.class_names)
    code = outputs.write(reports, selection, failed, TITLE, NOTE)
    print("next, a detector of your own actions: docs/own_videos.md")
    return code


def check_names(videos: Iterable[str]) -> None:
    """Raises UserError if two videos have the same name in a file of video scores."""
    names = [name.removeprefix("v_") for name in videos]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(
            f"{min(twice)} and v_{min(twice)} are one video in a file of scores; rename one of them"
        )


def recognize(
    recognizer: "Recognizer",
    name: str,
    path: Path,
    stated_s: float,
    fps: float,
    size: int,
    crop: str,
    with_thumbnails: bool,
    threshold: float,
    bar: "SecondsBar",
) -> tuple["VideoReport", Any]:
    """Recognises actions in one video.

    Args:
      recognizer: the network.
      name: name of the video.
      path: its file.
      stated_s: duration that the bar counts for the video, seconds.
      fps: frames per second to sample.
      size: height and width of frames.
      crop: the part of the pictures whose centre square is used, as of `FrameGeometry`.
      with_thumbnails: whether to keep some frames for a page.
      threshold: least probability of a class, and least score.
      bar: progress bar.

    Returns:
      The detections with the video's frames, and float [400], the scores of the classes in all of
      the video.

    Raises:
      UserError: the video cannot be read.
    """
    from afsd_jax.data.decode.frame_geometry import FrameGeometry
    from afsd_jax.data.decode.video_reader import VideoReader
    from afsd_jax.detection.recognizer import STEP, probabilities, segments, video_scores
    from afsd_jax.report.page import VideoReport
    from afsd_jax.report.thumbnails import Thumbnails
    from afsd_jax.report.tracks import Track
    from afsd_jax.types import CENTER

    reader = VideoReader(path, fps, (size, size), geometry=FrameGeometry(crop, CENTER))
    bar.correct(reader.duration_s - stated_s)
    thumbnails = Thumbnails(reader.num_frames if with_thumbnails else 0)

    def frames() -> Iterator[Any]:
        for position, frame in enumerate(bar.counted(reader, reader.fps)):
            thumbnails.add(position, frame)
            yield frame

    step_s = STEP / reader.fps
    likely = probabilities(recognizer.logits(frames(), reader.num_frames), step_s)
    detections = segments(likely, recognizer.class_names, step_s, reader.duration_s, threshold)
    track = Track(name, reader.duration_s, detections)
    report = VideoReport(track, *thumbnails.shown(reader.fps, reader.aspect), path)
    return report, video_scores(likely)
