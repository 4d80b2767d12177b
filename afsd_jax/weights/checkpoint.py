"""Self-describing Orbax checkpoints: weights, optimiser, configuration and class names.

A checkpoint is a folder with one sub-folder per saved step. Each has `weights` (flat, by name),
`description` (JSON: configuration, class names and, if it was evaluated, metrics) and
`checksums.json`. A training run adds `optimizer` and, if configured, `ema` (averaged weights).
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import ml_collections

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.files import atomic_write
from afsd_jax.io.json_fields import require_dict
from afsd_jax.io.names import first_names
from afsd_jax.models import parameters
from afsd_jax.runtime.sharding import data_mesh, replicated
from afsd_jax.version import VERSION
from afsd_jax.weights import checksums, stored_config
from afsd_jax.weights.array_files import read_arrays
from afsd_jax.weights.score_calibration import ScoreCalibration

if TYPE_CHECKING:  # Orbax is imported where it is used: detection rarely needs it
    import orbax.checkpoint as ocp

_MOST_DESCRIPTION_BYTES = 2**23
_MOST_FILES = 80  # of a step, with folders and temporary ones, whatever its size


class Description(NamedTuple):
    """The description of a step.

    metrics: metrics on the validation split, if it was evaluated.
    splits: digests of the videos that the run was trained and evaluated on; empty in converted
      checkpoints and in those of earlier versions.
    """

    config: ml_collections.ConfigDict
    class_names: list[str]
    metrics: dict[str, float] | None
    splits: dict[str, Any]


class Checkpoint(NamedTuple):
    """A step of a checkpoint.

    weights: every weight and running statistic by name, float32.
    metrics: metrics on the validation split, if it was evaluated.
    calibration: precision of its scores, if that was measured.
    """

    step: int
    config: ml_collections.ConfigDict
    class_names: list[str]
    weights: dict[str, Any]
    metrics: dict[str, float] | None = None
    calibration: ScoreCalibration | None = None


def describe(
    config: ml_collections.ConfigDict,
    class_names: Sequence[str],
    metrics: evaluation.Metrics | None = None,
    splits: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the description as JSON values; see `Description`."""
    summary = metrics and {k: v for k, v in metrics.as_dict().items() if k != "ap"}
    return {
        "afsd_jax": VERSION,
        "config": json.loads(config.to_json()),
        "class_names": list(class_names),
        "metrics": summary,
        **({"splits": dict(splits)} if splits else {}),
    }


def open_manager(
    folder: str | os.PathLike[str],
    keep: "ocp.checkpoint_managers.PreservationPolicy | None" = None,
) -> "ocp.CheckpointManager":
    """Opens a folder of checkpoints for writing, or makes it; by default it keeps all of them."""
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        preservation_policy=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(Path(folder).absolute(), options=options)


def save(
    manager: "ocp.CheckpointManager",
    step: int,
    weights: Mapping[str, Any],
    description: Mapping[str, Any],
    **items: Any,
) -> None:
    """Saves a step and its checksums; a failed save leaves no incomplete step.

    Args:
      manager: the folder's manager; see `open_manager`.
      step: number of the step.
      weights: weights by name.
      description: see `describe`.
      **items: `optimizer` and `ema`; empty ones are left out.
    """
    import orbax.checkpoint as ocp

    saved: dict[str, Any] = {
        # Small files, so that writing needs little memory besides the weights.
        "weights": ocp.args.PyTreeSave(dict(weights), ocdbt_target_data_file_size=2**24),
        "description": ocp.args.JsonSave(dict(description)),
    }
    if jax.process_count() == 1:
        num_bytes = sum(x.nbytes for x in jax.tree.leaves([weights, items]))
        files.check_space(Path(manager.directory), num_bytes + 2**20, _MOST_FILES)
    saved |= {name: ocp.args.StandardSave(value) for name, value in items.items() if value}
    manager.save(step, args=ocp.args.Composite(**saved))
    if jax.process_index() == 0:
        checksums.write(Path(manager.directory) / str(step))


def write(
    folder: str | os.PathLike[str],
    weights: Mapping[str, Any],
    config: ml_collections.ConfigDict,
    class_names: Sequence[str],
    step: int = 0,
) -> None:
    """Writes a checkpoint of weights alone to a new folder; a failure leaves no folder."""
    with atomic_write(folder) as temporary, open_manager(temporary) as manager:
        save(manager, step, weights, describe(config, class_names))


def steps(folder: str | os.PathLike[str]) -> list[int]:
    """Returns the steps saved in a folder, ascending; none if it is not a checkpoint folder."""
    entries = Path(folder).iterdir() if Path(folder).is_dir() else ()
    return sorted(int(entry.name) for entry in entries if _is_step(entry.name) and entry.is_dir())


def scores(folder: str | os.PathLike[str]) -> dict[int, float]:
    """Returns the average mAP of each step that was evaluated and can be read."""
    found = {}
    for step in steps(folder):
        with contextlib.suppress(UserError):
            description = _description(Path(folder), step)
            metrics = stored_config.read_metrics(description, str(folder)) or {}
            if evaluation.SCORE in metrics:
                found[step] = metrics[evaluation.SCORE]
    return found


def best_step(folder: str | os.PathLike[str]) -> int | None:
    """Returns the evaluated step of the highest average mAP; else the last step, or None."""
    found = scores(folder)
    best = max(found, key=lambda step: (found[step], step), default=None)
    return max(steps(folder), default=None) if best is None else best


def read(
    folder: str | os.PathLike[str],
    step: int | None = None,
    partial: bool = False,
    averaged: bool = True,
) -> Checkpoint:
    """Reads a checkpoint's weights and description.

    Args:
      folder: folder of the checkpoint or of one of its steps.
      step: step to read; by default the best evaluated one, else the last.
      partial: whether some weights may be missing, as in a converted trunk.
      averaged: whether averaged weights, if there are any, replace those that learn.

    Raises:
      UserError: the folder is not a checkpoint, a file is damaged, another version of the package
        wrote its description, or its weights do not fit its configuration.
    """
    folder = Path(folder)
    if step is None and _is_step(folder.name) and (folder / "description").is_dir():
        folder, step = folder.absolute().parent, int(folder.name)
    step = best_step(folder) if step is None else step
    if step is None:
        if not folder.exists():
            raise UserError(f"{folder}: no such file or folder")
        raise UserError(f"{folder}: not a checkpoint folder; give one that train or convert wrote")
    config, class_names, metrics, _ = read_description(folder, step)
    said = f"{folder}: the description of step {step}"
    if not partial and len(class_names) != config.model.num_classes - 1:
        raise UserError(
            f"{said}: names {len(class_names)} classes, but config.model.num_classes is "
            f"{config.model.num_classes}, with the background"
        )
    _verify(folder, step, "weights")
    shapes = parameters.shapes(config)
    weights = None if partial else _read_flat(folder, step, "weights", shapes)
    if weights is None:
        saved = _saved_shapes(folder, step)
        if partial:
            shapes = {name: shape for name, shape in shapes.items() if name in saved}
        _check_shapes(shapes, saved, f"{folder}: the weights of step {step}")
        weights = _restore(folder, step, "weights", shapes)
    if averaged and (folder / str(step) / "ema").is_dir():
        learned = parameters.learned_shapes(config)
        _verify(folder, step, "ema")
        weights |= _read_flat(folder, step, "ema", learned) or _restore(
            folder, step, "ema", learned
        )
    return Checkpoint(step, config, class_names, weights, metrics)


def read_description(folder: Path, step: int) -> Description:
    """Reads what a saved step says about itself, without its weights.

    Raises:
      UserError: as `read` does.
    """
    description, said = _description(folder, step), f"{folder}: the description of step {step}"
    return Description(
        stored_config.read_config(description, said),
        stored_config.read_class_names(description, said),
        stored_config.read_metrics(description, said),
        stored_config.read_splits(description, said),
    )


def read_item(folder: str | os.PathLike[str], step: int, item: str, abstract: Any) -> Any:
    """Reads the `optimizer` or `ema` of a saved step, shaped and sharded like `abstract`.

    An array without a sharding in `abstract` is replicated on every device.

    Raises:
      UserError: the item is missing, damaged or of another configuration.
    """
    _verify(Path(folder), step, item)
    return _restore(Path(folder), step, item, abstract)


def _is_step(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 10


def _description(folder: Path, step: int) -> dict[str, Any]:
    """Returns the description of a step, once all files of the step are known to be files."""
    place = folder / str(step)
    for path in place.rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: is a pipe, device or broken link; give another checkpoint")
    _verify(folder, step, "description")
    path = place / "description" / "metadata"
    if not path.exists():
        raise UserError(
            f"{folder}: step {step} has no description; save it again with this version, or give "
            "another checkpoint"
        )
    return require_dict(files.read_json(path, _MOST_DESCRIPTION_BYTES), str(path))


def _verify(folder: Path, step: int, item: str) -> None:
    wrong = checksums.damaged(folder / str(step), item)
    if wrong:
        others = [other for other in steps(folder) if other != step]
        other = f", or give {folder / str(others[-1])}" if others else ""
        raise UserError(
            f"{folder}: step {step} is damaged ({wrong} is not as it was written); "
            f"delete {folder / str(step)}{other}"
        )


def _saved_shapes(folder: Path, step: int) -> dict[str, tuple[int, ...]]:
    import orbax.checkpoint as ocp
    from etils import epath

    place = epath.Path(folder.absolute() / str(step) / "weights")
    with _explained(f"{folder}: the weights of step {step} are damaged"):
        # A Checkpointer would warn that a single item has no metadata of its own.
        saved = dict(ocp.StandardCheckpointHandler().metadata(place))
        return {name: tuple(x.shape) for name, x in saved.items()}


def _check_shapes(
    shapes: Mapping[str, jax.ShapeDtypeStruct], saved: Mapping[str, tuple[int, ...]], said: str
) -> None:
    """Raises UserError if an expected array is missing or has another shape."""
    wrong = [name for name, x in shapes.items() if saved.get(name) != x.shape]
    if wrong:
        raise UserError(
            f"{said} do not fit its configuration: missing or of another shape are "
            f"{first_names(wrong, 3)}; convert or train it again"
        )


def _read_flat(
    folder: Path, step: int, item: str, expected: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, Any] | None:
    """Returns the arrays of an item on every device; None if only Orbax may be able to read it."""
    if jax.process_count() > 1:
        return None
    arrays = read_arrays(folder.absolute() / str(step) / item, expected)
    return None if arrays is None else dict(jax.device_put(arrays, replicated(data_mesh())))


def _restore(folder: Path, step: int, item: str, abstract: Any) -> Any:
    import orbax.checkpoint as ocp

    # Restored to the present devices, whose number may differ from when it was saved.
    everywhere = replicated(data_mesh())
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or everywhere),
        abstract,
    )
    problem = f"{folder}: the {item} of step {step} cannot be read with its configuration"
    reader = ocp.Checkpointer(ocp.StandardCheckpointHandler())
    with _explained(problem), reader:
        place = folder.absolute() / str(step) / item
        return reader.restore(place, args=ocp.args.StandardRestore(abstract))


@contextlib.contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Turns the many exceptions that Orbax raises for one problem into a UserError of one line."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{problem} ({reason}); save it again with this version, or give another checkpoint"
        ) from error
