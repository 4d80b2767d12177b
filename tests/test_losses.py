"""The losses and matching equal the reference's, gradients included."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import losses, matching
from afsd_jax.config import default_config
from afsd_jax.models import Outputs
from afsd_jax.models.pyramid import level_lengths
from tests.support import GOLDEN, activitynet_fields

NAMES = ("loc", "conf", "prop_loc", "prop_conf", "center")


def variant(name: str) -> tuple[ml_collections.ConfigDict, tuple[int, ...]]:
    """Returns the configuration of a benchmark and its pyramid's lengths."""
    config = default_config()
    if name == "thumos14":
        return config, level_lengths(256, 4, 6)
    activitynet_fields(config)
    return config, level_lengths(768, 8, 6)


def padded(clips: list[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pads clips' actions [M,3] to segments [B,size,2] and labels [B,size]."""
    segments = np.zeros((len(clips), size, 2), np.float32)
    labels = np.zeros((len(clips), size), np.int32)
    for i, actions in enumerate(clips):
        segments[i, : len(actions)] = actions[:, :2]
        labels[i, : len(actions)] = actions[:, 2]
    return segments, labels


@pytest.mark.parametrize("benchmark", ["thumos14", "anet"])
@pytest.mark.parametrize("padding", [3, 7])
def test_losses_and_gradients_equal_the_reference(benchmark, padding):
    golden = np.load(GOLDEN / f"loss_{benchmark}.npz")
    config, lengths = variant(benchmark)
    assert config.matching.proposal_tiou == golden["piou"]
    segments, labels = padded([golden["segments_0"], golden["segments_1"]], padding)
    ranges = matching.prior_length_ranges(config.matching.length_ranges, lengths)
    targets = matching.match(
        golden["priors"][:, 0], segments, labels, int(golden["clip_length"]), ranges
    )

    def weighted(predictions):
        outputs = Outputs(**predictions, frame_level=0, level_loc=0, level_conf=0)
        terms = jnp.stack(
            losses.detection_losses(outputs, targets, config.loss, config.matching)
        )
        return (terms * golden["loss_weights"]).sum(), terms

    predictions = {name: jnp.asarray(golden[name]) for name in NAMES}
    predictions["center"] = predictions["center"][..., 0]
    grads, terms = jax.grad(weighted, has_aux=True)(predictions)
    np.testing.assert_allclose(terms, golden["losses"], rtol=1e-4)
    for name in NAMES:
        expected = golden[f"grad_{name}"].reshape(grads[name].shape)
        scale = abs(expected).max()
        np.testing.assert_allclose(grads[name], expected, rtol=1e-4, atol=1e-6 * scale, err_msg=name)
