"""The command `afsd features`: features of a trunk as .npy files, to train other detectors on."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afsd_jax.cli.arguments import MEMORY, positive_number, whole_number
from afsd_jax.cli.printing import counted, print_failed, print_text
from afsd_jax.cli.process import set_up_process
from afsd_jax.errors import UserError, printable
from afsd_jax.io.files import check_output_folder

if TYPE_CHECKING:
    import ml_collections

    from afsd_jax.detection.video_features import FeatureTrunk

SUMMARY = "Write a trunk's features of videos as .npy files, for other detectors."
DETAILS = f"""NETWORK is a run, a checkpoint, or the word kinetics: the I3D trained on Kinetics-400.
OUTPUT receives for each video NAME.npy, float32 [T, C], in the layout of ActionFormer and OpenTAD,
and features.json with their stride, rate and size. Files that are newer than their videos are kept,
so an interrupted command can be started again.

With --annotations the folder also receives actionformer.json and opentad.json, the ground truth in
the formats of these projects, with the rate of the features.{MEMORY}"""

KINETICS_FPS, KINETICS_SIZE = 25.0, 224


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("network", metavar="NETWORK", help="run, checkpoint, or kinetics")
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, and folders of videos")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder for the files")
    endpoint = "endpoint of the trunk (default: the last that the heads read; kinetics: Mixed_5c)"
    add("--endpoint", metavar="NAME", help=endpoint)
    pooling = "mean: the mean over height and width; none: all values (default: %(default)s)"
    add("--pooling", choices=("mean", "none"), default="mean", help=pooling)
    annotations = "annotations of the videos, in any format that afsd prepare reads"
    add("--annotations", type=Path, metavar="PATH", help=annotations)
    fps = f"only with kinetics: frames per second to sample (default: {KINETICS_FPS:g})"
    add("--fps", type=positive_number, help=fps)
    size = f"only with kinetics: height and width of frames (default: {KINETICS_SIZE})"
    add("--size", type=whole_number(32), help=size)


def run(args: Namespace) -> int:
    check_output_folder(args.output)
    set_up_process()
    from afsd_jax.cli.video_files import video_files
    from afsd_jax.data.decode.media import FACTS
    from afsd_jax.detection.video_features import FeatureTrunk
    from afsd_jax.io import files
    from afsd_jax.io.video_names import file_name

    videos, failed = video_files(args.videos)
    config, weights = load_trunk(args.network, args.fps, args.size)
    endpoint = endpoint_of(args.network, config, args.endpoint)
    trunk = FeatureTrunk(config, weights, endpoint, args.pooling)
    facts = trunk.facts()
    files.make_folder(args.output)
    keep_facts(args.output / FACTS, facts)
    outputs = {name: args.output / f"{file_name(name)}.npy" for name in videos}
    todo = {name: path for name, path in videos.items() if not is_newer(outputs[name], path)}
    broken = write_features(trunk, config, todo, outputs)
    print_text(
        f"{args.output}: features of {counted(len(todo) - len(broken), 'video')} written, "
        f"{counted(len(videos) - len(todo), 'file')} kept; {facts['input_dim']} numbers for each "
        f"{facts['feat_stride']} frames, by {trunk.backend}"
    )
    if args.annotations:
        write_ground_truth(args.annotations, videos, args.output, facts["fps"])
    return print_failed([*failed, *broken])


def write_features(
    trunk: "FeatureTrunk",
    config: "ml_collections.ConfigDict",
    videos: Mapping[str, Path],
    outputs: Mapping[str, Path],
) -> list[str]:
    """Writes the features of videos, each file completely or not at all.

    Args:
      trunk: the trunk.
      config: configuration of its network.
      videos: the video files by name.
      outputs: the files to write.

    Returns:
      Why videos could not be read; they do not stop the others.
    """
    import numpy as np

    from afsd_jax.data.decode.video_reader import stated_duration
    from afsd_jax.inputs.video import open_file
    from afsd_jax.io.files import atomic_write
    from afsd_jax.runtime.progress_bar import SecondsBar

    failed = []
    stated = {name: stated_duration(path) for name, path in videos.items()}
    with SecondsBar(sum(stated.values())) as bar:
        for name, path in videos.items():
            bar.set_description_str(printable(name), refresh=False)
            try:
                video = open_file(path, [config], name=name)
                bar.correct(video.duration_s - stated[name])
                features = trunk.features(bar.counted(video.frames, video.fps))
            except UserError as error:
                failed.append(str(error))
                continue
            with atomic_write(outputs[name]) as temporary, open(temporary, "wb") as file:
                np.save(file, features)
    return failed


def load_trunk(
    network: str, fps: float | None, size: int | None
) -> tuple["ml_collections.ConfigDict", Mapping[str, Any]]:
    """Returns the configuration and the weights of a network with this trunk.

    Raises:
      UserError: the network cannot be read, or has its own rate or size and one is given.
    """
    from afsd_jax.configs import thumos14
    from afsd_jax.weights import kinetics
    from afsd_jax.weights.loading import load_checkpoint

    if network != kinetics.KINETICS:
        for flag, value in (("--fps", fps), ("--size", size)):
            if value is not None:
                raise UserError(f"{flag}: {network} has its own; give it only with kinetics")
        checkpoint = load_checkpoint(network)
        return checkpoint.config, checkpoint.weights
    config = thumos14.get_config()
    config.data.fps = fps or KINETICS_FPS
    config.data.frame_size = config.data.crop_size = size or KINETICS_SIZE
    loaded = kinetics.load(config)
    return loaded.config, loaded.parameters


def endpoint_of(network: str, config: "ml_collections.ConfigDict", endpoint: str | None) -> str:
    """Returns the endpoint, by default the last one that the network's heads read.

    Raises:
      UserError: the network's trunk has no such endpoint.
    """
    from afsd_jax.models import i3d

    last: str = config.model.pyramid_inputs[-1]
    there = [name for name in i3d.endpoints_until(last) if name in i3d.MIXED]
    if endpoint and endpoint not in there:
        raise UserError(f"--endpoint {endpoint}: the trunk of {network} has {', '.join(there)}")
    return endpoint or last


def keep_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Writes what the features of a folder are, or checks that they are the same.

    Raises:
      UserError: the folder has other features.
    """
    from afsd_jax.io import files

    if not path.exists():
        files.write_json(path, facts)
        return
    found = files.read_json(path)
    known = found if isinstance(found, dict) else {}
    differing = [name for name in facts if known.get(name) != facts[name]]
    if differing:
        raise UserError(
            f"{path}: the folder has features with another {differing[0]}; give another --output"
        )


def is_newer(path: Path, other: Path) -> bool:
    """Returns whether a file is there and was written after another one."""
    return path.is_file() and path.stat().st_mtime >= other.stat().st_mtime


def write_ground_truth(
    annotations: Path, videos: Mapping[str, Path], folder: Path, fps: float | None
) -> None:
    """Writes the annotations of the videos in the formats of ActionFormer and OpenTAD.

    Args:
      annotations: annotations in any format that is read.
      videos: the video files by name.
      folder: folder of the features.
      fps: rate of the features' frames; None: that of each file.

    Raises:
      UserError: the annotations cannot be read, or one of their videos is not among these.
    """
    from afsd_jax.cli.marked_inputs import read_marked, with_files
    from afsd_jax.data.annotations import write_annotations
    from afsd_jax.io.video_names import file_name
    from afsd_jax.results.writers import Selection

    marked = with_files(read_marked(annotations, Selection()).videos, list(videos.values()))
    named = [v._replace(name=file_name(v.name), fps=fps or v.fps) for v in marked]
    for name in ("actionformer", "opentad"):
        (path,) = write_annotations(name, named, folder / f"{name}.json")
        print_text(f"{path}: ground truth of {counted(len(named), 'video')}")
