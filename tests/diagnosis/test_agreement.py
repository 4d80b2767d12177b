"""Two annotators: kappa by hand, F1 of actions, symmetry, and the list of disagreements."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.diagnosis.annotator_agreement import Disagreement, measure_agreement
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo


def annotated(*actions: tuple[str, float, float], length_s: float = 100.0) -> AnnotatedVideo:
    return AnnotatedVideo("", length_s, tuple(Action(*action) for action in actions))


def test_kappa_is_that_of_a_table_of_seconds():
    first = {"v": annotated(("run", 0, 40), ("rest", 60, 70))}
    second = {"v": annotated(("run", 0, 30), ("rest", 60, 70))}
    found = measure_agreement(first, second)
    # Seconds of run: both 30, first only 10, second only 0, neither 60.
    chance = 0.4 * 0.3 + 0.6 * 0.7
    assert found.kappa[found.classes.index("run")] == pytest.approx((0.9 - chance) / (1 - chance))
    assert found.kappa[found.classes.index("rest")] == 1.0
    # All classes: run 40 and 30, rest 10 and 10, nothing 50 and 60.
    chance = 0.4 * 0.3 + 0.1 * 0.1 + 0.5 * 0.6
    assert found.overall_kappa == pytest.approx((0.9 - chance) / (1 - chance))
    assert (found.overall_f1, found.start_s, found.end_s) == (1.0, 0.0, 5.0)
    assert found.disagreements == []


def test_disagreements_name_what_each_annotator_marked():
    first = {"v": annotated(("run", 0, 10), ("jump", 20, 30), ("run", 50, 51)), "w": annotated()}
    second = {"v": annotated(("run", 1, 10), ("rest", 21, 30)), "w": annotated(("jump", 5, 6))}
    found = measure_agreement(first, second)
    assert found.disagreements == [
        Disagreement("v", 20.0, 30.0, "jump", "rest"),
        Disagreement("v", 50.0, 51.0, "run", ""),
        Disagreement("w", 5.0, 6.0, "", "jump"),
    ]
    assert found.classes == ("jump", "rest", "run")
    assert found.pairs.tolist() == [0, 0, 1]
    assert found.f1.tolist() == [0, 0, pytest.approx(2 / 3)]
    assert found.overall_f1 == pytest.approx(2 / 6)
    content = found.as_dict()
    assert content["classes"]["run"]["first"] == 2
    assert content["disagreements"][1]["second_label"] == ""


def test_a_class_that_only_one_annotator_knows_counts():
    found = measure_agreement({"v": annotated()}, {"v": annotated(("run", 0, 10))})
    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])
    assert found.overall_f1 == 0.0
    with pytest.raises(UserError, match="has no action"):
        measure_agreement({"v": annotated()}, {"v": annotated()})


SIDES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(1, 30)).map(
        lambda t: (t[0], float(t[1]), float(t[1] + t[2]))
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES)
def test_exchanging_the_annotators_changes_no_number(one, other):
    first, second = {"v": annotated(*one)}, {"v": annotated(*other)}
    there, back = measure_agreement(first, second), measure_agreement(second, first)
    assert there.classes == back.classes
    assert there.first.tolist() == back.second.tolist()
    np.testing.assert_allclose(there.kappa, back.kappa)
    assert there.overall_kappa == pytest.approx(back.overall_kappa, nan_ok=True)
    assert there.pairs.tolist() == back.pairs.tolist()
    assert len(there.disagreements) == len(back.disagreements)
    same = measure_agreement(first, first)
    assert same.overall_f1 == 1.0
    assert same.disagreements == []
    assert same.overall_kappa == pytest.approx(1.0, nan_ok=True)
