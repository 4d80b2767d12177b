"""File formats, and writing files completely or not at all."""
