"""Converts weights of PyTorch: I3D trunks and the official AFSD checkpoints.

The network has two sets of names and layouts. Ours is the flattened state of
`afsd_jax.models.Network`, channels last: `trunk.Mixed_3b.b0.conv.kernel` [t,h,w,in,out]. The
official one is the reference implementation's state dict, channels first:
`backbone._model.Mixed_3b.b0.conv3d.weight` [out,in,t,h,w].
"""

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import ml_collections
import numpy as np

from afsd_jax.config import STREAM_CHANNELS, check, resolve
from afsd_jax.configs import anet, thumos14
from afsd_jax.errors import UserError
from afsd_jax.io.names import first_names
from afsd_jax.models import i3d
from afsd_jax.models.parameters import shapes as network_shapes
from afsd_jax.types import ANY_ACTION
from afsd_jax.weights import torch_files

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]

TRUNK, HEADS = "backbone._model.", "coarse_pyramid_detection."
STEM = TRUNK + "Conv3d_1a_7x7.conv3d.weight"
COUNTER = ".num_batches_tracked"
UNNEEDED = (
    (re.compile(rf"{re.escape(TRUNK)}logits\..*"), "Kinetics' classifier is not part of AFSD"),
    (re.compile(rf".*{re.escape(COUNTER)}"), "counts BatchNorm's training steps"),
)
MAX_LISTED = 20

# Our unit of convolution, GroupNorm and ReLU → the official Sequential.
_UNITS = (
    (r"pyramid\.levels\.(\d+)", r"pyramids.\1"),
    (r"(loc|conf)_tower\.(\d+)", r"\1_tower.\2"),
    (r"(loc|conf)_branch\.cur", r"\1_proposal_branch.cur_point_conv"),
    (r"(loc|conf)_branch\.lr", r"\1_proposal_branch.lr_conv"),
    (r"(loc|conf)_branch\.frame", r"\1_proposal_branch.roi_conv"),
    (r"(loc|conf)_branch\.fuse", r"\1_proposal_branch.proposal_conv"),
)
_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


@dataclasses.dataclass(frozen=True)
class LoadedWeights:
    """The content of a file of weights.

    Attributes:
      kind: a complete detector, or only its I3D trunk.
      config: configuration of the network with these weights.
      parameters: our name → float32 array in our layout.
      used: number of tensors used for `parameters`.
      ignored: official name of every other tensor → why it is not needed.
    """

    kind: Literal["detector", "trunk"]
    config: ml_collections.ConfigDict
    parameters: dict[str, np.ndarray]
    used: int
    ignored: dict[str, str]


def load(
    path: str | os.PathLike[str], config: ml_collections.ConfigDict | None = None
) -> LoadedWeights:
    """Reads an I3D trunk or an official AFSD checkpoint (THUMOS14 or ActivityNet, RGB or flow).

    Names may have DataParallel's prefix `module.`; a trunk's names may lack `backbone._model.`.

    Args:
      path: a PyTorch file (zip format or older than 1.6) or a `.safetensors` file.
      config: configuration of the network; by default the one that names and shapes imply. If its
        number of classes is 0, the file's is used.

    Raises:
      UserError: the configuration is impossible, the file cannot be read, or its tensors do not fit
        the network. Tensors that are missing, unexpected, of a wrong shape or type, NaN or infinite
        are listed by name.
    """
    if config is not None:
        check(config)
    state = _official(torch_files.read(path), path)
    kind: Literal["detector", "trunk"] = (
        "detector" if any(name.startswith(HEADS) for name in state) else "trunk"
    )
    shapes = {name: tuple(x.shape) for name, x in state.items()}
    config = recognise(shapes) if config is None else resolve_for(shapes, config)
    unneeded = (*UNNEEDED, (_after(config.model.pyramid_inputs), "no pyramid level reads it"))
    ignored = {
        name: reason for name in state for pattern, reason in unneeded if pattern.fullmatch(name)
    }
    state = {name: tensor for name, tensor in state.items() if name not in ignored}
    wanted = {
        name: shape
        for name, shape in parameter_shapes(config).items()
        if kind == "detector" or name.startswith("trunk.")
    }
    _check_shapes(state, official_shapes(wanted, config), path)
    arrays = _arrays(state, path)
    parameters = from_pytorch(arrays, wanted, config)
    return LoadedWeights(kind, config, parameters, len(state), ignored)


def _after(endpoints: Sequence[str]) -> re.Pattern[str]:
    """Returns the pattern of the names of a trunk's units after the last of these endpoints."""
    units = i3d.ENDPOINTS[len(i3d.endpoints_until(*endpoints)) :]
    return re.compile(rf"{re.escape(TRUNK)}({'|'.join(units)})\..*")


def recognise(shapes: Mapping[str, Shape]) -> ml_collections.ConfigDict:
    """Returns the published configuration that fits a state dict's official names and shapes."""
    channels = shapes.get(STEM, (0, 0))[1:2]
    stream = next((s for s, c in STREAM_CHANNELS.items() if channels == (c,)), "rgb")
    is_anet = HEADS + "pyramids.1.0.conv1d.weight" in shapes
    return resolve_for(shapes, (anet if is_anet else thumos14).get_config(stream))


def resolve_for(
    shapes: Mapping[str, Shape], config: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
    """Returns the configuration with unset fields filled in, the number of classes from the head.

    A trunk has no head, and gets the number of THUMOS14's classes.
    """
    head = shapes.get(f"{HEADS}conf_head.conv1d.bias", (len(thumos14.CLASSES) + 1,))
    return resolve(config, (config.model.num_classes or max((2, *head[:1]))) - 1)


def class_names(config: ml_collections.ConfigDict) -> list[str]:
    """Returns the class names of an official checkpoint, whose file does not contain them."""
    count = config.model.num_classes - 1
    names = {"thumos14": thumos14.CLASSES, "activitynet": (ANY_ACTION,)}.get(
        config.data.dataset, ()
    )
    return list(names) if len(names) == count else [f"class_{i + 1}" for i in range(count)]


def parameter_shapes(config: ml_collections.ConfigDict) -> dict[str, Shape]:
    """Returns our name and the shape of every weight and statistic of the configured network."""
    return dict(_parameter_shapes(ml_collections.FrozenConfigDict(config)))


@functools.lru_cache(maxsize=8)  # tracing the network takes half a second
def _parameter_shapes(config: ml_collections.FrozenConfigDict) -> dict[str, Shape]:
    return {name: x.shape for name, x in network_shapes(config).items()}


def official_names(name: str, config: ml_collections.ConfigDict) -> list[str]:
    """Returns the official names of the tensors that make up our parameter `name`."""
    if name == "loc_scale":
        return [f"{HEADS}loc_heads.{level}.scale" for level in range(config.model.levels)]
    *modules, leaf = name.split(".")
    leaf = _LEAVES.get(leaf, leaf)
    if modules[0] == "trunk":
        part = {"conv": "conv3d", "norm": "bn"}[modules[-1]]
        return [f"{TRUNK}{'.'.join(modules[1:-1])}.{part}.{leaf}"]
    if len(modules) == 1:  # a head
        return [f"{HEADS}{modules[0]}.conv1d.{leaf}"]
    *unit, part = modules
    if unit[0] == "frame_level":  # convolutions, norms and ReLUs in one Sequential
        first = 3 * int(unit[-1])
        conv, norm = f"deconv.{first}.conv1d", f"deconv.{first + 1}"
    else:
        prefix = ".".join(unit)
        for pattern, replacement in _UNITS:
            prefix = re.sub(f"^{pattern}$", replacement, prefix)
        spatial = unit[0] == "pyramid" and int(unit[-1]) < len(config.model.pyramid_inputs)
        conv, norm = f"{prefix}.0.conv{3 if spatial else 1}d", f"{prefix}.1"
    return [f"{HEADS}{conv if part == 'conv' else norm}.{leaf}"]


def official_shapes(
    shapes: Mapping[str, Shape], config: ml_collections.ConfigDict
) -> dict[str, Shape]:
    """Returns official names and shapes from our names and shapes."""
    official = {}
    for name, shape in shapes.items():
        names = official_names(name, config)
        first = shape if len(shape) == 1 else (shape[-1], shape[-2], *shape[:-2])
        for part in names:
            official[part] = (first[0] // len(names), *first[1:])
    return official


def from_pytorch(
    state: Mapping[str, np.ndarray], names: Iterable[str], config: ml_collections.ConfigDict
) -> dict[str, np.ndarray]:
    """Returns our parameters `names`, as new arrays, from a state dict with official names."""
    return {
        name: np.concatenate([_channels_last(state[part]) for part in official_names(name, config)])
        for name in names
    }


def to_pytorch(
    parameters: Mapping[str, np.ndarray], config: ml_collections.ConfigDict
) -> dict[str, np.ndarray]:
    """Returns the official state dict of our parameters; the inverse of `from_pytorch`.

    Kernels are views of the parameters. BatchNorm's step counters, which our network lacks, are 0.
    """
    state = {}
    for name, array in parameters.items():
        names = official_names(name, config)
        for part, piece in zip(names, np.split(_channels_first(array), len(names)), strict=True):
            state[part] = piece
            if part.endswith(".running_var"):
                state[part.removesuffix(".running_var") + COUNTER] = np.zeros((), np.int64)
    return state


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 1 else x.transpose(*range(2, x.ndim), 1, 0)


def _channels_first(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 1 else x.transpose(-1, -2, *range(x.ndim - 2))


def _official(
    state: "Mapping[str, torch.Tensor]", path: str | os.PathLike[str]
) -> "dict[str, torch.Tensor]":
    """Returns the state dict under the official names, without the file's own prefixes."""
    while state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): x for name, x in state.items()}
    if any(name.startswith((HEADS, TRUNK)) for name in state):
        return dict(state)
    if any(name.startswith(("Conv3d_", "Mixed_")) for name in state):
        return {TRUNK + name: x for name, x in state.items()}
    first = f", such as {torch_files.printable(next(iter(state)))}" if state else ""
    raise UserError(
        f"{path}: neither an I3D trunk nor an AFSD checkpoint: "
        f"none of its {len(state)} tensors has a known name{first}"
    )


def _check_shapes(
    state: "Mapping[str, torch.Tensor]",
    expected: Mapping[str, Shape],
    path: str | os.PathLike[str],
) -> None:
    wrong = [
        f"{name} is {list(state[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    _refuse(
        path,
        {
            "missing": [name for name in expected if name not in state],
            "unexpected": [torch_files.printable(name) for name in state if name not in expected],
            "of a wrong shape (another configuration may fit)": wrong,
        },
    )


def _arrays(
    state: "Mapping[str, torch.Tensor]", path: str | os.PathLike[str]
) -> dict[str, np.ndarray]:
    """Returns the tensors as float32 arrays, left in the memory-mapped file where possible."""
    _refuse(
        path,
        {
            "not of a floating-point type": [
                f"{name} ({x.dtype})" for name, x in state.items() if not x.dtype.is_floating_point
            ]
        },
    )
    arrays = {name: x.detach().float().numpy() for name, x in state.items()}
    _refuse(
        path,
        {"not finite": [name for name, x in arrays.items() if not np.isfinite(x).all()]},
    )
    return arrays


def _refuse(path: str | os.PathLike[str], problems: Mapping[str, list[str]]) -> None:
    """Raises a UserError that lists the tensors with problems, if there are any."""
    parts = []
    for problem, names in problems.items():
        if names:
            verb = "tensor is" if len(names) == 1 else "tensors are"
            parts.append(f"{len(names)} {verb} {problem}: {first_names(names, MAX_LISTED)}")
    if parts:
        raise UserError(f"{path}: {'; '.join(parts)}")
