"""Networks with the goldens' weights, and comparisons with the goldens."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
import torch

from afsd_jax.weights import pytorch
from tests.golden import weights
from tests.support import GOLDEN
from tests.torch_twin import AFSD

Detections = Mapping[str, list[dict]]


def golden_state(network: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """Returns the goldens' value of every parameter and buffer of `network`."""
    return {
        name: torch.from_numpy(np.asarray(weights.array(name, tuple(value.shape), seed)))
        for name, value in network.state_dict().items()
    }


def golden_parameters(config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
    """Returns the goldens' weights, converted from their official names to ours."""
    shapes = pytorch.parameter_shapes(config)
    official = pytorch.official_shapes(shapes, config)
    state = {name: weights.array(name, shape) for name, shape in official.items()}
    return pytorch.from_pytorch(state, shapes, config)


def golden_twin(config: ml_collections.ConfigDict, seed: int = 0) -> AFSD:
    """Returns the PyTorch twin with the goldens' weights, in inference mode."""
    network = AFSD(config.model, config.data.crop_size).eval()
    network.load_state_dict(golden_state(network, seed))
    return network


def check_gradient_norms(found: Mapping[str, float], golden: Mapping[str, Sequence[float]]) -> None:
    """Asserts that gradient norms are the golden ones, by official parameter name.

    A norm holds within 1e-3. In the trunk a ReLU or maximum that is decided by the last bit moves
    norms by up to 4e-3: so much differ two runs of the reference with one and with two threads.
    There half of the norms hold within 1e-3 and all within 1e-2.
    """
    error = {
        key: abs(found[key] / norm - 1) if norm else found[key]  # some gradients are all zero
        for key, (norm, _) in golden.items()
    }
    trunk = {key for key in error if key.startswith("backbone.")}
    assert {key: e for key, e in error.items() if e > (1e-2 if key in trunk else 1e-3)} == {}
    assert np.median([error[key] for key in trunk]) <= 1e-3


def _is_same(found: dict, expected: dict) -> bool:
    ends = zip(found["segment"], expected["segment"], strict=True)
    return (
        found["label"] == expected["label"]
        and all(abs(a - b) <= 0.02 for a, b in ends)
        and abs(found["score"] / expected["score"] - 1) <= 1e-3
    )


def check_detections(found: Detections, golden_name: str) -> None:
    """Asserts that all but 0.5 % of the detections are the golden ones, and few are others."""
    golden = json.loads((GOLDEN / f"detect_{golden_name}.json").read_text())["results"]
    assert found.keys() == golden.keys()
    total = sum(len(detections) for detections in golden.values())
    missing, extra = 0, 0
    for name, expected in golden.items():
        left = list(found[name])
        for detection in expected:
            match = next((other for other in left if _is_same(other, detection)), None)
            if match is None:
                missing += 1
            else:
                left.remove(match)
        # Of each class the reference drops the last candidate.
        extra += sum(count - 1 for count in Counter(other["label"] for other in left).values())
    assert missing <= 0.005 * total
    assert extra <= 0.005 * total
