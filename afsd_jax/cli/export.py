"""The command `afsd export`: a trained network for programs without this package."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import CHECKPOINT
from afsd_jax.cli.printing import print_text
from afsd_jax.io.files import check_output_folder

SUMMARY = "Write a trained network as ONNX, OpenVINO or StableHLO, to detect without this package."
DETAILS = """The folder holds the network, from frames to scored segments; network.json with its
classes, rates, sizes and thresholds; afsd_numpy.py, which cuts videos into windows and suppresses
overlapping detections and needs only NumPy; and README.md with the lines of Python that use them.

  onnx       one file for ONNX Runtime and many other programs
  openvino   network.xml and network.bin, for OpenVINO
  stablehlo  a program and weights that JAX runs on CPUs and NVIDIA GPUs

The networks compute in float32, and each window by itself (as afsd detect --trunk-context clip)."""

FORMATS = ("onnx", "openvino", "stablehlo")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", help=CHECKPOINT)
    add("--format", required=True, choices=FORMATS, help="what to write")
    add("--output", type=Path, required=True, help="folder to write")
    add("--flow-checkpoint", type=Path, help="checkpoint of a network on optical flow, to fuse")
    add("--force", action="store_true", help="overwrite an exported network")


def run(args: Namespace) -> None:
    check_output_folder(args.output)
    from afsd_jax.export import network_folder
    from afsd_jax.runtime import devices

    network_folder.check_export(args.format, args.output, args.force)
    devices.use_cpu_only()
    from afsd_jax.weights import loading

    paths = [path for path in (args.checkpoint, args.flow_checkpoint) if path is not None]
    streams = [loading.load_checkpoint(path) for path in paths]
    network_folder.export_networks(streams, args.format, args.output)
    size = sum(path.stat().st_size for path in args.output.iterdir())
    print_text(f"{args.output}: written, {size / 1e6:.1f} MB; README.md there says how to use it")
    if any(stream.config.model.trunk_context == "video" for stream in streams):
        print(
            "note: this network was trained to see whole videos; the exported one sees each window "
            "by itself, as afsd detect --trunk-context clip does"
        )
