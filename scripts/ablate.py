"""Trains and compares the network without some of its parts; the same as `afsd ablate`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["ablate", *sys.argv[1:]]))
