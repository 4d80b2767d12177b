"""`python -m afsd_jax.cli`: the command `afsd`."""

import sys

from afsd_jax.cli import main

sys.exit(main())
