"""Prepared data on disk: its schema, the encoding of its frames, its shards."""
