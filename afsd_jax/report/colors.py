"""Colours of classes, the same in every picture and page."""

import colorsys
from collections.abc import Sequence

# Ten hues that most colour-blind readers can distinguish.
PALETTE = (
    "#3b6fb6", "#d9722e", "#2f9284", "#c4424f", "#7f5fb0",
    "#a8842c", "#c2578f", "#4d8f3a", "#2c8fb5", "#8a6250",
)  # fmt: skip


def class_colors(labels: Sequence[str]) -> dict[str, str]:
    """Returns each class's colour, #rrggbb; after ten, hues repeat lighter, then darker."""
    shades = (0.0, 0.35, -0.3)
    return {
        label: _shade(PALETTE[i % len(PALETTE)], shades[i // len(PALETTE) % len(shades)])
        for i, label in enumerate(labels)
    }


def fade(color: str, strength: float) -> str:
    """Mixes a colour with white: strength 1 is the colour, 0 is white."""
    return _hex([255 + (channel - 255) * strength for channel in _rgb(color)])


def text_on(color: str) -> str:
    """Returns the text colour, white or black, that is easier to read on `color`.

    Their contrast is at least 4.5, which WCAG 2 asks for. White's is 1.05 / (L + 0.05) and black's
    (L + 0.05) / 0.05, L the relative luminance. Both are 4.58 where L is 0.179.
    """
    linear = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in _rgb(color))
    )
    weights = (0.2126, 0.7152, 0.0722)
    light = sum(weight * part for weight, part in zip(weights, linear, strict=True))
    return "#000000" if light > 0.179 else "#ffffff"


def _shade(color: str, amount: float) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in _rgb(color)))
    light += amount * (1 - light if amount > 0 else light)
    return _hex([255 * channel for channel in colorsys.hls_to_rgb(hue, light, saturation)])


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def _hex(channels: Sequence[float]) -> str:
    return "#" + bytes(round(channel) for channel in channels).hex()
