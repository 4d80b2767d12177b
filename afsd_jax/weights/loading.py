"""Where weights come from: a checkpoint folder, a PyTorch file or Kinetics."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, kinetics, pytorch

CLASS_HEADS = ("conf_head.", "prop_conf_head.")


def load_checkpoint(path: str | os.PathLike[str]) -> checkpoint.Checkpoint:
    """Reads a whole detector: a checkpoint folder, a training run's folder, or a PyTorch file.

    Raises:
      UserError: the path is neither, or holds a trunk alone.
    """
    if not Path(path).is_file():
        run = Path(path) / "checkpoints"
        return checkpoint.read(run if run.is_dir() else path)
    loaded = pytorch.load(path)
    if loaded.kind != "detector":
        raise UserError(f"{path}: an I3D trunk alone detects nothing; train it first")
    names = pytorch.class_names(loaded.config)
    return checkpoint.Checkpoint(0, loaded.config, names, loaded.parameters)


def load_foreign(
    source: str | os.PathLike[str], config: ml_collections.ConfigDict | None = None
) -> pytorch.Weights:
    """Reads weights that are no checkpoint of ours: a PyTorch file's, or Kinetics'.

    Args:
      source: of the file, or the word "kinetics": see `kinetics.load` and `pytorch.load`.
      config: of the network; by default the published one that the file tells.

    Raises:
      UserError: as these two do.
    """
    return kinetics.load(config) if source == kinetics.KINETICS else pytorch.load(source, config)


def load_initial(
    path: str | os.PathLike[str],
    config: ml_collections.ConfigDict,
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Reads the weights to start training from: a checkpoint, a PyTorch file or "kinetics".

    Of a checkpoint of other classes the heads that tell classes apart are left out, which one line
    says.

    Raises:
      UserError: the path is none of these, or its weights do not fit the configuration.
    """
    if path == kinetics.KINETICS or Path(path).is_file():
        return load_foreign(path, config).parameters
    saved = checkpoint.read(path, partial=True)
    loaded, shapes = saved.weights, parameters.shapes(config)
    heads = [name for name in loaded if name.startswith(CLASS_HEADS)]
    named = bool(class_names) and saved.class_names[:1] != ["class_1"]  # else nobody knows them
    other = named and saved.class_names != list(class_names)
    if heads and (other or any(loaded[name].shape != shapes[name].shape for name in heads)):
        print(
            f"{path}: is of {len(saved.class_names)} other classes; all is taken but "
            f"{', '.join(heads)}, which start at random"
        )
        loaded = {name: value for name, value in loaded.items() if name not in heads}
    wrong = [name for name, x in loaded.items() if x.shape != getattr(shapes.get(name), "shape", 0)]
    if wrong:
        raise UserError(f"{path}: its weights do not fit the configuration: {', '.join(wrong[:5])}")
    return loaded
