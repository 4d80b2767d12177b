"""File formats, and writing files in one piece."""
