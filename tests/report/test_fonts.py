"""Pictures show any script that a font is there for."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from afsd_jax.report.fonts import REPLACEMENT, make_drawable
from afsd_jax.report.timeline import draw_timeline, timeline_figure
from afsd_jax.report.tracks import Track
from afsd_jax.types import Detection

CHARACTER = "\U0001e900"  # Adlam, which the usual fonts lack
FAMILY = "A font for one test"


@pytest.fixture
def adlam(tmp_path) -> Iterator[str]:
    """A font that draws the character as a black square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    glyphs = {".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()}
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(glyphs))
    font.setupCharacterMap({ord(CHARACTER): "square"})
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.save(tmp_path / "font.ttf")
    fontManager.addfont(str(tmp_path / "font.ttf"))
    yield FAMILY
    fontManager.ttflist = [entry for entry in fontManager.ttflist if entry.name != FAMILY]


def texts(name: str) -> list[str]:
    figure = timeline_figure([Track(name, 10.0, [Detection(name, 0.9, 1, 6)])])
    (heading, *_), legend = figure.axes[0].texts, figure.legends[0]
    return [heading.get_text(), legend.get_texts()[0].get_text()]


def dark_pixels(folder: Path, name: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_timeline(folder / "x.png", [Track(name, 10.0, [])])
    with Image.open(folder / "x.png") as picture:
        return int(np.sum(np.asarray(picture.convert("L")) < 50))


def test_a_font_that_is_there_is_used(tmp_path, adlam):
    assert texts(f"pen {CHARACTER}") == [f"pen {CHARACTER}"] * 2
    # Four squares of 10.5 points at 150 dots an inch.
    drawn = dark_pixels(tmp_path, f"pen {CHARACTER * 4}") - dark_pixels(tmp_path, "pen ")
    assert drawn == pytest.approx(4 * (10.5 * 150 / 72) ** 2, rel=0.1)


def test_names_at_an_axis_are_drawable_too(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.set_yticks([0, 1], [f"pen {CHARACTER}", "$a$"], parse_math=False)
    make_drawable(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "x.png")
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"pen {REPLACEMENT}", "$a$"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Käfig_é1", "Käfig_é1"),
        ("курица $x$ _a", "курица $x$ _a"),
        (os.fsdecode(b"caf\xe9"), f"caf{REPLACEMENT}"),
        (f"pen {CHARACTER}", f"pen {REPLACEMENT}"),
        ("a\nb\x1b[31m", f"a{REPLACEMENT}b{REPLACEMENT}[31m"),
    ],
)
def test_without_a_font_a_character_is_replaced_and_nothing_warns(tmp_path, name, shown):
    assert texts(name) == [shown] * 2
    dark_pixels(tmp_path, name)
