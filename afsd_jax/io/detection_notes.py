"""What a predictions file says of its videos besides their detections: its `external_data`."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.io.json_fields import number, require_dict
from afsd_jax.io.names import composed

_FIELDS = ("durations_s", "thresholds", "damaged")


class DetectionNotes(NamedTuple):
    """Facts about videos and scores.

    Attributes:
      durations_s: lengths in seconds, by name of the video, as far as they are known.
      min_score: least score to show of classes without a threshold; None: nothing was measured.
      thresholds: least score to show, by class.
      damaged: number of damaged packets and frames, by name of the video.
    """

    durations_s: Mapping[str, float] = {}
    min_score: float | None = None
    thresholds: Mapping[str, float] = {}
    damaged: Mapping[str, int] = {}

    def external_data(self) -> dict[str, Any]:
        """Returns JSON values, without fields that say nothing."""
        fields = {name: dict(getattr(self, name)) for name in _FIELDS if getattr(self, name)}
        return fields | ({} if self.min_score is None else {"min_score": self.min_score})


NO_NOTES = DetectionNotes()


def notes_of(content: Mapping[str, Any], path: str | os.PathLike[str]) -> DetectionNotes:
    """Returns what the content of the predictions file at `path` says.

    Files of other programs say nothing, or something else, which is passed over.

    Raises:
      UserError: a length or a score is no possible one.
    """
    said = content.get("external_data")
    if not isinstance(said, dict):
        return NO_NOTES
    place = f"{path}: external_data"
    tables = {name: require_dict(said.get(name, {}), f"{place}.{name}") for name in _FIELDS[:2]}
    durations, thresholds = (
        {composed(key): number(value, f"{place}.{name}[{key!r}]") for key, value in table.items()}
        for name, table in tables.items()
    )
    least = said.get("min_score")
    if least is not None:
        least = number(least, f"{place}.min_score")
    for video, seconds in durations.items():
        if seconds <= 0:
            raise UserError(f"{place}.durations_s[{video!r}] must be above 0, not {seconds:g}")
    return DetectionNotes(durations, least, thresholds)
