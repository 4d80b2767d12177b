"""What a file holds, by its first bytes: for messages about a file that is something else."""

import os
import re
from pathlib import Path

VIDEO, PICTURE = "a video", "a picture"
_LONGEST = 16  # bytes of a signature
_KINDS = {
    PICTURE: rb"\xff\xd8\xff|\x89PNG|II\*\0|MM\0\*|BM.{4}\0{4}|RIFF.{4}WEBP"
    rb"|.{4}ftyp(?:avif|hei[cfx]|mif1)",
    "a sound file": rb"ID3|\xff[\xe2\xe3\xf1-\xf3\xf9-\xfb]|fLaC|FORM.{4}AIF[CF]|RIFF.{4}WAVE"
    rb"|.{4}ftypM4[AB]",
    VIDEO: rb".{4}ftyp|.{4}moov|\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|GIF8[79]a"
    rb"|\0\0\x01[\xb3\xba]|\x30\x26\xb2\x75",
}


def file_kind(path: str | os.PathLike[str]) -> str | None:
    """Returns "a picture", "a sound file" or "a video"; None for other and for unreadable files.

    Signatures are those of common formats, so None does not say that a file is no video.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(_LONGEST)
    except OSError:
        return None
    return next((kind for kind, form in _KINDS.items() if re.match(form, head, re.DOTALL)), None)
