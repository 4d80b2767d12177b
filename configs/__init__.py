"""One configuration file per data set; its `get_config` takes an optional variant."""
