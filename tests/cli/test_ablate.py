"""Parts of the network can be left out, and `afsd ablate` measures what each is worth."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax import cli
from afsd_jax.cli import ablate
from afsd_jax.cli.process import REFUSED
from afsd_jax.config import default_config
from afsd_jax.configs import synthetic
from afsd_jax.detection import postprocess
from afsd_jax.models import parameters
from afsd_jax.training import losses
from afsd_jax.training.branch_losses import compute_losses
from afsd_jax.training.matching import Targets
from afsd_jax.types import Predictions
from tests import small_run
from tests.training_clips import training_clip

REFINING = {"frame_level", "loc_branch", "conf_branch", "prop_loc_head", "prop_conf_head"}
# A trunk cut short, whose step is compiled fast.
SMALL = small_run.OVERRIDES | {
    "model.pyramid_inputs": "('Mixed_3c',)",
    "model.levels": 3,
    "model.loc_multipliers": "(4.0, 4.0, 8.0)",
    "model.consistency_stride": 2,
    "train.steps": 1,
}


@pytest.mark.parametrize("quality", [True, False])
@pytest.mark.parametrize("refinement", [True, False])
def test_what_is_left_out_has_no_weights_no_predictions_and_no_loss(quality, refinement):
    config = small_run.small_config(quality=quality, refinement=refinement)
    network = parameters.abstract_network(config)
    absent = (set() if quality else {"center_head"}) | (set() if refinement else REFINING)
    parts = {name.partition(".")[0] for name in parameters.names(network, nnx.Param)}
    assert parts >= (REFINING | {"center_head"}) - absent
    assert not parts & absent
    whole = parameters.names(parameters.abstract_network(small_run.small_config()), nnx.Param)
    left = {name for name in whole if name.partition(".")[0] not in absent}
    assert left == set(parameters.names(network, nnx.Param))

    batch = jax.tree.map(jnp.asarray, training_clip(64, 32))

    def run(weights):
        given = parameters.replace(network, weights)
        return given(jnp.zeros((1, 64, 32, 32, 3))), compute_losses(given, batch, config, None)

    outputs, terms = jax.eval_shape(run, parameters.shapes(config))
    assert (outputs.predictions.center is not None) == quality
    assert (outputs.predictions.prop_loc is not None) == refinement
    assert (outputs.boundary is not None) == refinement
    assert all(term.shape == () for term in terms.values())


def predictions(**left_out: None) -> Predictions:
    rng = np.random.default_rng(0)
    values = {
        "loc": np.exp(rng.normal(2, 0.5, (2, 7, 2))),
        "conf": rng.normal(size=(2, 7, 4)),
        "prop_loc": rng.normal(size=(2, 7, 2)),
        "prop_conf": rng.normal(size=(2, 7, 4)),
        "center": rng.normal(size=(2, 7)),
    }
    wide = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
    return Predictions(**wide | left_out)


def test_without_quality_and_refinement_coarse_predictions_are_decoded_alone():
    whole = predictions()
    priors = (np.arange(7, dtype=np.float32) + 0.5) / 7
    coarse = whole._replace(prop_loc=None, prop_conf=None, center=None)
    segments, scores = postprocess.decode(coarse, priors, 64)
    ends = np.stack([priors * 64 - coarse.loc[..., 0], priors * 64 + coarse.loc[..., 1]], -1)
    np.testing.assert_allclose(segments, np.clip(ends, 0, 64), rtol=1e-5)
    np.testing.assert_allclose(scores, jax.nn.softmax(coarse.conf), rtol=1e-6)

    rated = postprocess.decode(coarse._replace(center=whole.center), priors, 64)[1]
    quality = jax.nn.sigmoid(whole.center)[..., None]
    np.testing.assert_allclose(rated, scores * quality, rtol=1e-6)


def test_a_term_left_out_is_zero_and_the_others_stay_as_they_are():
    config = default_config()
    targets = Targets(jnp.full((2, 7, 2), 7.0), jnp.ones((2, 7), jnp.int32))

    def terms(given):
        return losses.detection_losses(given, targets, config.loss, config.matching)

    whole = terms(predictions())
    assert all(value > 0 for value in whole.values())
    without = terms(predictions(center=None))
    assert without["center"] == 0
    assert all(without[name] == whole[name] for name in whole if name != "center")
    coarse = terms(predictions(prop_loc=None, prop_conf=None))
    assert coarse["prop_loc"] == coarse["prop_conf"] == 0
    assert coarse["center"] > 0
    assert all(coarse[name] == whole[name] for name in ("loc", "conf"))


def test_each_row_adds_a_part_to_the_one_before():
    config = synthetic.get_config()
    assert config.loss.consistency_weight == 0
    rows = [list(ablate.fields_of(row, config).values()) for row in ablate.ROWS]
    assert rows == [
        [False, False, 0.0, 0.0],
        [True, False, 0.0, 0.0],
        [True, True, 0.0, 0.0],
        [True, True, 1.0, 0.1],
    ]


def test_mean_and_spread_are_those_of_the_seeds():
    runs = [{"seed": i, "mAP@0.5": x, "average_mAP": x / 2} for i, x in enumerate((0.4, 0.5, 0.6))]
    result = ablate.summary(runs)
    assert result["mean"] == pytest.approx({"mAP@0.5": 0.5, "average_mAP": 0.25})
    assert result["spread"] == pytest.approx({"mAP@0.5": 0.1, "average_mAP": 0.05})
    lines = ablate.table({"full": result})
    assert lines == [["row", "mAP@0.5", "average mAP"], ["full", "50.0 ± 10.0", "25.0 ± 5.0"]]
    assert ablate.as_markdown(lines).splitlines()[1:] == [
        "|---|---|---|",
        "| full | 50.0 ± 10.0 | 25.0 ± 5.0 |",
    ]
    assert ablate.summary(runs[:1])["spread"]["mAP@0.5"] == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seeds=1,1", "different whole numbers"),
        ("--rows=quality", "must be some of baseline"),
        ("--tiou=0.5,2", "thresholds must lie in (0, 1]"),
    ],
)
def test_impossible_seeds_rows_and_thresholds_are_refused(capsys, tmp_path, option, message):
    given = ["ablate", "--config=synthetic", f"--workdir={tmp_path / 'study'}", option]
    assert cli.main(given) == REFUSED
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("fast_compiling")
def test_a_study_goes_on_with_the_runs_that_are_missing(tmp_path):
    data, study = small_run.prepare(tmp_path), tmp_path / "study"
    given = ["--config=synthetic", f"--config.data.data_dir={data}", f"--workdir={study}"]
    given += ["--rows=baseline", *(f"--config.{name}={x}" for name, x in SMALL.items())]

    def ablate(*options: str):
        return small_run.run("afsd_jax.cli", "ablate", *given, *options)

    first = ablate("--seeds=0")
    assert first.returncode == 0, first.stderr
    saved = study / "baseline" / "seed-0" / "config.json"
    began = saved.stat().st_mtime_ns
    assert json.loads(saved.read_text())["model"]["refinement"] is False
    assert (study / "ablation.md").read_text().startswith("| row | mAP@0.3 |")

    second = ablate("--seeds=0,1", "--tiou=0.9")
    assert second.returncode == 0, second.stderr
    assert saved.stat().st_mtime_ns == began
    runs = json.loads((study / "ablation.json").read_text())["rows"]["baseline"]["runs"]
    assert [run["seed"] for run in runs] == [0, 1]
    assert all(0 <= run["average_mAP"] <= 1 for run in runs)
    assert "baseline" in second.stdout
    assert (study / "ablation.md").read_text().startswith("| row | mAP@0.9 | average mAP |")

    other = ablate("--seeds=0", "--config.optimizer.learning_rate=1.0")
    assert other.returncode == REFUSED
    assert "holds a study of another configuration" in other.stderr
