"""One configuration file per benchmark; each has `get_config`, with or without a variant."""
