"""The losses and matching equal the reference's, gradients included."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.models.network import lengths_of
from afsd_jax.training import losses, matching
from afsd_jax.training.focal_loss import focal_loss
from afsd_jax.types import Predictions
from tests.support import GOLDEN, published

NAMES = Predictions._fields


def variant(name: str) -> tuple[ml_collections.ConfigDict, tuple[int, ...]]:
    """Returns the configuration of a benchmark and its pyramid's lengths."""
    config = published(name)
    return config, lengths_of(config.model, config.data.clip_length)


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
        found = losses.detection_losses(predictions, targets, config.loss, config.matching)
        terms = jnp.stack([found[name] for name in NAMES])
        return (terms * golden["loss_weights"]).sum(), terms

    raw = {name: jnp.asarray(golden[name]) for name in NAMES}
    predictions = Predictions(**raw | {"center": raw["center"][..., 0]})
    grads, terms = jax.grad(weighted, has_aux=True)(predictions)
    np.testing.assert_allclose(terms, golden["losses"], rtol=1e-4)
    for name in NAMES:
        found = getattr(grads, name)
        expected = golden[f"grad_{name}"].reshape(found.shape)
        scale = abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * scale, err_msg=name)


times = st.floats(0, 64, width=32)


@settings(deadline=None, max_examples=40)
@given(
    actions=st.lists(
        st.tuples(times, times, st.integers(0, 5)).filter(lambda a: a[1] > a[0]),
        min_size=1,
        max_size=6,
    ),
    ranged=st.booleans(),
)
def test_each_prior_gets_the_shortest_action_around_it(actions, ranged):
    priors = np.array([0.1, 0.3, 0.5, 0.75, 0.9], np.float32)
    ranges = np.array([[0, 8], [0, 16], [4, 32], [8, 64], [0, 64]], np.float32) if ranged else None
    segments, labels = padded([np.array(actions, np.float32)], 6)
    found = matching.match(priors, segments, labels, 64, ranges)
    for k, prior in enumerate(priors):
        best = None
        for (start, end), label in zip(segments[0], labels[0], strict=True):
            left, right = prior * np.float32(64) - start, end - prior * np.float32(64)
            fits = left >= 0 and right >= 0 and label > 0
            if ranges is not None:
                fits = fits and ranges[k, 0] < max(left, right) <= ranges[k, 1]
            if fits and (best is None or end - start < best[0]):
                best = (end - start, label, left, right)
        assert found.labels[0, k] == (best[1] if best else 0)
        if best:
            np.testing.assert_allclose(found.loc[0, k], best[2:], rtol=1e-6)


def test_padding_is_never_matched_whatever_it_holds():
    golden = np.load(GOLDEN / "loss_thumos14.npz")
    segments, labels = padded([golden["segments_0"], golden["segments_1"]], 5)
    garbage = np.where(labels[..., None] > 0, segments, np.float32([-1e4, 1e4]))
    expected, found = (
        matching.match(golden["priors"][:, 0], array, labels, 256) for array in (segments, garbage)
    )
    np.testing.assert_array_equal(found.labels, expected.labels)
    matched = found.labels > 0
    assert matched.any()
    np.testing.assert_array_equal(found.loc[matched], expected.loc[matched])


@pytest.mark.parametrize("kind", ["l1", "smooth_l1"])
def test_offset_loss_is_the_formula(kind):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50, 2)) * 2
    error = abs(a - b)
    smooth = np.where(error < 1, error**2 / 2, error - 0.5)
    expected = (smooth if kind == "smooth_l1" else error).sum(-1)
    np.testing.assert_allclose(losses.offset_loss(jnp.asarray(a), b, kind), expected, rtol=1e-5)


def test_label_smoothing_gives_every_class_a_share_of_the_target():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(40, 5)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 5, 40))
    # Without focusing, and with all classes weighted alike, it is half the cross-entropy.
    targets = optax.losses.smooth_labels(jax.nn.one_hot(labels, 5), 0.1)
    expected = optax.losses.softmax_cross_entropy(logits, targets) / 2
    found = focal_loss(logits, labels, alpha=0.5, gamma=0.0, smoothing=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # The weight and the focus are those of each term.
    p = jax.nn.softmax(logits) + 1e-6
    weight = jnp.where(labels > 0, 0.75, 0.25)[:, None]
    expected = (targets * -weight * (1 - p) ** 2 * jnp.log(p)).sum(-1)
    found = focal_loss(logits, labels, alpha=0.75, gamma=2.0, smoothing=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_label_smoothing_changes_both_classification_losses_alone():
    config, _ = variant("anet")
    rng = np.random.default_rng(1)
    count, classes = 189, config.model.num_classes
    loc = jnp.asarray(rng.uniform(1, 9, (1, count, 2)), jnp.float32)
    conf = [jnp.asarray(rng.normal(size=(1, count, classes)), jnp.float32) for _ in range(2)]
    predictions = Predictions(loc, conf[0], jnp.zeros_like(loc), conf[1], jnp.zeros((1, count)))
    labels = jnp.asarray(rng.integers(0, 2, (1, count)))
    targets = matching.Targets(loc + 0.1, labels)
    plain = losses.detection_losses(predictions, targets, config.loss, config.matching)
    config.loss.label_smoothing = 0.1
    smooth = losses.detection_losses(predictions, targets, config.loss, config.matching)
    changed = {name for name in plain if plain[name] != smooth[name]}
    assert changed == {"conf", "prop_conf"}


def test_boundary_loss_stays_finite_for_dead_and_saturated_features():
    for value in (0.0, 1e9):
        features = jnp.full((1, 4, 3), value)
        target = jnp.array([[0.0, 1.0, 0.0, 1.0]])
        loss, gradient = jax.value_and_grad(losses.boundary_loss)(features, target)
        assert loss == pytest.approx(50)
        assert np.isfinite(gradient).all()


def test_clip_without_actions_teaches_only_background():
    config, _ = variant("anet")
    rng = np.random.default_rng(1)
    count, classes = 189, config.model.num_classes
    predictions = Predictions(
        loc=jnp.asarray(rng.uniform(1, 9, (1, count, 2)), jnp.float32),
        conf=jnp.asarray(rng.normal(size=(1, count, classes)), jnp.float32),
        prop_loc=jnp.zeros((1, count, 2)),
        prop_conf=jnp.zeros((1, count, classes)),
        center=jnp.zeros((1, count)),
    )
    targets = matching.Targets(jnp.full((1, count, 2), -5.0), jnp.zeros((1, count), jnp.int32))
    terms = losses.detection_losses(predictions, targets, config.loss, config.matching)
    assert terms["loc"] == terms["prop_loc"] == terms["center"] == 0
    assert terms["conf"] > 0
    assert terms["prop_conf"] > 0
