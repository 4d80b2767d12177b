"""The PyTorch twin computes what the official implementation computes."""

import json

import numpy as np
import pytest
import torch

from tests import torch_twin as twin
from tests.golden.weights import clip
from tests.goldens import check_gradient_norms, golden_twin
from tests.support import GOLDEN, published

CONFIGS = {
    "thumos14_rgb": published("thumos14"),
    "thumos14_flow": published("thumos14", "flow"),
    "anet_rgb": published("anet"),
}


@pytest.mark.parametrize("name", ["thumos14_rgb", "anet_rgb"])
def test_names_and_shapes_are_those_of_the_official_checkpoint(name):
    network = twin.AFSD(CONFIGS[name].model)
    expected = json.loads((GOLDEN / f"state_dict_{name}.json").read_text())
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_forward_goldens_hold_within_a_thousandth_of_the_standard_deviation(name):
    config = CONFIGS[name]
    golden = np.load(GOLDEN / f"forward_{name}.npz")
    frames = clip(config.data.clip_length, config.model.in_channels, 0)
    network = golden_twin(config)
    with torch.no_grad():
        endpoints = network.endpoints(twin.normalise(frames))
        outputs = network.coarse_pyramid_detection(endpoints, len(frames))
    found = {
        "Mixed_4f": endpoints["Mixed_4f"][:, ::64, ::8],
        "Mixed_5c": endpoints["Mixed_5c"][:, ::64, ::4],
        "endpoint_mean": torch.stack([endpoints[name].mean() for name in twin.ENDPOINTS]),
        "endpoint_std": torch.stack([endpoints[name].std() for name in twin.ENDPOINTS]),
        "priors": outputs["priors"][None],
    }
    for key in set(golden.files) - set(found):
        sampled = key.startswith(("start", "end"))
        found[key] = outputs[key][..., ::16] if sampled else outputs[key]
    for key, value in found.items():
        expected = golden[key][..., :1] if key == "priors" else golden[key]
        assert value.shape == expected.shape, key
        assert np.abs(value.numpy() - expected).max() <= 1e-3 * expected.std(), key


@pytest.mark.parametrize("name", ["thumos14", "anet"])
def test_loss_goldens_hold_with_their_gradients(name):
    config = CONFIGS[f"{name}_rgb"]
    golden = np.load(GOLDEN / f"loss_{name}.npz")
    names = "loc", "conf", "prop_loc", "prop_conf", "center"
    outputs = {key: torch.from_numpy(golden[key]).requires_grad_() for key in names}
    levels = [2**i for i in reversed(range(config.model.levels))]
    count = golden["priors"].shape[0]
    cells = torch.tensor(levels) * count // sum(levels)
    outputs["priors"] = torch.from_numpy(golden["priors"][:, :1])
    outputs["level"] = torch.arange(len(levels)).repeat_interleave(cells)[:, None].float()
    segments = [torch.from_numpy(golden[f"segments_{i}"]) for i in range(2)]

    losses = twin.detection_losses(outputs, segments, int(golden["clip_length"]), config)
    found = torch.stack([losses[key] for key in names])
    np.testing.assert_allclose(found.detach().numpy(), golden["losses"], rtol=1e-5)
    (found * torch.from_numpy(golden["loss_weights"])).sum().backward()
    for key in names:
        expected = golden[f"grad_{key}"]
        error = np.abs(outputs[key].grad.numpy() - expected).max()
        assert error <= 1e-5 * np.abs(expected).max(), key


def test_boundary_max_pooling_golden_holds_with_its_gradient():
    golden = np.load(GOLDEN / "boundary_max_pooling.npz")
    features = torch.from_numpy(golden["features"]).requires_grad_()
    output = twin.boundary_max_pooling(features, torch.from_numpy(golden["segments"]))
    np.testing.assert_array_equal(output.detach().numpy(), golden["output"])
    output.backward(torch.from_numpy(golden["grad_output"]))
    np.testing.assert_allclose(features.grad.numpy(), golden["grad_features"], atol=1e-5)


def test_training_golden_holds_for_two_steps():
    name = "thumos14_rgb"
    config = CONFIGS[name]
    golden = json.loads((GOLDEN / f"train_{name}.json").read_text())
    length, channels = config.data.clip_length, config.model.in_channels
    network = golden_twin(config).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    adam = twin.optimizer(network, config.optimizer)
    actions, regions = [torch.tensor(golden["targets"])], torch.tensor([golden["ssl_segments"]])

    for step, expected in enumerate(golden["losses"]):
        adam.zero_grad()
        losses = twin.losses(
            network(twin.normalise(clip(length, channels, 10 + step))), actions, length, config
        )
        losses["total"].backward()
        triplet = network.consistency_loss(
            twin.normalise(clip(length, channels, 20 + step)), regions, config.loss.margin
        )
        (config.loss.consistency_weight * triplet).backward()
        losses["triplet"] = triplet
        losses["total"] = losses["total"] + config.loss.consistency_weight * triplet
        assert {key: value.item() for key, value in losses.items()} == pytest.approx(
            expected, rel=1e-4
        )
        if step == 0:
            gradients = {key: p.grad for key, p in network.named_parameters() if p.grad is not None}
            assert set(gradients) == set(golden["grad_norm_and_sum"])
            found = {key: gradient.norm().item() for key, gradient in gradients.items()}
            check_gradient_norms(found, golden["grad_norm_and_sum"])
        adam.step()

    after = network.state_dict()
    for key, expected in golden["param_delta_norm_after_2_steps"].items():
        assert (after[key] - before[key]).norm().item() == pytest.approx(expected, rel=0.02), key
    for key in set(after) - set(golden["grad_norm_and_sum"]):
        assert torch.equal(after[key], before[key]), key
