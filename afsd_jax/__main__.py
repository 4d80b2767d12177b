"""`python -m afsd_jax` is the command `afsd`."""

import sys

from afsd_jax.cli import main

sys.exit(main())
