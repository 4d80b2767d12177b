"""Estimates the cost of training on many accelerators: the tables of docs/scaling.md.

    python benchmarks/scaling.py [--clip-seconds S] [--clips N]

Bytes and operations are counted in the network of thumos14:rgb. The machine is an assumption:
accelerators in nodes of eight, see `Machine`.
"""

import argparse
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import resolve
from afsd_jax.models import parameters

DEVICES = (1, 8, 64, 512)
NODE = 8  # accelerators
PASSES = 3  # forward, and twice that backward
CLIPS_A_STEP = 2  # a clip and its consistency clip


class Machine(NamedTuple):
    """Assumed of each accelerator: operations and bytes a second, and seconds a message.

    The figures are those of an H100 with NVLink and one 400 Gbit/s adapter, at shares that
    are usually reached: a fifth of the peak of TF32 in convolutions, four fifths of the links'.
    """

    flops: float = 0.2 * 495e12
    inside: float = 0.8 * 450e9
    between: float = 0.8 * 50e9
    latency_s: float = 10e-6


def reduction_s(size: float, devices: int, machine: Machine) -> float:
    """Returns the seconds in which devices sum `size` bytes, by rings in and between the nodes.

    Inside a node each keeps an eighth of the sum, nodes then sum these eighths, and inside a node
    they are gathered: 2 (n - 1) / n of the bytes over each ring of n.
    """

    def ring(count: int, size: float, rate: float) -> float:
        return 2 * (count - 1) * (size / count / rate + machine.latency_s)

    inside = min(devices, NODE)
    return ring(inside, size, machine.inside) + ring(
        devices // inside, size / inside, machine.between
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clip-seconds", type=float, help="measured for a clip's step")
    parser.add_argument("--clips", type=int, default=7842, help="of the training split (THUMOS14)")
    args = parser.parse_args()
    config = resolve(load_config("thumos14:rgb"), 20)
    learned = sum(math.prod(x.shape) for x in parameters.learned_shapes(config).values())
    size = 4 * learned
    data = config.data
    clips = jnp.zeros((1, data.clip_length, data.crop_size, data.crop_size, 3))
    network = parameters.abstract_network(config)
    forward = jax.jit(lambda weights, x: parameters.replace(network, weights)(x).predictions)
    cost = forward.lower(parameters.shapes(config), clips).cost_analysis()
    machine = Machine()
    flops = PASSES * CLIPS_A_STEP * cost["flops"]
    seconds = args.clip_seconds or flops / machine.flops
    print(f"parameters that learn: {learned:,}; bytes reduced a step: {size:,}")
    print(
        f"a forward pass: {cost['flops'] / 1e9:.0f} GFLOP; a clip's step: {flops / 1e9:.0f} GFLOP"
    )
    print(f"a clip's step takes {1000 * seconds:.1f} ms")
    print("\n| accelerators | sum of gradients, ms | efficiency | clips/s | state, MB each |")
    print("|---|---|---|---|---|")
    for devices in DEVICES:
        reduction = reduction_s(size, devices, machine)
        efficiency = seconds / (seconds + reduction)
        # Weights and Adam's two moments; sharded, as with train.shard_state.
        state = 3 * size / 1e6
        print(
            f"| {devices} | {1000 * reduction:.2f} | {efficiency:.1%} "
            f"| {devices * efficiency / seconds:,.0f} | {state:.0f} or {state / devices:.1f} |"
        )
    print("\n| accelerators | batch | rate | warm-up steps | steps an epoch |")
    print("|---|---|---|---|---|")
    for devices in DEVICES:
        rate = config.optimizer.learning_rate * devices**0.5
        steps = args.clips // devices
        print(
            f"| {devices} | {devices} | {rate:.1e} | {0 if devices == 1 else steps} | {steps:,} |"
        )


if __name__ == "__main__":
    main()
