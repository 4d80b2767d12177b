"""Scores detections against a ground truth; the same as `afsd evaluate`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
