"""ELAN's .eaf: an XML file per video, with time slots and tiers of annotations."""

from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.decode.media import is_video
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_bytes

_MOST_CHARACTERS = 10_000  # of a value


def read_elan(path: Path) -> Annotations:
    """Reads the annotations with their own times, in all tiers.

    The label is the annotation's value or, if that is empty, the name of its tier. The video is the
    first one that the file links to or, without a link, the one with the same name as the file.

    Raises:
      UserError: the file is not such XML, or it defines entities, which could grow without limit.
    """
    reader = _Reader(path)
    try:
        reader.parser.Parse(read_bytes(path), True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UserError:
        raise
    except (expat.ExpatError, LookupError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not valid XML ({error}); save it again in ELAN") from error
    return reader.annotations()


class _Reader:
    """Handlers for the parser's events; the format needs no tree."""

    def __init__(self, path: Path):
        self._path = path
        self._root = self._video = self._tier = self._value = ""
        self._has_times = False
        self._slots: dict[str, float | None] = {}
        self._rows: list[tuple[str, str, str, str, str]] = []  # tier, value, slots, place
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.CharacterDataHandler = self._text
        self.parser.EndElementHandler = self._end

    @property
    def _place(self) -> str:
        return f"{self._path}, line {self.parser.CurrentLineNumber}"

    def _refuse_doctype(self, *_: object) -> None:
        raise UserError(f"{self._place}: ELAN's files have no DOCTYPE; save it again in ELAN")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        def attribute(name: str) -> str:
            if name not in attributes:
                raise UserError(f"{self._place}: {tag} has no {name}; save it again in ELAN")
            return attributes[name]

        self._root = self._root or tag
        if self._root != "ANNOTATION_DOCUMENT":
            raise UserError(f"{self._place}: {tag} is not ELAN's ANNOTATION_DOCUMENT")
        self._value = ""
        if tag == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise UserError(
                f"{self._place}: TIME_UNITS must be milliseconds; save it again in ELAN"
            )
        if tag == "MEDIA_DESCRIPTOR" and not self._video:
            self._link(attributes)
        elif tag == "TIME_SLOT":
            self._slots[attribute("TIME_SLOT_ID")] = self._time_s(attributes.get("TIME_VALUE"))
        elif tag == "TIER":
            self._tier = attribute("TIER_ID")
        elif tag == "REF_ANNOTATION":
            self._has_times = False
        elif tag == "ALIGNABLE_ANNOTATION":
            self._has_times = True
            slots = attribute("TIME_SLOT_REF1"), attribute("TIME_SLOT_REF2")
            self._rows.append((self._tier, "", *slots, self._place))

    def _text(self, data: str) -> None:
        self._value += data
        if len(self._value) > _MOST_CHARACTERS:
            raise UserError(f"{self._place}: a text has more than {_MOST_CHARACTERS} characters")

    def _end(self, tag: str) -> None:
        if tag == "ANNOTATION_VALUE" and self._has_times:
            tier, _, first, last, place = self._rows[-1]
            self._rows[-1] = (tier, self._value.strip(), first, last, place)

    def _link(self, attributes: dict[str, str]) -> None:
        """Stores the linked file if it is a video."""
        url = attributes.get("MEDIA_URL") or attributes.get("RELATIVE_MEDIA_URL", "")
        if is_video(Path(url)) or attributes.get("MIME_TYPE", "").startswith("video/"):
            self._video = unquote(url)
            if self._time_s(attributes.get("TIME_ORIGIN")):
                raise UserError(
                    f"{self._place}: the video has a TIME_ORIGIN; set its offset to 0 in ELAN "
                    "(Options > Media Synchronization Mode)"
                )

    def _time_s(self, value: str | None) -> float | None:
        if value is None:
            return None
        if not value.strip().lstrip("-").isdecimal():
            raise UserError(f"{self._place}: a time must be whole milliseconds, not {value!r}")
        return int(value) / 1000

    def annotations(self) -> Annotations:
        """Returns the video with its actions."""
        collector = Collector()
        name = collector.add_video(self._video or self._path.stem, str(self._path))
        for tier, value, first, last, place in self._rows:
            for slot in (first, last):
                if slot not in self._slots:
                    raise UserError(f"{place}: time slot {slot!r} is not in TIME_ORDER")
            start_s, end_s = self._slots[first], self._slots[last]
            if start_s is None or end_s is None:
                collector.leave_out(name, f"{value or tier!r} has no time of its own", place)
            else:
                collector.add_action(name, value or tier, start_s, end_s, place)
        return collector.annotations()
