"""Converts PyTorch weights to a checkpoint folder, and back; the same as `afsd convert`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
