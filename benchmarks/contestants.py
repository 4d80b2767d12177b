"""What `benchmarks/speed.py` compares, each in a process of its own.

    python benchmarks/contestants.py WORK NAME BATCH

builds the contestant, works once, and prints the seconds of that; then it works once for every
line on standard input and prints the seconds. At the end of the input it prints its peak memory,
MiB. The network is that of THUMOS14 RGB, untrained, its clip 256x96x96.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

Work = Callable[[], Any]


def network_config() -> ml_collections.ConfigDict:
    """Returns the published configuration for RGB."""
    from afsd_jax.config import resolve
    from afsd_jax.configs import thumos14

    return resolve(thumos14.get_config("rgb"), len(thumos14.CLASSES))


def training_batch(config: ml_collections.ConfigDict, size: int) -> dict[str, np.ndarray]:
    """Returns a batch as the pipeline gives it: noise with three actions a clip."""
    from afsd_jax.data.clips.consistency import consistency_clip
    from afsd_jax.data.clips.training_clips import boundary_targets

    length, crop = config.data.clip_length, config.data.crop_size
    frames = np.random.default_rng(0).integers(
        0, 256, (size, length, crop, crop, config.model.in_channels), np.uint8
    )
    segments = np.array([[20.0, 44.0], [90.0, 130.0], [170.0, 185.0]])
    moved = consistency_clip(segments, length, cut=8, pick=lambda options: options // 2)
    start, end = boundary_targets(segments, length)
    clip = {
        "num_frames": np.int32(length),
        "segments": segments.astype(np.float32),
        "labels": np.array([3, 7, 3], np.int32),
        "start_target": start,
        "end_target": end,
        "consistency_index": moved.index,
        "consistency_segments": moved.segments.astype(np.float32),
        "consistency_mask": np.bool_(True),
    }
    return {"frames": frames} | {
        name: np.repeat(np.asarray(value)[None], size, 0) for name, value in clip.items()
    }


def product_jax(dtype: str, size: int) -> Work:
    """A product of two square matrices of this size."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((size, size), dtype)
    multiply = jax.jit(jnp.matmul)
    return lambda: multiply(a, a).block_until_ready()


def product_torch(dtype: str, size: int) -> Work:
    """A product of two square matrices of this size."""
    import torch

    a = torch.ones((size, size), dtype=getattr(torch, dtype), device=_torch_device())
    return lambda: _wait(a @ a)


def forward_jax(dtype: str, size: int) -> Work:
    """Clips through the detector's own program: network, decoding of its outputs."""
    import jax

    from afsd_jax.detector import Detector
    from afsd_jax.weights import checkpoint, parameters

    config = network_config()
    config.model.dtype = dtype
    names = tuple(str(i) for i in range(config.model.num_classes - 1))
    weights = parameters.flatten(parameters.build_network(config))
    detector = Detector([checkpoint.Checkpoint(config, names, weights)])
    frames = training_batch(config, size)["frames"]
    lengths = np.full(size, config.data.clip_length)
    return lambda: jax.block_until_ready(detector._forward(detector.weights, [frames], lengths))


def step_jax(dtype: str, size: int) -> Work:
    """Training steps: clips and consistency clips, all losses, Adam."""
    import jax

    from afsd_jax.host_memory import keep_freed_memory
    from afsd_jax.optimizer import make_optimizer
    from afsd_jax.train_step import init_state, make_train_step
    from afsd_jax.weights import parameters

    keep_freed_memory()
    config = network_config()
    config.model.dtype = dtype
    optimizer = make_optimizer(config.optimizer, 1000)
    network = parameters.build_network(config)
    state = init_state(network, optimizer)
    step = make_train_step(network, optimizer, config)
    batch = training_batch(config, size)

    def work() -> None:
        nonlocal state
        state = jax.block_until_ready(step(state, batch))[0]

    return work


def forward_torch(variant: str, size: int) -> Work:
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


def step_torch(variant: str, size: int) -> Work:
    """Training steps of the PyTorch twin, of the same terms."""
    import torch

    from tests import torch_twin as twin

    config = network_config()
    network, clips = _twin(size)
    network.train()
    if variant != "published":
        network, clips = _channels_last(network, clips)
    if variant == "compiled":
        network = torch.compile(network)
    optimizer = twin.optimizer(network, config.optimizer)
    batch = training_batch(config, size)
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


def _twin(size: int) -> tuple[Any, Any]:
    import torch

    from tests import torch_twin as twin

    config = network_config()
    clips = torch.cat([twin.normalise(frames) for frames in training_batch(config, size)["frames"]])
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


CONTESTANTS: dict[str, dict[str, Callable[[int], Work]]] = {
    "product": {
        "jax float32": lambda size: product_jax("float32", size),
        "jax bfloat16": lambda size: product_jax("bfloat16", size),
        "torch float32": lambda size: product_torch("float32", size),
        "torch bfloat16": lambda size: product_torch("bfloat16", size),
    },
    "forward": {
        "afsd_jax": lambda size: forward_jax("float32", size),
        "afsd_jax bfloat16": lambda size: forward_jax("bfloat16", size),
        "PyTorch as published": lambda size: forward_torch("published", size),
        "PyTorch channels last, norms folded": lambda size: forward_torch("channels last", size),
        "PyTorch compiled": lambda size: forward_torch("compiled", size),
        "PyTorch bfloat16": lambda size: forward_torch("bfloat16", size),
    },
    "step": {
        "afsd_jax": lambda size: step_jax("float32", size),
        "afsd_jax bfloat16": lambda size: step_jax("bfloat16", size),
        "PyTorch as published": lambda size: step_torch("published", size),
        "PyTorch channels last": lambda size: step_torch("channels last", size),
        "PyTorch compiled": lambda size: step_torch("compiled", size),
        "PyTorch bfloat16": lambda size: step_torch("bfloat16", size),
    },
}


def main() -> None:
    """Works as often as it is asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=CONTESTANTS)
    parser.add_argument("name")
    parser.add_argument("batch", type=int)
    args = parser.parse_args()
    start = time.perf_counter()
    work = CONTESTANTS[args.work][args.name](args.batch)
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
