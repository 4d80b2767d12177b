"""Training learns one clip by heart, with the full loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.detection.postprocess import decode
from afsd_jax.models import normalise, parameters
from afsd_jax.training.optimizer import make_optimizer
from afsd_jax.training.state import init_state
from afsd_jax.training.step import make_train_step
from tests.small_run import small_config
from tests.training_clips import ACTION, LABEL, training_clip

TERMS = ("loc", "conf", "prop_loc", "prop_conf", "center", "start", "end", "triplet")
STEPS = 50


@pytest.fixture(scope="module")
def run():
    """Trains; returns the loss terms of every step, and the clip's segments and scores after."""
    jax.config.update("jax_disable_most_optimizations", True)  # few steps: compiling is what costs
    yield train()
    jax.config.update("jax_disable_most_optimizations", False)


def train() -> tuple[list[dict[str, float]], np.ndarray, np.ndarray]:
    # A trunk cut short, whose unused rest XLA drops, and few levels: it compiles fast.
    config = small_config(
        channels=32,
        pyramid_inputs=("Mixed_3c",),
        levels=3,
        loc_multipliers=(4.0, 4.0, 8.0),
        consistency_stride=2,
    )
    config.loss.consistency_weight = 0.1
    config.optimizer.learning_rate = config.optimizer.trunk_learning_rate = 3e-3
    config.optimizer.clip_norm = 10.0
    length, size = config.data.clip_length, config.data.crop_size
    batch = jax.tree.map(jnp.asarray, training_clip(length, size))
    network = parameters.build_network(config)
    optimizer = make_optimizer(config.optimizer, STEPS)
    state = init_state(network, optimizer)
    step = make_train_step(network, optimizer, config)
    history = []
    for _ in range(STEPS):
        state, terms, _ = step(state, batch)
        history.append({name: float(value) for name, value in terms.items()})

    @jax.jit
    def detect(weights, frames, num_frames):
        clips = normalise(frames, num_frames, 0.0)
        outputs = parameters.replace(network, weights)(clips)
        return decode(outputs.predictions, network.priors, length)

    segments, scores = detect(state.trainable | state.fixed, batch["frames"], batch["num_frames"])
    return history, np.asarray(segments[0]), np.asarray(scores[0])


def test_every_term_is_finite_and_the_total_falls_to_a_fifth(run):
    history, _, _ = run
    for terms in history:
        assert terms.keys() == {*TERMS, "total"}
        assert np.isfinite(list(terms.values())).all()
    # Each has something to teach: none is switched off.
    assert all(any(terms[name] > 0 for terms in history) for name in TERMS)
    assert history[-1]["total"] < 0.2 * history[0]["total"]


def test_the_best_detection_is_the_action(run):
    _, segments, scores = run
    prior, label = np.unravel_index(scores[:, 1:].argmax(), scores[:, 1:].shape)
    start, end = segments[prior]
    overlap = min(end, ACTION[1]) - max(start, ACTION[0])
    union = max(end, ACTION[1]) - min(start, ACTION[0])
    assert overlap / union > 0.8
    assert label + 1 == LABEL
