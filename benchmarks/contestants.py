"""The implementations that `benchmarks/speed.py` compares, each in its own process.

    python benchmarks/contestants.py WORK NAME BATCH LENGTH

builds the implementation, runs it once and prints the seconds; then it runs it once for each line
on standard input and prints the seconds. At the end of the input it prints the peak memory in MiB.
The network is that of THUMOS14 RGB, untrained, with clips of LENGTH x 96 x 96.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

Work = Callable[[], Any]
ACTIONS = ((20.0, 44.0), (90.0, 130.0), (170.0, 185.0))  # frames


class Size(NamedTuple):
    """The size of one run.

    batch: number of clips, or rows of a matrix; length: frames per clip, a multiple of 256.
    """

    batch: int
    length: int = 256


def network_config(size: Size) -> ml_collections.ConfigDict:
    """Returns the published configuration for RGB, with clips of another length."""
    from afsd_jax.config import resolve
    from afsd_jax.configs import thumos14

    config = resolve(thumos14.get_config("rgb"), len(thumos14.CLASSES))
    config.data.clip_length = size.length
    return config


def training_batch(config: ml_collections.ConfigDict, batch: int) -> dict[str, np.ndarray]:
    """Returns a batch as the pipeline gives it: noise with three actions a clip."""
    from tests.training_clips import training_clip

    clip = training_clip(config.data.clip_length, config.data.crop_size, ACTIONS)
    return {name: np.repeat(value, batch, 0) for name, value in clip.items()}


def product_jax(dtype: str, size: Size) -> Work:
    """A product of two square matrices of this size."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((size.batch, size.batch), dtype)
    multiply = jax.jit(jnp.matmul)
    return lambda: multiply(a, a).block_until_ready()


def product_torch(dtype: str, size: Size) -> Work:
    """A product of two square matrices of this size."""
    import torch

    a = torch.ones((size.batch, size.batch), dtype=getattr(torch, dtype), device=_torch_device())
    return lambda: _wait(a @ a)


def forward_jax(backend: str, dtype: str, size: Size) -> Work:
    """Clips through the detector's own program: network, decoding of its outputs."""
    import jax

    from afsd_jax.cli.process import set_up_process
    from afsd_jax.detection.detector import Detector
    from afsd_jax.models import parameters
    from afsd_jax.weights import checkpoint

    set_up_process()
    config = network_config(size)
    config.model.dtype = dtype
    names = tuple(str(i) for i in range(config.model.num_classes - 1))
    weights = parameters.flatten(parameters.build_network(config))
    detector = Detector([checkpoint.Checkpoint(0, config, names, weights)], backend)
    frames = training_batch(config, size.batch)["frames"]
    lengths = np.full(size.batch, config.data.clip_length)
    return lambda: jax.block_until_ready(detector._forward(detector.weights, [frames], lengths))


def step_jax(dtype: str, size: Size) -> Work:
    """Training steps: clips and consistency clips, all losses, Adam."""
    import jax

    from afsd_jax.cli.process import set_up_process
    from afsd_jax.models import parameters
    from afsd_jax.runtime import memory
    from afsd_jax.training.optimizer import make_optimizer
    from afsd_jax.training.state import init_state
    from afsd_jax.training.step import make_train_step

    memory.start_with_huge_pages()
    set_up_process()
    config = network_config(size)
    config.model.dtype = dtype
    optimizer = make_optimizer(config.optimizer, 1000)
    network = parameters.build_network(config)
    state = init_state(network, optimizer)
    step = make_train_step(network, optimizer, config, stored=True)
    batch = training_batch(config, size.batch)

    def work() -> None:
        nonlocal state
        state = jax.block_until_ready(step(state, batch))[0]

    return work


def forward_torch(variant: str, size: Size) -> Work:
    """Clips through the PyTorch twin; its outputs are not decoded."""
    import torch

    network, clips = _twin(size)
    network.eval()
    if variant != "published":
        _fold_norms(network)
        network, clips = _channels_last(network, clips)
    if variant == "compiled":
        network = torch.compile(network)
    dtype = torch.bfloat16 if variant == "bfloat16" else None

    def work() -> None:
        with torch.inference_mode(), _autocast(dtype):
            _wait(network(clips)["conf"])

    return work


def step_torch(variant: str, size: Size) -> Work:
    """Training steps of the PyTorch twin, of the same terms."""
    import torch

    from tests import torch_twin as twin

    config = network_config(size)
    network, clips = _twin(size)
    network.train()
    if variant != "published":
        network, clips = _channels_last(network, clips)
    if variant == "compiled":
        network = torch.compile(network)
    optimizer = twin.optimizer(network, config.optimizer)
    batch = training_batch(config, size.batch)
    device = clips.device
    actions = [
        torch.tensor(np.concatenate([s, lab[:, None]], 1), dtype=torch.float32, device=device)
        for s, lab in zip(batch["segments"], batch["labels"], strict=True)
    ]
    regions = torch.tensor(batch["consistency_segments"], device=device)
    index = torch.tensor(batch["consistency_index"][0], device=device)
    dtype = torch.bfloat16 if variant == "bfloat16" else None

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(dtype):
            outputs = network(clips)
        outputs = {name: value.float() for name, value in outputs.items()}
        total = twin.losses(outputs, actions, config.data.clip_length, config)["total"]
        with _autocast(dtype):
            consistency = network.consistency_loss(clips[:, :, index], regions)
        (total + config.loss.consistency_weight * consistency).backward()
        optimizer.step()
        _wait(total)

    return work


def _torch_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _twin(size: Size) -> tuple[Any, Any]:
    import torch

    from tests import torch_twin as twin

    config = network_config(size)
    clips = torch.cat(
        [twin.normalise(frames) for frames in training_batch(config, size.batch)["frames"]]
    )
    device = _torch_device()
    torch.set_default_device(device)
    return twin.AFSD(config.model, config.data.crop_size).to(device), clips.to(device)


def _channels_last(network: Any, clips: Any) -> tuple[Any, Any]:
    import torch

    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return network, clips.contiguous(memory_format=torch.channels_last_3d)


def _fold_norms(network: Any) -> None:
    """Folds each BatchNorm of the trunk into the convolution before it."""
    import torch

    for unit in network.backbone.modules():
        if hasattr(unit, "bn"):
            fused = torch.nn.utils.fuse_conv_bn_eval(unit.conv3d.eval(), unit.bn.eval())
            unit.conv3d, unit.bn = fused, torch.nn.Identity()


def _autocast(dtype: Any) -> Any:
    import torch

    return torch.autocast(_torch_device(), dtype or torch.bfloat16, enabled=dtype is not None)


def _wait(x: Any) -> None:
    x.flatten()[0].item()


CONTESTANTS: dict[str, dict[str, Callable[[Size], Work]]] = {
    "product": {
        "JAX float32": partial(product_jax, "float32"),
        "JAX bfloat16": partial(product_jax, "bfloat16"),
        "PyTorch float32": partial(product_torch, "float32"),
        "PyTorch bfloat16": partial(product_torch, "bfloat16"),
    },
    "forward": {
        "afsd_jax": partial(forward_jax, "xla", "float32"),
        "afsd_jax bfloat16": partial(forward_jax, "xla", "bfloat16"),
        "afsd_jax + OpenVINO": partial(forward_jax, "openvino", "float32"),
        "afsd_jax + OpenVINO bfloat16": partial(forward_jax, "openvino-bfloat16", "float32"),
        "PyTorch as published": partial(forward_torch, "published"),
        "PyTorch channels last, folded": partial(forward_torch, "channels last"),
        "PyTorch channels last, folded, bfloat16": partial(forward_torch, "bfloat16"),
        "PyTorch compiled": partial(forward_torch, "compiled"),
    },
    "step": {
        "afsd_jax": partial(step_jax, "float32"),
        "afsd_jax bfloat16": partial(step_jax, "bfloat16"),
        "PyTorch as published": partial(step_torch, "published"),
        "PyTorch channels last": partial(step_torch, "channels last"),
        "PyTorch channels last, bfloat16": partial(step_torch, "bfloat16"),
        "PyTorch compiled": partial(step_torch, "compiled"),
    },
}


def main() -> None:
    """Works as often as it is asked to."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the twin and its batch lie among the tests
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=CONTESTANTS)
    parser.add_argument("name")
    parser.add_argument("batch", type=int)
    parser.add_argument("length", type=int)
    args = parser.parse_args()
    start = time.perf_counter()
    work = CONTESTANTS[args.work][args.name](Size(args.batch, args.length))
    built = time.perf_counter()
    work()
    print(time.perf_counter() - built, built - start, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    main()
