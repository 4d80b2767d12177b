"""The arrays of a saved step: its weights, averages and optimiser state."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from afsd_jax.errors import UserError
from afsd_jax.io.names import first_names
from afsd_jax.runtime.sharding import data_mesh, replicated
from afsd_jax.weights.array_files import read_arrays


def check_files(folder: Path) -> None:
    """Raises UserError if a folder contains anything but files and folders."""
    for path in folder.rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: is a pipe, device or broken link; give another checkpoint")


def read_weights(
    folder: Path, step: int, shapes: Mapping[str, jax.ShapeDtypeStruct], partial: bool = False
) -> dict[str, Any]:
    """Returns the weights of a step on every device.

    Args:
      folder: folder of the checkpoint.
      step: number of the step.
      shapes: the expected weights.
      partial: whether some of them may be missing.

    Raises:
      UserError: they are damaged, or not those expected.
    """
    weights = None if partial else read_flat(folder, step, "weights", shapes)
    if weights is not None:
        return weights
    saved = _saved_shapes(folder, step)
    if partial:
        shapes = {name: shape for name, shape in shapes.items() if name in saved}
    _check_shapes(shapes, saved, f"{folder}: the weights of step {step}")
    return dict(restore(folder, step, "weights", shapes))


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


def read_flat(
    folder: Path, step: int, item: str, expected: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, Any] | None:
    """Returns the arrays of an item on every device; None if only Orbax may be able to read it."""
    if jax.process_count() > 1:
        return None
    arrays = read_arrays(folder.absolute() / str(step) / item, expected)
    return None if arrays is None else dict(jax.device_put(arrays, replicated(data_mesh())))


def restore(folder: Path, step: int, item: str, abstract: Any) -> Any:
    """Returns an item of a step, read by Orbax; see `checkpoint.read_item`."""
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
