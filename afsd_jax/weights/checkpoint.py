"""Self-describing Orbax checkpoints: weights, optimiser, configuration and class names.

A checkpoint is a folder with one sub-folder per saved step. Each has `weights` (flat, by name),
`description` (JSON: configuration, class names and, if it was evaluated, metrics) and
`checksums.json`. A training run adds `optimizer` and, if configured, `ema` (averaged weights). It
may leave out a frozen trunk (`frozen_trunk`) and, once it has ended, all but the weights to detect
with.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import ml_collections

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.files import atomic_write
from afsd_jax.io.json_fields import require_dict
from afsd_jax.models import parameters
from afsd_jax.version import VERSION
from afsd_jax.weights import checksums, frozen_trunk, stored_config
from afsd_jax.weights.frozen_trunk import TrunkReference
from afsd_jax.weights.score_calibration import ScoreCalibration
from afsd_jax.weights.stored_items import check_files, read_flat, read_weights, restore

if TYPE_CHECKING:  # Orbax is imported where it is used: detection rarely needs it
    import orbax.checkpoint as ocp

_MOST_DESCRIPTION_BYTES = 2**23
_MOST_FILES = 80  # of a step, with folders and temporary ones, whatever its size


class Description(NamedTuple):
    """The description of a step.

    metrics: metrics on the validation split, if it was evaluated.
    splits: digests of the videos that the run was trained and evaluated on; empty in converted
      checkpoints and in those of earlier versions.
    trunk: where the frozen trunk is; None: in the weights.
    """

    config: ml_collections.ConfigDict
    class_names: list[str]
    metrics: dict[str, float] | None
    splits: dict[str, Any]
    trunk: TrunkReference | None


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
        wrote its description, its weights do not fit its configuration, or its trunk is missing.
    """
    folder = Path(folder)
    if step is None and _is_step(folder.name) and (folder / "description").is_dir():
        folder, step = folder.absolute().parent, int(folder.name)
    step = best_step(folder) if step is None else step
    if step is None:
        if not folder.exists():
            raise UserError(f"{folder}: no such file or folder")
        raise UserError(f"{folder}: not a checkpoint folder; give one that train or convert wrote")
    config, class_names, metrics, _, trunk = read_description(folder, step)
    said = f"{folder}: the description of step {step}"
    if not partial:
        stored_config.check_class_count(config, class_names, said)
    has_weights, has_averages = ((folder / str(step) / x).is_dir() for x in ("weights", "ema"))
    weights = frozen_trunk.read_trunk(folder, step, trunk, config) if trunk else {}
    if has_weights or not (trunk and has_averages):
        _verify(folder, step, "weights")
        shapes = {name: x for name, x in parameters.shapes(config).items() if name not in weights}
        weights |= read_weights(folder, step, shapes, partial)
    if has_averages and (averaged or not has_weights):
        learned = parameters.learned_shapes(config)
        _verify(folder, step, "ema")
        weights |= read_flat(folder, step, "ema", learned) or restore(folder, step, "ema", learned)
    return Checkpoint(step, config, class_names, weights, metrics)


def can_continue(folder: str | os.PathLike[str], step: int) -> bool:
    """Returns whether a run can continue after a step: whether it has the optimiser's state."""
    return (Path(folder) / str(step) / "optimizer").is_dir()


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
        frozen_trunk.read_reference(description, said),
    )


def read_item(folder: str | os.PathLike[str], step: int, item: str, abstract: Any) -> Any:
    """Reads the `optimizer` or `ema` of a saved step, shaped and sharded like `abstract`.

    An array without a sharding in `abstract` is replicated on every device.

    Raises:
      UserError: the item is missing, damaged or of another configuration.
    """
    _verify(Path(folder), step, item)
    return restore(Path(folder), step, item, abstract)


def _is_step(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 10


def _description(folder: Path, step: int) -> dict[str, Any]:
    """Returns the description of a step, once all files of the step are known to be files."""
    place = folder / str(step)
    check_files(place)
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
