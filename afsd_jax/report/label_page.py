"""The page in which videos are labelled; `labelling/` serves it and answers its scripts."""

from afsd_jax.report.render import render

# In the order in which they run; served at /assets/.
SCRIPTS = (
    *("words_and_colors.js", "lanes.js", "timeline.js", "gestures.js", "player.js"),
    *("label_elements.js", "label_edits.js", "label_frames.js", "label_timeline.js"),
    *("label_drags.js", "label_player.js", "label_saving.js", "label_keys.js", "label_list.js"),
    *("label_classes.js", "label_selected.js", "label_suggestions.js", "label_strips.js"),
    *("label_learn.js", "label_statistics.js", "label_page.js", "label_changes.js"),
    *("label_actions.js", "label_events.js", "label_start.js"),
)


def label_page(title: str) -> str:
    """Returns the page, which loads its scripts and asks the server for everything it shows.

    Args:
      title: shown as the title.
    """
    return render("label_page.html", title=title, scripts=SCRIPTS)
