"""Loads weights from a checkpoint folder, a packaged detector, a PyTorch file or Kinetics."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, kinetics, pytorch
from afsd_jax.weights.packaged_file import is_package, read_package
from afsd_jax.weights.score_calibration import read_calibration

log = logging.getLogger(__name__)

CLASS_HEADS = ("conf_head.", "prop_conf_head.")


def load_checkpoint(path: str | os.PathLike[str]) -> checkpoint.Checkpoint:
    """Reads a complete detector.

    Args:
      path: a checkpoint folder, a training run's folder, a packaged detector or a PyTorch file.

    Raises:
      UserError: the path is none of these, or holds only a trunk.
    """
    if not Path(path).is_file():
        loaded = checkpoint.read(_checkpoints(path))
        calibration = read_calibration(step_folder(path, loaded.step), loaded.class_names)
        return loaded._replace(calibration=calibration)
    if is_package(path):
        return read_package(path)
    published = pytorch.load(path)
    if published.kind != "detector":
        raise UserError(f"{path}: holds only an I3D trunk, which cannot detect; train it first")
    names = pytorch.class_names(published.config)
    return checkpoint.Checkpoint(0, published.config, names, published.parameters)


def step_folder(path: str | os.PathLike[str], step: int) -> Path:
    """Returns the folder of a step, given its folder, or that of the checkpoint or the run."""
    folder = _checkpoints(path)
    return folder / str(step) if (folder / str(step)).is_dir() else folder


def _checkpoints(path: str | os.PathLike[str]) -> Path:
    """Returns the folder of a training run's checkpoints, or the path itself."""
    run = Path(path) / "checkpoints"
    return run if run.is_dir() else Path(path)


def load_published(
    source: str | os.PathLike[str], config: ml_collections.ConfigDict | None = None
) -> pytorch.LoadedWeights:
    """Reads weights from a PyTorch file or from Kinetics.

    Args:
      source: path of the file, or the word "kinetics"; see `pytorch.load` and `kinetics.load`.
      config: configuration of the network; by default the published one that fits the file.

    Raises:
      UserError: the file is refused.
    """
    return kinetics.load(config) if source == kinetics.KINETICS else pytorch.load(source, config)


def load_initial(
    path: str | os.PathLike[str],
    config: ml_collections.ConfigDict,
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Reads the weights from which training starts.

    Args:
      path: a checkpoint folder, a training run's folder, a packaged detector, a PyTorch file or
        "kinetics".
      config: configuration of the network.
      class_names: names of the classes that it learns.

    If a checkpoint has other classes, its class heads are left out, and a message says so.

    Raises:
      UserError: the path is none of these, or its weights do not fit the configuration.
    """
    packaged = is_package(path)
    if path == kinetics.KINETICS or (Path(path).is_file() and not packaged):
        return load_published(path, config).parameters
    saved = read_package(path) if packaged else checkpoint.read(_checkpoints(path), partial=True)
    loaded, shapes = saved.weights, parameters.shapes(config)
    heads = [name for name in loaded if name.startswith(CLASS_HEADS)]
    # A PyTorch file does not name its classes.
    named = bool(class_names) and saved.class_names[:1] != ["class_1"]
    other = named and saved.class_names != list(class_names)
    if heads and (other or any(loaded[name].shape != shapes[name].shape for name in heads)):
        log.info(
            "%s: has %d other classes; all weights are used except %s, which start at random",
            path,
            len(saved.class_names),
            ", ".join(heads),
        )
        loaded = {name: value for name, value in loaded.items() if name not in heads}
    wrong = [name for name, x in loaded.items() if x.shape != getattr(shapes.get(name), "shape", 0)]
    if wrong:
        raise UserError(f"{path}: its weights do not fit the configuration: {', '.join(wrong[:5])}")
    return loaded
