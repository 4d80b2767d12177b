"""What Python code and notebooks see of the package before anything is loaded."""

import os
import pydoc
import subprocess
import sys

import afsd_jax


def test_only_the_public_names_are_listed():
    assert dir(afsd_jax) == [
        "Detection",
        "Detections",
        "Detector",
        "__version__",
        "load_detector",
    ]
    assert all(hasattr(afsd_jax, name) for name in dir(afsd_jax))


def test_help_has_an_example_and_the_signatures():
    page = pydoc.plain(pydoc.render_doc(afsd_jax))

    assert 'afsd_jax.load_detector("run")' in page
    assert "load_detector(" in page.partition("FUNCTIONS")[2]
    assert "_HOMES" not in page


def test_ipython_shows_bad_input_in_one_line(tmp_path):
    code = "from afsd_jax.errors import UserError; raise UserError('run: no checkpoint in it')"
    shell = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", code],
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    shown = (shell.stdout + shell.stderr).strip()
    assert shown == "UserError: run: no checkpoint in it"
