"""Shows what a prepared data set holds; the same as `afsd inspect`."""

import sys

from afsd_jax.cli.parser import main

if __name__ == "__main__":
    sys.exit(main(["inspect", *sys.argv[1:]]))
