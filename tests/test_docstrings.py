"""The public functions and classes have examples in their docstrings, and the examples run."""

import doctest
import inspect

import pytest

import afsd_jax
from afsd_jax import evaluation, types
from afsd_jax.data import action_lengths, folds, summary
from afsd_jax.data.builders.class_checks import differ_in_one_letter
from afsd_jax.data.clips import background, balance, speed
from afsd_jax.data.decode import crops, frame_geometry
from afsd_jax.detection import nms
from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.diagnosis.comparison import compare
from afsd_jax.diagnosis.one_label import with_best_labels
from afsd_jax.evaluation.overlaps import tiou_of
from afsd_jax.export.onnx_graph import OnnxGraph
from afsd_jax.io import names
from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.labelling import rounds
from afsd_jax.models import max_pool
from afsd_jax.training import focal_loss, losses

PUBLIC = [
    afsd_jax.load_detector,
    afsd_jax.Detector,
    afsd_jax.Detections,
    afsd_jax.Detection,
    OnnxGraph,
    action_lengths.find_lost,
    background.is_background,
    balance.balanced_weights,
    boundary_max_pooling,
    differ_in_one_letter,
    compare,
    crops.parse_crop,
    diagnose,
    evaluation.evaluate,
    focal_loss.focal_loss,
    frame_geometry.place_picture,
    folds.parse_fold,
    folds.together,
    max_pool.max_pool3d,
    names.composed,
    names.first_names,
    names.split_name,
    nms.suppress,
    tiou_of,
    rounds.best_score,
    speed.resample,
    summary.length_in_words,
    types.DetectionColumns.of,
    with_best_labels,
    *(
        function
        for name, function in inspect.getmembers(losses, inspect.isfunction)
        if function.__module__ == losses.__name__ and not name.startswith("_")
    ),
]


@pytest.mark.parametrize("documented", PUBLIC, ids=lambda documented: documented.__qualname__)
def test_docstrings_have_examples_that_run(documented, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = inspect.getmodule(documented)
    tests = doctest.DocTestFinder(recurse=False).find(
        documented, documented.__qualname__, module, vars(module)
    )
    assert sum(len(test.examples) for test in tests), "there is no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        output: list[str] = []
        assert runner.run(test, out=output.append).failed == 0, "".join(output)
