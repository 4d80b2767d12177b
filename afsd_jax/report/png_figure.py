"""A Matplotlib figure that notebooks show, whatever backend is chosen there."""

import io

from matplotlib.figure import Figure


class PngFigure(Figure):
    """Belongs to no window and to no list of open figures: it goes when nobody holds it."""

    def _repr_png_(self) -> bytes:
        """Returns the picture; notebooks ask for it."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
