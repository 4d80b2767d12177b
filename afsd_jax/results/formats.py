"""The names of the output formats, which are also the suffixes of their files."""

from afsd_jax.data.annotations.annotation_formats import FORMATS as ANNOTATION_FORMATS

FORMATS = ("json", "csv", "vtt", "srt", "html", "png")
# Files for tools in which people label, which `annotation_formats` writes.
_NOT_FOR_LABELLING = ("csv", "activitynet", "actionformer", "opentad")
TOOLS = tuple(name for name in ANNOTATION_FORMATS if name not in _NOT_FOR_LABELLING)
