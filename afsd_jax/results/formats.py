"""The names of the output formats, which are also the suffixes of their files."""

FORMATS = ("json", "csv", "vtt", "srt", "html", "png")
