"""Ground truths and detections for tests of measures: drawn at random, or by hypothesis."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.support import ROOT

SHARED = ROOT.parent / "shared"
LABELS = ("run", "jump", "throw")


def shared(path: str) -> Path:
    """Returns a file beside the repository, or skips the test where it is absent."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"the published results are not at {found}")
    return found


def read_gzip(path: Path):
    """Returns the content of a compressed JSON file."""
    return json.loads(gzip.decompress(path.read_bytes()))


def drawn(seed: int, num_videos: int = 12, skill: float = 0.8, bias: float = 0.0):
    """Returns the truth of some videos, and detections: most actions, shifted, and noise.

    Args:
      seed: of everything that is drawn.
      num_videos: number of videos, of 100 s each.
      skill: share of actions for which there is a detection.
      bias: shift of all detections, seconds.
    """
    rng = np.random.default_rng(seed)
    truth, found = {}, {}
    for index in range(num_videos):
        starts = np.sort(rng.uniform(0, 90, rng.integers(0, 6)))
        actions = [
            Action(str(rng.choice(LABELS)), float(start), float(start + rng.uniform(1, 9)))
            for start in starts
        ]
        truth[f"v{index}"] = AnnotatedVideo("test", 100.0, tuple(actions))
        detections = [
            Detection(
                action.label if rng.random() < 0.8 else str(rng.choice(LABELS)),
                float(rng.uniform(0.2, 1)),
                action.start_s + float(rng.normal(bias, 0.8)),
                action.end_s + float(rng.normal(bias, 0.8)),
            )
            for action in actions
            for _ in range(rng.integers(1, 4))
            if rng.random() < skill
        ]
        for _ in range(rng.integers(0, 8)):
            start = float(rng.uniform(0, 90))
            end = start + float(rng.uniform(1, 9))
            label, score = str(rng.choice(LABELS)), float(rng.uniform(0, 0.7))
            detections.append(Detection(label, score, start, end))
        found[f"v{index}"] = detections
    return truth, found


_times = st.integers(0, 24).map(lambda value: value / 2)
_spans = st.tuples(_times, st.integers(1, 8).map(lambda value: value / 2))
_labels = st.sampled_from(LABELS)
_video = st.tuples(
    st.lists(st.tuples(_labels, _spans), max_size=5),
    st.lists(st.tuples(_labels, _spans), max_size=8),
)


@st.composite
def evaluations(draw):
    """Truth, with at least one action, and detections without equal scores."""
    videos = draw(st.lists(_video, min_size=1, max_size=4))
    total = sum(len(detections) for _, detections in videos)
    scores = iter(draw(st.permutations(range(total))))
    truth, found = {}, {}
    for index, (actions, detections) in enumerate(videos):
        items = [Action(label, start, start + span) for label, (start, span) in actions]
        if index == 0:
            items.append(Action(LABELS[0], 1.0, 3.0))
        truth[f"v{index}"] = AnnotatedVideo("test", 20.0, tuple(items))
        found[f"v{index}"] = [
            Detection(label, (next(scores) + 1) / (total + 1), start, start + span)
            for label, (start, span) in detections
        ]
    return truth, found
