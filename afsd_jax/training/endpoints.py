"""Which endpoints of a frozen trunk the heads may read, the usual ones first."""

from typing import Any

CHOICES = (("Mixed_4b",), ("Mixed_4f",), ("Mixed_4f", "Mixed_5c"), ("Mixed_4b", "Mixed_5c"))


def fields_of(endpoints: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields of a configuration whose heads read these endpoints of a frozen trunk."""
    return {"model.pyramid_inputs": endpoints, "model.frozen_until": endpoints[-1]}


def in_words(endpoints: tuple[str, ...]) -> str:
    """Returns the names of endpoints as people read them."""
    return " and ".join(endpoints)
