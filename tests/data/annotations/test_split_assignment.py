"""Splits of videos without a subset."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import AnnotatedVideo

NAMES = [f"video_{i}" for i in range(200)]
TEST = [name for name in NAMES if annotations.stable_split(name) == "test"]
TRAIN = [name for name in NAMES if annotations.stable_split(name) == "train"]


def splits(subsets: dict[str, str]) -> dict[str, str]:
    videos = {name: AnnotatedVideo(subset, None, ()) for name, subset in subsets.items()}
    return {name: v.subset for name, v in annotations.assign_splits(videos).items()}


@pytest.mark.parametrize("names", [TEST[:3], TRAIN[:3], TRAIN[:2], [TEST[0], TRAIN[0]], NAMES])
def test_two_videos_or_more_fill_both_splits(names):
    found = splits(dict.fromkeys(names, ""))
    assert set(found.values()) == {"train", "test"}
    moved = [name for name in names if found[name] != annotations.stable_split(name)]
    assert len(moved) <= 1


def test_a_single_video_is_trained_on():
    assert splits({TEST[0]: ""}) == {TEST[0]: "train"}
    assert splits({TRAIN[0]: ""}) == {TRAIN[0]: "train"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "train", "test", "val"])))
def test_what_is_stated_is_kept_whatever_lacks(subsets):
    found = splits(subsets)
    for name, subset in subsets.items():
        if subset:
            assert found[name] == {"val": "validation"}.get(subset, subset)
        else:
            assert found[name] in ("train", "test")
    if "" in subsets.values():
        assert "train" in found.values()
        assert splits(dict(reversed(subsets.items()))) == found, "the order does not matter"


def test_stated_subsets_move_no_video():
    assert splits({"a": "Training", "b": "validation"}) == {"a": "train", "b": "validation"}
    assert splits({"a": "validation"}) == {"a": "validation"}


@pytest.mark.parametrize("subset", ["a/b", "all", "1st"])
def test_an_impossible_name_of_a_split_is_refused(subset):
    with pytest.raises(UserError, match="must be train, validation, test"):
        splits({"a": subset})


def test_a_group_stays_together():
    def videos(stated: str = "") -> dict[str, AnnotatedVideo]:
        return {
            name: AnnotatedVideo(stated if n == 0 else "", None, (), group=str(n % 5))
            for n, name in enumerate(NAMES[:40])
        }

    found = annotations.assign_splits(videos())
    of_group = {group: {v.subset for v in found.values() if v.group == group} for group in "01234"}
    assert sorted(map(len, of_group.values())) == [1] * 5
    assert set.union(*of_group.values()) == {"train", "test"}
    assert annotations.assign_splits(videos("validation"))[NAMES[0]].subset == "validation"
