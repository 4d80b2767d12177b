"""The work of `afsd detect`: open the networks and videos, detect, and write the results."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from afsd_jax.cli.detect.options import (
    PIPE_NAME,
    DetectOptions,
    check_labels,
    check_outputs,
    results_folder,
)
from afsd_jax.cli.detect.progress import Progress
from afsd_jax.cli.detect.results_folder import ResultsFolder
from afsd_jax.cli.detect.video_list import (
    PipedVideo,
    PreparedVideos,
    VideoFiles,
    VideoList,
    every_nth,
)
from afsd_jax.cli.printing import counted, print_damaged, print_failed, print_text
from afsd_jax.data.annotations.annotation_formats import FORMATS as ANNOTATION_FORMATS
from afsd_jax.data.decode.recordings import ByteSource
from afsd_jax.detection.detector import Detector, load_detector
from afsd_jax.detection.pipeline import VideoResult
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.inputs.video import VideoSource
from afsd_jax.io import fingerprint
from afsd_jax.io.video_scores import find_label, read_video_scores
from afsd_jax.report.page import VideoReport
from afsd_jax.results.writers import Selection
from afsd_jax.types import VideoLabel
from afsd_jax.version import VERSION


@dataclasses.dataclass
class Job:
    """Networks, videos, and how their results are written.

    Attributes:
      detector: the networks.
      find: detects in opened videos.
      scores: classes of a video-level classifier, by video; None: there is none.
      videos: all videos that the command line names.
      names: names of the videos to detect in.
      selection: which detections people are shown.
      folder: folder for the files of each video; None: one file for all is written.
      with_thumbnails: whether frames of the videos are shown.
      failed: why videos failed.
      quiet: whether the progress bar is hidden.
    """

    detector: Detector
    find: Callable[[Iterable[VideoSource]], Iterator[VideoResult]]
    scores: Mapping[str, VideoLabel] | None
    videos: VideoList
    names: Sequence[str]
    selection: Selection
    folder: ResultsFolder | None
    with_thumbnails: bool
    failed: list[str] = dataclasses.field(default_factory=list)
    quiet: bool = False

    def reports(self, names: Sequence[str]) -> Iterator[VideoReport]:
        """Yields the detections in each of these videos, as soon as it is done."""
        if not names:
            return
        thumbnails = self.with_thumbnails
        with Progress(self.videos, names, self.scores, thumbnails, self.quiet) as progress:
            for found in self.find(progress.sources()):
                if found.error or found.video is None:  # one video must not cost the others
                    self.failed.append(str(found.error))
                else:
                    yield progress.report(found.video, found.detections)


def open_job(options: DetectOptions, pipe: ByteSource | None = None) -> Job:
    """Loads the networks and finds the videos.

    Args:
      options: the options.
      pipe: bytes of the video, if it comes on standard input.

    Raises:
      UserError: options, networks and videos do not go together.
    """
    if not options.data_dir:
        check_outputs(options, [PIPE_NAME] if options.piped else list(options.videos))
    detector = open_detector(options)
    scores = read_video_scores(options.video_scores) if options.video_scores else None
    if scores is None and detector.config.inference.video_labels:
        raise UserError(
            "this checkpoint finds actions without naming their classes; give --video-scores"
        )
    classes = detector.class_names
    if scores:
        classes = sorted({label.label for label in scores.values()})
    check_labels(options.selection.labels, sorted(classes))
    selection = options.selection._replace(classes=classes)
    measured = detector.checkpoints[0].calibration is not None
    if options.own_thresholds or (options.own_thresholds is None and measured):
        selection = with_own_thresholds(selection, detector)

    videos: VideoList
    if pipe is not None:
        videos = PipedVideo(pipe, detector.configs, options.flow_method)
    else:
        videos = (PreparedVideos if options.data_dir else VideoFiles)(options, detector.configs)
    names = every_nth(videos.names, options.shard) if options.shard else videos.names
    if options.data_dir:
        check_outputs(options, names)
    folder = results_folder(options, selection)
    if folder:
        check_tools(folder.tools, videos, names)
    with_thumbnails = folder.shows_frames if folder else options.outputs.show_frames
    find = detector.detect_sources
    failed = list(options.unreadable)
    return Job(detector, find, scores, videos, names, selection, folder, with_thumbnails, failed)


def check_tools(tools: Sequence[str], videos: VideoList, names: Sequence[str]) -> None:
    """Raises UserError if a tool needs the frame rates of video files, and a video has no file."""
    needing = next((tool for tool in tools if ANNOTATION_FORMATS[tool].needs_file), None)
    without = next((name for name in names if videos.path(name) is None), None)
    if needing and without is not None:
        raise UserError(
            f"--format {needing}: needs video files, whose frame rates it stores; {without} is none"
        )


def with_own_thresholds(selection: Selection, detector: Detector) -> Selection:
    """Returns the selection with the minimum scores that are kept with the checkpoint.

    Raises:
      UserError: the checkpoint keeps none.
    """
    calibration = detector.checkpoints[0].calibration
    if calibration is None:
        raise UserError(
            "--min-score auto: this checkpoint has no thresholds; measure them with: "
            "afsd evaluate --checkpoint CHECKPOINT --data-dir DATA --split SPLIT --calibrate"
        )
    return selection._replace(min_score=calibration.threshold, thresholds=calibration.thresholds)


def open_detector(options: DetectOptions) -> Detector:
    """Loads the networks, and sets how overlapping detections are suppressed."""
    checkpoints = options.checkpoint, options.flow_checkpoint
    context, crop = options.trunk_context, options.crops.every
    detector = load_detector(*checkpoints, options.backend, context, crop)
    chosen = {name: getattr(options, name) for name in ("nms", "nms_tiou", "voting_tiou")}
    with detector.config.unlocked():
        detector.config.inference.update({k: v for k, v in chosen.items() if v is not None})
    return detector


def print_checkpoints(detector: Detector, options: DetectOptions) -> None:
    """Prints the step of each network that is used, and how well it did in validation."""
    paths = options.checkpoint, options.flow_checkpoint
    for path, checkpoint in zip(paths, detector.checkpoints, strict=False):
        said = f"{path}: step {checkpoint.step}" if checkpoint.step else str(path)
        if checkpoint.metrics and SCORE in checkpoint.metrics:
            score = 100 * checkpoint.metrics[SCORE]
            print_text(f"{said}, average mAP {score:.2f} % on the validation split")
        else:
            print_text(f"{said}, without validation")


def write_detections(job: Job, options: DetectOptions) -> int:
    """Detects in the videos and writes the results.

    Returns:
      The exit code: 1 if some videos failed, which are listed, else 0.

    Raises:
      UserError: all videos failed, a file cannot be written, or another process writes into the
        folder.
    """
    if job.folder:
        with job.folder.locked():
            return write_folder(job.folder, job, options)
    reports = list(job.reports(job.names))
    if not reports:
        raise UserError(job.failed[0])
    if options.piped and not any(options.outputs):  # the detections were printed
        print_damaged({report.track.name: report.damaged for report in reports if report.damaged})
        return 0
    return options.outputs.write(reports, job.selection, job.failed)


def write_folder(folder: ResultsFolder, job: Job, options: DetectOptions) -> int:
    """Detects in the videos that a folder has no results of, and writes each as it is done.

    Args:
      folder: the folder of the job.
      job: the networks, videos and options.
      options: the options; with `beam_options` Beam's workers do it.

    Returns:
      The exit code: 1 if some videos failed, which are listed, else 0.

    Raises:
      UserError: all videos failed, or a file cannot be written.
    """
    digests = input_digests(job)
    videos, names = job.videos, job.names
    done = {name for name in names if folder.complete(name, digests[name], videos.actions(name))}
    if done:
        print(
            f"{folder.folder}: holds {len(done)} of {len(names)} videos for this checkpoint, these "
            "options and unchanged files; they are not computed again"
        )
    damaged = {}
    missing = [name for name in names if name not in done]
    if options.beam_options is None:
        written = write_videos(folder, job, missing, digests)
    else:
        from afsd_jax.cli.detect import beam

        written = beam.write_videos(folder.folder, options, missing, digests, job.failed)
    for name, damaged_packets in written:
        if damaged_packets:
            damaged[name] = damaged_packets
        done.add(name)
    if not done:
        raise UserError(job.failed[0])
    count = folder.finish([name for name in names if name in done])
    print_text(f"{folder.combined}: {counted(count, 'detection')} in {counted(len(done), 'video')}")
    if folder.index:
        print_text(f"{folder.index}: a list of the videos' pages; open it in a browser")
    for tool, files in folder.write_for_tools(sorted(done, key=names.index), videos.path).items():
        more = "" if len(files) == 1 else f" and {len(files) - 1} more"
        print_text(f"{files[0]}{more}: for {tool}, see docs/annotations.md")
    print_damaged(damaged)
    return print_failed(job.failed)


def write_videos(
    folder: ResultsFolder, job: Job, names: Sequence[str], digests: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Detects in videos and writes the files of each.

    Yields:
      The name of a video that is done, and its number of damaged packets and frames.
    """
    for video in job.reports(names):
        folder.write(video, digests[video.track.name])
        yield video.track.name, video.damaged


def input_digests(job: Job) -> dict[str, str]:
    """Returns for each video a digest of all that its detections depend on."""
    networks = job.detector.fingerprint()
    digests = {}
    for name in job.names:
        label = job.scores and find_label(name, job.scores)
        state = job.videos.state(name)
        digests[name] = fingerprint.of_values(VERSION, networks, state, label)
    return digests
