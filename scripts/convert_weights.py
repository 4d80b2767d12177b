"""PyTorch weights to a checkpoint folder, and back.

    python scripts/convert_weights.py --input rgb_imagenet.pt --output i3d_rgb
    python scripts/convert_weights.py --input thumos14-rgb.ckpt --output afsd_rgb
    python scripts/convert_weights.py --input afsd_rgb --output afsd_rgb.pt --to-pytorch

The file is an I3D trunk or a complete AFSD network, for THUMOS14 or ActivityNet, RGB or flow: its
names and shapes tell. A network of another shape, such as one with your own classes, needs
`--config configs/thumos14.py:rgb --config.model.num_classes=6`.
"""

from absl import flags, logging

from afsd_jax import command_line
from afsd_jax.errors import UserError
from afsd_jax.weights import conversion
from afsd_jax.weights.pytorch import Weights

SHOWN = 3  # ignored tensors per reason

_INPUT = flags.DEFINE_string("input", None, "PyTorch file; with --to-pytorch a checkpoint folder.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write; with --to-pytorch a file.")
_FORCE = flags.DEFINE_bool("force", False, "Overwrite what an earlier conversion wrote.")
_TO_PYTORCH = flags.DEFINE_bool("to-pytorch", False, "Write an official AFSD state dict.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise UserError(f"unknown arguments: {' '.join(argv[1:])}; see --help")
    if _INPUT.value is None or _OUTPUT.value is None:
        raise UserError("both --input and --output are needed; see --help")
    logging.set_verbosity(logging.WARNING)  # Orbax tells its every step
    if _TO_PYTORCH.value:
        count = conversion.to_pytorch_file(_INPUT.value, _OUTPUT.value, _FORCE.value)
        print(f"{_OUTPUT.value}: wrote {count} tensors")
        return
    config = command_line.CONFIG.value
    weights = conversion.from_pytorch_file(_INPUT.value, _OUTPUT.value, config, _FORCE.value)
    print("\n".join(summary(weights)))
    print(f"{_OUTPUT.value}: written")


def summary(weights: Weights) -> list[str]:
    """Returns lines that say what was found, used and ignored."""
    data = weights.config.data
    found = {
        "detector": f"a complete AFSD network for {data.dataset}, {data.stream}",
        "trunk": f"an I3D trunk alone, {data.stream}",
    }[weights.kind]
    values = sum(array.size for array in weights.parameters.values())
    lines = [f"found {found}", f"used {weights.used} tensors, {values / 1e6:.1f} M values"]
    for reason in sorted(set(weights.ignored.values())):
        names = [name for name, why in weights.ignored.items() if why == reason]
        more = f" and {len(names) - SHOWN} like these" if len(names) > SHOWN else ""
        lines.append(f"ignored {', '.join(names[:SHOWN])}{more}: {reason}")
    return lines


if __name__ == "__main__":
    command_line.run(main)
