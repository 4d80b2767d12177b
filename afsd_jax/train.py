"""`python -m afsd_jax.train`: the command `afsd train`."""

import sys

from afsd_jax.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    sys.exit(main())
