"""ELAN's .eaf: an XML file per video, with time slots and tiers of annotations."""

import mimetypes
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.parsers import expat

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.marks import Span, date_now, file_name, lanes_of, spans_of
from afsd_jax.data.decode.media import is_video
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_bytes
from afsd_jax.types import MarkedVideo

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
        beside = str(self._path.absolute().with_suffix(""))
        file = collector.add_video(self._video or beside, str(self._path))
        for tier, value, first, last, place in self._rows:
            for slot in (first, last):
                if slot not in self._slots:
                    raise UserError(f"{place}: time slot {slot!r} is not in TIME_ORDER")
            start_s, end_s = self._slots[first], self._slots[last]
            if start_s is None or end_s is None:
                collector.leave_out(file, f"{value or tier!r} has no time of its own", place)
            else:
                collector.add_action(file, value or tier, start_s, end_s, place)
        return collector.annotations()


def elan_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns an annotation document in ELAN's format 3.0, with a tier for each class.

    Times are whole milliseconds, and an action lasts at least one. Actions of one class that
    overlap lie on several tiers, because a tier cannot hold both. Scores are left out: the format
    has no place for them.

    Args:
      videos: one video.
      path: the file that will be written, from which the video's file is linked.
    """
    (video,) = videos
    schema = "http://www.w3.org/2001/XMLSchema-instance"
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "",
            "DATE": date_now(),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": schema,
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if video.path is not None or file_name(video) != video.name:
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", _media(video, path))
    spans = spans_of(video, 1000)
    last = ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last.text = str(len(spans))
    times = sorted({time for span in spans for time in span[:2]})
    slots = {time: f"ts{number}" for number, time in enumerate(times, start=1)}
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for time, name in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time))
    _add_tiers(root, spans, slots)
    ElementTree.SubElement(
        root,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="default-lt",
        TIME_ALIGNABLE="true",
    )
    ElementTree.indent(root, "    ")
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _media(video: MarkedVideo, path: Path) -> dict[str, str]:
    """Returns the attributes that link to a video's file."""
    name = file_name(video)
    kind = mimetypes.guess_type(name)[0] or "unknown"
    if video.path is None:
        url = f"./{quote(name)}"
        return {"MEDIA_URL": url, "MIME_TYPE": kind, "RELATIVE_MEDIA_URL": url}
    relative = Path(os.path.relpath(video.path.absolute(), path.absolute().parent)).as_posix()
    return {
        "MEDIA_URL": video.path.absolute().as_uri(),
        "MIME_TYPE": kind,
        "RELATIVE_MEDIA_URL": quote(relative if relative.startswith(".") else f"./{relative}"),
    }


def _add_tiers(root: ElementTree.Element, spans: Sequence[Span], slots: dict[int, str]) -> None:
    """Adds a tier for each lane of each class; the value of an annotation is the class."""
    by_label = {
        label: lanes_of(members)
        for label, members in groupby(sorted(spans, key=lambda s: (s.label, s)), lambda s: s.label)
    }
    names, count = set(by_label), 0
    for label, lanes in by_label.items():
        for number, lane in enumerate(lanes, start=1):
            name = label
            while number > 1 and name in names:
                name, number = f"{label} ({number})", number + 1
            names.add(name)
            tier = ElementTree.SubElement(
                root, "TIER", LINGUISTIC_TYPE_REF="default-lt", TIER_ID=name
            )
            for span in lane:
                count += 1
                annotation = ElementTree.SubElement(
                    ElementTree.SubElement(tier, "ANNOTATION"),
                    "ALIGNABLE_ANNOTATION",
                    ANNOTATION_ID=f"a{count}",
                    TIME_SLOT_REF1=slots[span.start],
                    TIME_SLOT_REF2=slots[span.end],
                )
                ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = label
