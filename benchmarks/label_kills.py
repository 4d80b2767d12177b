"""Kills the server of the labelling page at random moments, and checks that nothing is lost.

    python benchmarks/label_kills.py [--kills 200] [--seed 1] [--output FILE]

After each kill the labels file must be whole, and the next server must have every change that was
answered. The suite does the same with 20 kills (tests/labelling/test_kills.py).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import provenance

sys.path.insert(0, str(Path(__file__).parent.parent))

from afsd_jax.io.files import write_json
from tests.labelling.killed import check_kills
from tests.video_files import numbered_frames, write_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file of the result")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "one.mp4", numbered_frames(50), rate=25)
        labels = Path(folder) / "labels" / "labels.csv"
        labels.parent.mkdir()
        count = check_kills(Path(folder), labels, args.kills, args.seed)
    minutes = (time.monotonic() - began) / 60
    if args.output:
        result = {"kills": args.kills, "seed": args.seed, "changes": count, "lost": 0}
        result["minutes"] = round(minutes, 1)
        origin = {"command": "python benchmarks/label_kills.py", **provenance("uvicorn")}
        write_json(args.output, origin | result)
    print(f"{args.kills} kills, {count} changes sent, no answered change lost, {minutes:.1f} min")


if __name__ == "__main__":
    main()
