"""The page in which videos are labelled; `labelling/` serves it and answers its scripts."""

from afsd_jax.report.render import render

SCRIPTS = ("label_page.js",)  # in the order in which they run; served at /assets/


def label_page(title: str) -> str:
    """Returns the page, which loads its scripts and asks the server for everything it shows.

    Args:
      title: shown as the title.
    """
    return render("label_page.html", title=title, scripts=SCRIPTS)
