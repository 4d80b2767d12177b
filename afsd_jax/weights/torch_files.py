"""Reading and writing PyTorch state dicts, without running any code from the file.

Nothing else in this package needs PyTorch, so it is imported where it is used.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from afsd_jax.errors import UserError, WriteError
from afsd_jax.io.file_kinds import file_kind
from afsd_jax.io.files import atomic_write

if TYPE_CHECKING:
    import torch

SAFETENSORS = ".safetensors"


def read(path: str | os.PathLike[str]) -> "dict[str, torch.Tensor]":
    """Reads a state dict: PyTorch's zip format, its format before 1.6, or `.safetensors`.

    A dictionary with the state dict under "state_dict" is accepted as well. Tensors of the zip
    format and of safetensors stay in the memory-mapped file until they are used.

    Raises:
      UserError: the file is missing, damaged, not a state dict, or a pickle that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if kind := file_kind(path):
        raise UserError(
            f"{path}: is {kind}, not a checkpoint; a checkpoint is the folder of a training run, a "
            "folder of weights or a PyTorch file"
        )
    torch = _import("torch")
    state = _read_safetensors(path) if path.suffix == SAFETENSORS else _read_pickle(path, torch)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: holds a {type(state).__name__}, not a PyTorch state dict")
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise UserError(f"{path}: not a state dict, one of its names is {name!r:.80}")
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            kind = getattr(tensor, "layout", type(tensor).__name__)
            raise UserError(f"{path}: {printable(name)} is a {kind}, not a dense tensor")
        if tensor.is_quantized or tensor.device.type != "cpu":
            raise UserError(f"{path}: {printable(name)} is a quantised or empty tensor")
    return dict(state)


def write(path: str | os.PathLike[str], state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict in PyTorch's zip format or as `.safetensors`, all or nothing.

    Raises:
      WriteError: the file cannot be written.
    """
    torch = _import("torch")
    tensors = {name: torch.from_numpy(np.require(x, None, ["C", "W"])) for name, x in state.items()}
    with atomic_write(path) as temporary:
        if Path(path).suffix == SAFETENSORS:
            _import("safetensors.torch").save_file(tensors, temporary)
            return
        try:
            torch.save(tensors, temporary)
        except RuntimeError as error:  # it does not say why
            raise WriteError(f"{path}: cannot be written; perhaps the disk is full") from error


def printable(name: str) -> str:
    """Returns a name from a file in a form that is safe in messages."""
    return name if name.isprintable() and 0 < len(name) <= 120 else f"{name!r:.120}"


def _import(module: str) -> ModuleType:
    try:
        return __import__(module, fromlist=["_"])
    except ImportError as error:
        package = module.partition(".")[0]
        raise UserError(
            f"PyTorch files need the package {package}: pip install torch safetensors"
        ) from error


def _read_safetensors(path: Path) -> "dict[str, torch.Tensor]":
    library = _import("safetensors.torch")
    try:
        return library.load_file(path)
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"{path}: not a readable safetensors file ({_reason(error)})") from error


def _read_pickle(path: Path, torch: ModuleType) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the old format
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:  # a damaged pickle may raise anything
        refused = re.search(r"GLOBAL (\S+)|Unsupported class (\S+)", str(error))
        if refused:
            name = printable(refused[1] or refused[2])
            raise UserError(
                f"{path}: refused: its pickle would run code of its own ({name}); "
                "save the network's state_dict() alone"
            ) from error
        raise UserError(f"{path}: not a readable PyTorch file ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Returns the error in one line, without PyTorch's advice to disable its protection."""
    text = str(error)
    if text.startswith("Weights only load failed"):
        text = text.partition("WeightsUnpickler error:")[2]
    line, *_ = [*text.strip().splitlines(), ""]
    return f"{type(error).__name__}: {printable(line)}" if line else type(error).__name__
