"""Self-describing Orbax checkpoints: weights, optimiser, configuration and class names.

A checkpoint is a folder with one sub-folder per saved step, each with three items: `weights` (flat,
by name), `description` (JSON: configuration and class names) and, of a training run, `optimizer`.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import orbax.checkpoint as ocp

import afsd_jax
from afsd_jax.config import default_config
from afsd_jax.errors import UserError
from afsd_jax.files import atomic_write
from afsd_jax.sharding import data_mesh, whole
from afsd_jax.weights import parameters


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    weights: every weight and running statistic by name, float32.
    """

    step: int
    config: ml_collections.ConfigDict
    class_names: list[str]
    weights: dict[str, Any]


def describe(config: ml_collections.ConfigDict, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns the description as JSON values."""
    return {
        "afsd_jax": afsd_jax.__version__,
        "config": json.loads(config.to_json()),
        "class_names": list(class_names),
    }


def open_manager(folder: str | os.PathLike[str], keep: int | None = None) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints for writing; it is made if missing."""
    options = ocp.CheckpointManagerOptions(max_to_keep=keep)
    return ocp.CheckpointManager(Path(folder).absolute(), options=options)


def save(
    manager: ocp.CheckpointManager,
    step: int,
    weights: Mapping[str, Any],
    description: Mapping[str, Any],
    optimizer: Any = None,
) -> None:
    """Saves a step in the background; `manager.wait_until_finished()` or `close()` waits for it."""
    items: dict[str, Any] = {
        # Small files, so that writing needs little memory beside the weights.
        "weights": ocp.args.PyTreeSave(dict(weights), ocdbt_target_data_file_size=2**24),
        "description": ocp.args.JsonSave(dict(description)),
    }
    if optimizer is not None:
        items["optimizer"] = ocp.args.StandardSave(optimizer)
    manager.save(step, args=ocp.args.Composite(**items))


def write(
    folder: str | os.PathLike[str],
    weights: Mapping[str, Any],
    config: ml_collections.ConfigDict,
    class_names: Sequence[str],
    step: int = 0,
) -> None:
    """Writes a checkpoint of weights alone to a new folder, in one piece or not at all."""
    with atomic_write(folder) as temporary, open_manager(temporary) as manager:
        save(manager, step, weights, describe(config, class_names))


def latest_step(folder: str | os.PathLike[str]) -> int | None:
    """Returns the last step saved in a folder, or None if there is none."""
    if not Path(folder).is_dir():
        return None
    with _reader(folder) as reader:
        return reader.latest_step()


def read(
    folder: str | os.PathLike[str], step: int | None = None, partial: bool = False
) -> Checkpoint:
    """Reads a checkpoint's weights and description.

    Args:
      folder: of the checkpoint.
      step: which one; by default the last.
      partial: whether some weights may be missing, as in a converted trunk.

    Raises:
      UserError: the folder is no checkpoint, its description is of another version of the package,
        or its weights do not fit its configuration.
    """
    step = latest_step(folder) if step is None else step
    if step is None:
        raise UserError(f"{folder}: not a checkpoint folder; give one that train or convert wrote")
    with _reader(folder) as reader:
        with _explained(f"{folder}: step {step} has no description that this version reads"):
            args = ocp.args.Composite(description=ocp.args.JsonRestore())
            description = reader.restore(step, args=args)["description"]
            config = default_config()
            config.update(ml_collections.ConfigDict(description["config"]))
            class_names = list(description["class_names"])
        with _explained(f"{folder}: the weights of step {step} are damaged"):
            metadata = reader.item_metadata(step)["weights"]
            saved = {name: tuple(x.shape) for name, x in metadata.items()}
        shapes = parameters.shapes(config)
        if partial:
            shapes = {name: shape for name, shape in shapes.items() if name in saved}
        wrong = [name for name, x in shapes.items() if saved.get(name) != x.shape]
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise UserError(
                f"{folder}: the weights of step {step} do not fit its configuration: missing or of "
                f"another shape are {', '.join(wrong[:3])}{more}; convert or train it again"
            )
        weights = _restore(reader, folder, step, "weights", shapes)
    return Checkpoint(step, config, class_names, weights)


def read_optimizer(folder: str | os.PathLike[str], step: int, abstract: Any) -> Any:
    """Reads the optimiser's state of a saved step, shaped like `abstract`.

    Raises:
      UserError: it is missing or of another configuration.
    """
    with _reader(folder) as reader:
        return _restore(reader, folder, step, "optimizer", abstract)


@contextlib.contextmanager
def _reader(folder: str | os.PathLike[str]) -> Iterator[ocp.CheckpointManager]:
    handlers = {
        "weights": ocp.StandardCheckpointHandler(),
        "optimizer": ocp.StandardCheckpointHandler(),
        "description": ocp.JsonCheckpointHandler(),
    }
    options = ocp.CheckpointManagerOptions(create=False)
    path = Path(folder).absolute()
    with ocp.CheckpointManager(path, options=options, item_handlers=handlers) as manager:
        yield manager


def _restore(
    reader: ocp.CheckpointManager,
    folder: str | os.PathLike[str],
    step: int,
    item: str,
    abstract: Any,
) -> Any:
    # Whole on every device that there is now, however many there were when it was saved.
    everywhere = whole(data_mesh())
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), abstract
    )
    with _explained(f"{folder}: the {item} of step {step} cannot be read with its configuration"):
        args = ocp.args.Composite(**{item: ocp.args.StandardRestore(abstract)})
        return reader.restore(step, args=args)[item]


@contextlib.contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Turns whatever Orbax raises, which is of many kinds for one fact, into one line."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{problem} ({reason}); save it again with this version, or give another checkpoint"
        ) from error
