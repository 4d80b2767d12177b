"""Annotations by Hypothesis, as any tool could hold them."""

from pathlib import Path

from hypothesis import strategies as st

from afsd_jax.types import Action, MarkedVideo

RATE = 30.0
# Printable texts without what file names or BORIS do not allow; hidden files are not read.
TEXTS = (
    st.text(
        st.one_of(
            st.sampled_from("abc =+-@'\"<>&;,:._#%()[]{}é字"),
            st.characters(min_codepoint=32, max_codepoint=0x2FFF),
        ),
        min_size=1,
        max_size=12,
    )
    .map(str.strip)
    .filter(bool)
    .filter(lambda text: text.isprintable() and not set(text) & set("/\\|") and text[:1] != ".")
)


def _action(label: str, start_ms: int, length_ms: int) -> Action:
    return Action(label, start_ms / 1000, (start_ms + length_ms) / 1000)


def marked_videos(folder: Path) -> st.SearchStrategy[list[MarkedVideo]]:
    """Returns lists of videos of up to twenty actions that may overlap.

    Times are whole milliseconds, and an action lasts at least a frame.
    """
    labels = st.lists(TEXTS, min_size=1, max_size=4, unique=True)
    actions = labels.flatmap(
        lambda known: st.lists(
            st.builds(
                _action, st.sampled_from(known), st.integers(0, 60_000), st.integers(34, 20_000)
            ),
            max_size=20,
        )
    )
    video = st.builds(
        lambda name, marks: MarkedVideo(
            name, marks, path=folder / f"{name}.mp4", duration_s=90.0, fps=RATE
        ),
        TEXTS,
        actions,
    )
    return st.lists(video, min_size=1, max_size=3, unique_by=lambda video: video.name)
