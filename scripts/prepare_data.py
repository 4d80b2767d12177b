"""Prepares a data set; the same as `afsd prepare`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["prepare", *sys.argv[1:]]))
