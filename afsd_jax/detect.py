"""`python -m afsd_jax.detect`: the command `afsd detect`."""

import sys

from afsd_jax.cli import main

if __name__ == "__main__":
    sys.exit(main(["detect", *sys.argv[1:]]))
