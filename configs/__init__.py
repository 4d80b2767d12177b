"""One configuration file per benchmark; each has `get_config(variant)`."""
