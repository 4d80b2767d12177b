"""Damages a checkpoint 200 times, and counts how often the damage is detected.

    python benchmarks/checkpoint_damage.py [CASES]

Each case flips one random bit of a random file or truncates the file, and then reads the complete
step as training does. The result is "refused" (detected), "believed" (wrong values were read),
"traceback", or "harmless" if all values are unchanged, for example after a change of white space in
checksums.json.
"""

import argparse
import collections
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from afsd_jax.config import default_config, resolve
from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, checksums


def main(cases: int = 200) -> int:
    """Prints the counts; returns 1 if damage was believed or caused a traceback."""
    config = default_config()
    config.data.clip_length, config.data.crop_size = 64, 32
    config.model.update({"trunk_width": 0.05, "channels": 16, "groups": 4})
    config = resolve(config, 20)
    weights = parameters.flatten(parameters.build_network(config))
    random, counts = np.random.default_rng(0), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoints"
        with checkpoint.open_manager(folder) as manager:
            description = checkpoint.describe(config, [f"act {i}" for i in range(20)])
            checkpoint.save(manager, 1, weights, description, optimizer=weights)
        start = time.monotonic()
        checksums.damaged(folder / "1")
        seconds = time.monotonic() - start
        files = [path for path in (folder / "1").rglob("*") if path.is_file()]
        files = [path for path in files if path.stat().st_size]
        for _ in range(cases):
            path = files[random.integers(len(files))]
            content = path.read_bytes()
            position, cut = int(random.integers(len(content))), random.random() < 0.3
            flipped = bytes([content[position] ^ 1 << int(random.integers(8))])
            path.write_bytes(
                content[:position] + (b"" if cut else flipped + content[position + 1 :])
            )
            counts[outcome(folder, weights)] += 1
            path.write_bytes(content)
        size = sum(path.stat().st_size for path in files)
    print(
        dict(counts), f"of {len(files)} files; verifying {size / 1e6:.1f} MB took {seconds:.3f} s"
    )
    return int(bool(counts["believed"] or counts["traceback"]))


def outcome(folder: Path, weights: dict) -> str:
    """Reads the step as a resumed training does; returns the result."""
    try:
        if checksums.damaged(folder / "1"):
            return "refused"
        found = checkpoint.read(folder, 1).weights
        checkpoint.read_item(folder, 1, "optimizer", weights)
    except UserError:
        return "refused"
    except Exception:
        traceback.print_exc()
        return "traceback"
    same = all(np.array_equal(found[name], value) for name, value in weights.items())
    return "harmless" if same else "believed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="?", type=int, default=200)
    sys.exit(main(parser.parse_args().cases))
