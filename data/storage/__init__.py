"""Prepared data on disk: its schema, its frames' encoding, its shards."""
