"""The command `afsd`: one file per command, with its flags, its checks and what it starts."""

from afsd_jax.cli.parser import main as main
