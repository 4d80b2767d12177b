"""Folds of a split: all videos once, groups together, every class in both parts if that can be."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.cli.config_flags import load_config
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset, prepared_folder
from afsd_jax.data.folds import Fold, assign_folds, parse_fold, together
from afsd_jax.data.splits import open_data_set, read_part
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_json, write_json

CLASSES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4), st.sets(st.integers(1, 4)), min_size=1, max_size=30
)


@settings(deadline=None, max_examples=200)
@given(CLASSES, st.integers(2, 6), st.integers(1, 8))
def test_groups_stay_together_and_the_order_of_videos_does_not_matter(classes, count, size):
    groups = {name: str(n // size) for n, name in enumerate(sorted(classes)) if n % 3}
    folds = assign_folds(classes, groups, count)
    assert folds.keys() == classes.keys()
    assert set(folds.values()) <= set(range(1, count + 1))
    of_group = defaultdict(set)
    for name, group in groups.items():
        of_group[group].add(folds[name])
    assert all(len(found) == 1 for found in of_group.values())
    assert assign_folds(dict(reversed(classes.items())), groups, count) == folds


@settings(deadline=None, max_examples=200)
@given(CLASSES, st.integers(2, 6))
def test_folds_of_single_videos_are_of_one_size(classes, count):
    sizes = Counter(assign_folds(classes, {}, count).values())
    assert max(sizes.values()) <= -(-len(classes) // count) + 1
    assert 1 in sizes


def test_the_first_fold_has_every_class_of_which_there_are_two_videos():
    classes = {f"v{n}": {1} for n in range(20)} | {"r1": {1, 2}, "r2": {2}, "s1": {3}, "s2": {3, 1}}
    folds = assign_folds(classes, {}, 5)
    for part in (lambda fold: fold == 1, lambda fold: fold != 1):
        held = set().union(*(classes[name] for name, fold in folds.items() if part(fold)))
        assert held == {1, 2, 3}
    assert Counter(folds.values()) == {1: 5, 2: 5, 3: 5, 4: 5, 5: 4}


def test_names_of_folds():
    assert parse_fold("train") is None
    assert parse_fold("train[:10%]") is None
    assert parse_fold("train[2/5]") == Fold("train", 2, 5)
    nested = parse_fold("train[not 1/5][3/4]")
    assert nested == Fold("train[not 1/5]", 3, 4)
    assert str(nested) == "train[not 1/5][3/4]"
    for name in ("train[0/5]", "train[6/5]", "train[not 1/1]"):
        with pytest.raises(UserError, match=r"write one such as train\[1/5\]"):
            parse_fold(name)
    assert together("train[not 1/5]", "train[1/5]") == "train"
    assert together("train[not 1/5]", "train[2/5]") == "train[not 1/5]+train[2/5]"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of nine videos, three of each person, and its configuration."""
    folder = tmp_path_factory.mktemp("folds")
    source = folder / "source"
    source.mkdir()
    rows = [("video", "label", "start", "end", "subset", "group")]
    for n in range(9):
        np.save(source / f"v{n}.npy", np.full((40, 20, 20, 3), n, np.uint8))
        rows.append((f"v{n}", ("jump", "run")[n % 2], 1, 3, "train", f"person {n // 3}"))
    with (source / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    options = PrepareOptions(source, encoding="raw", size=20, fps=10.0, workers=1)
    prepare_dataset("videos", folder / "data", options=options)
    config = load_config("videos")
    config.data.data_dir = str(folder / "data")
    return config


def names(config, split: str) -> list[str]:
    return [video.name for video in read_part(open_data_set(config.data), split)]


def test_a_prepared_split_is_divided_by_its_column_group(prepared):
    folds = [names(prepared, f"train[{n}/3]") for n in (1, 2, 3)]
    assert sorted(name for fold in folds for name in fold) == [f"v{n}" for n in range(9)]
    assert sorted(folds) == [[f"v{3 * k + n}" for n in range(3)] for k in range(3)]
    rest = names(prepared, "train[not 2/3]")
    assert rest == [name for name in names(prepared, "train") if name not in folds[1]]
    assert set(names(prepared, "train[not 2/3][1/2]")) in map(set, (folds[0], folds[2]))
    assert names(prepared, "train[2/3]+train[not 2/3]") == folds[1] + rest
    with pytest.raises(UserError, match="is in two of its parts"):
        names(prepared, "train[2/3]+train")
    with pytest.raises(UserError, match=r"train\[4/5\] has no videos, because train has 3 groups"):
        names(prepared, "train[4/5]")


def test_a_data_set_that_was_prepared_without_groups_is_divided_by_video(prepared, tmp_path):
    folder = prepared_folder("videos", prepared.data.data_dir, "rgb")
    copy = tmp_path / "videos" / "rgb" / folder.name
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    report = read_json(copy / "preparation.json")
    for video in report["videos"]:
        del video["group"]
    write_json(copy / "preparation.json", report)
    config = prepared.copy_and_resolve_references()
    config.data.data_dir = str(tmp_path)
    folds = [names(config, f"train[{n}/3]") for n in (1, 2, 3)]
    assert [len(fold) for fold in folds] == [3, 3, 3]
    assert sorted(folds) != [[f"v{3 * k + n}" for n in range(3)] for k in range(3)]
