"""Runs the whole system; the same as `afsd demo`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
