"""The names of the output formats, which are also the suffixes of their files."""

from afsd_jax.data.annotations.annotation_formats import FORMATS as ANNOTATION_FORMATS

FORMATS = ("json", "csv", "vtt", "srt", "html", "png")
# Files of many videos for tools in which people label; `data.annotations.annotation_formats` writes them.
TOOLS = tuple(name for name in ANNOTATION_FORMATS if name not in ("csv", "activitynet"))
