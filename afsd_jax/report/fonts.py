"""Fonts for texts in any script, chosen from those that are installed."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

REPLACEMENT = "\ufffd"  # drawn for a character that no font has


def make_drawable(figure: "Figure") -> None:
    """Gives texts of a figure fonts that have all their characters.

    Characters that no installed font has, such as bytes of a file name that are not UTF-8, become
    U+FFFD. Matplotlib would fail or warn while drawing.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    for text in figure.findobj(Text):
        _mend(text)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):  # drawing would set its texts again
            labels = axis.get_ticklabels()
            replaced = [_mend(label) for label in labels]
            if any(replaced):
                axis.set_ticklabels([label.get_text() for label in labels], parse_math=False)


def _mend(text: "Text") -> bool:
    """Gives a text fonts that have its characters; returns whether some have none."""
    from matplotlib.font_manager import findfont

    properties = text.get_fontproperties()
    missing = set(text.get_text()) - _characters(findfont(properties))
    if not missing:
        return False
    families = list(properties.get_family())
    for family, characters in _installed_fonts():
        if missing & characters:
            families.append(family)
            missing -= characters
        if not missing:
            break
    text.set_fontfamily(families)
    text.set_text("".join(REPLACEMENT if c in missing else c for c in text.get_text()))
    return bool(missing)


def _installed_fonts() -> Iterator[tuple[str, frozenset[str]]]:
    """Yields family and characters of upright fonts of usual weight, those without serifs first."""
    from matplotlib.font_manager import fontManager

    upright = [font for font in fontManager.ttflist if font.style == "normal"]
    upright = [font for font in upright if font.weight in (400, "normal", "regular", "book")]
    for font in sorted(upright, key=lambda font: ("Sans" not in font.name, font.name)):
        yield font.name, _characters(font.fname)


@functools.cache
def _characters(path: str) -> frozenset[str]:
    """Returns the characters that a font can draw; none if it holds pictures of one size only."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # removed since it was listed, or damaged
        return frozenset()
    usable = font.scalable and "LastResort" not in path  # that font draws a box for everything
    return frozenset(map(chr, font.get_charmap())) if usable else frozenset()
