"""Fields of the configuration that version 0.1.0 lacks.

At their defaults they do not count in digests, so that results folders of 0.1.0 are continued.
"""

import json
from typing import Any

import ml_collections

# (section, field, default)
LATER_FIELDS = (
    ("data", "crop", ""),
    ("data", "keep_aspect", "squeeze"),
    ("data", "speed", 0.0),
    ("data", "paste", 0.0),
    ("data", "balanced", False),
    ("model", "trunk_context", "clip"),
    ("loss", "label_smoothing", 0.0),
    ("train", "keep_optimizer", True),
    ("train", "whole_checkpoints", False),
    ("train", "cross_validation", 0),
    ("train", "refit", False),
    ("train", "search_minutes", 0.0),
    ("train", "probe", False),
)


def digested_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the fields that count in a digest, as JSON values by section."""
    fields: dict[str, Any] = json.loads(config.to_json())
    for section, name, default in LATER_FIELDS:
        if fields[section][name] == default:
            del fields[section][name]
    return fields
