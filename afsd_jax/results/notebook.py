"""Whether results can be shown where the code runs: in a notebook, or by the browser."""

import sys
from pathlib import Path


def running() -> bool:
    """Returns whether this code runs in a notebook (Jupyter, Colab, …)."""
    interactive = sys.modules.get("IPython")  # a notebook has imported it
    shell = interactive.get_ipython() if interactive else None
    return hasattr(shell, "kernel")


def show_html(text: str) -> None:
    """Shows HTML below the notebook's cell."""
    from IPython.display import HTML, display

    display(HTML(text))


def show_video(path: Path) -> None:
    """Shows a player below the notebook's cell; the video is kept in the notebook."""
    from IPython.display import Video, display

    display(Video(str(path), embed=True))
