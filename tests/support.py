"""What several tests share: where goldens lie and configurations by name."""

from pathlib import Path

import ml_collections

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent


def activitynet_fields(config: ml_collections.ConfigDict) -> None:
    """x"""
    config.data.clip_length = 768
    config.model.num_classes = 2
    config.matching.length_ranges = ((0, 30), (15, 60), (30, 120), (60, 240), (96, 768), (256, 768))
    config.matching.proposal_tiou = 0.6
    config.matching.proposal_best = True
    config.loss.offset = "smooth_l1"
    config.loss.normalise = "clip"
