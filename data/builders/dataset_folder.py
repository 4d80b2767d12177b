"""A prepared folder: writing it, and reusing an earlier one.

Besides TFDS's files it holds `preparation.json`, the report on each video, and `ground_truth.json`,
the annotations as they are stored, in ActivityNet's format.
"""

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from afsd_jax.data import preparation
from afsd_jax.data.builders.prepared_report import REPORT
from afsd_jax.data.decode.sources import Timeline
from afsd_jax.data.tasks import EarlierShard, Plan, Task, TaskResult, place_actions
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.activitynet_json import read_ground_truth, write_ground_truth
from afsd_jax.io.names import composed
from afsd_jax.types import Action, AnnotatedVideo

GROUND_TRUTH = "ground_truth.json"


def make_report(
    plan: Plan, results: Sequence[TaskResult], dataset: str, stream: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the report on each video; see `datasets.read_report`."""
    done = [(t, r) for t, r in zip(plan.tasks, results, strict=True) if r.error is None]
    counts = collections.Counter(task.split for task, _ in done)
    indices = {split: itertools.count() for split in counts}
    videos, notes = [], list(plan.notes)
    for task, result in done:
        path = _template(Path(), dataset, task.split).sharded_filepath(
            shard_index=next(indices[task.split]), num_shards=counts[task.split]
        )
        fields = {name: x for name, x in dataclasses.asdict(result).items() if name != "crop" or x}
        group = {"group": task.group} if task.group else {}
        videos.append({**fields, "shard": path.name, **group})
        notes += place_actions(task, result)[1]
    return {
        "dataset": dataset,
        "stream": stream,
        **options,
        "classes": list(plan.class_names),
        "videos": videos,
        "unreadable": {
            **plan.unreadable,
            **{r.name: r.error for r in results if r.error is not None},
        },
        "missing": dict(plan.missing),
        "notes": notes,
        "warnings": list(plan.warnings),
        "fingerprints": {
            task.name: [task.frames_key(), task.annotations_key(), task.key()]
            for task in plan.tasks
        },
    }


def write_folder(
    folder: Path, info: tfds.core.DatasetInfo, plan: Plan, report: Mapping[str, Any], parts: Path
) -> None:
    """Links the shards into a folder and describes them there and in `info`.

    Args:
      folder: folder to write.
      info: the builder's, still without splits and classes; both are filled in.
      plan: plan of the preparation.
      report: see `make_report`.
      parts: folder with the shards.
    """
    tasks = {task.name: task for task in plan.tasks}
    sizes: dict[str, list[int]] = {}
    for video in report["videos"]:
        task, split = tasks[video["name"]], video["split"]
        preparation.link_or_copy(preparation.shard_path(task, parts), folder / video["shard"])
        sizes.setdefault(split, []).append(video["num_bytes"])
    info.features["annotations"].feature["label"].names = list(plan.class_names)
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[1] * len(of_split),
            num_bytes=sum(of_split),
            filename_template=_template(folder, report["dataset"], split),
        )
        for split, of_split in sorted(sizes.items())
    ]
    info.set_splits(tfds.core.SplitDict(splits))
    write_ground_truth(folder / GROUND_TRUTH, _stored_truth(plan, report))
    files.write_json(folder / REPORT, report)


def check_options_of(before: Mapping[str, Any], options: Mapping[str, Any], folder: Path) -> None:
    """Raises UserError if a folder, whose report is `before`, was prepared with other options."""
    for field, wanted in options.items():
        if before.get(field, wanted) != wanted:
            raise UserError(
                f"{folder}: was prepared with {field} {before[field]}, not {wanted}; "
                "delete it, or prepare into another folder"
            )


def is_described(
    folder: Path, plan: Plan, report: Mapping[str, Any], before: Mapping[str, Any]
) -> bool:
    """Returns whether a folder, whose report is `before`, already says the same as `report`."""
    try:
        truth = read_ground_truth(folder / GROUND_TRUTH)
    except UserError:
        return False
    return report == before and truth == _stored_truth(plan, report)


def _stored_truth(plan: Plan, report: Mapping[str, Any]) -> dict[str, AnnotatedVideo]:
    """Returns the actions as they are in the shards: cut, or left out, at the end of the video."""
    tasks = {task.name: task for task in plan.tasks}
    truth = {}
    for video in report["videos"]:
        task = tasks[video["name"]]
        timeline = Timeline(*(video[field.name] for field in dataclasses.fields(Timeline)))
        actions = tuple(
            Action(task.class_names[placed["label"]], placed["start_s"], placed["end_s"])
            for placed in place_actions(task, timeline)[0]
        )
        truth[task.name] = AnnotatedVideo(video["split"], video["duration_s"], actions)
    return truth


def _template(folder: Path, dataset: str, split: str) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
        folder,
        dataset_name=dataset,
        split=split,
        filetype_suffix=tfds.core.FileFormat.TFRECORD.file_suffix,
    )


def with_earlier_shards(plan: Plan, folder: Path, report: Mapping[str, Any]) -> Plan:
    """Returns the plan with the folder's shards filled in for tasks with the same frames."""
    entries = {composed(entry["name"]): entry for entry in report["videos"]}
    fingerprints = {composed(name): keys for name, keys in report.get("fingerprints", {}).items()}
    fields = dataclasses.fields(TaskResult)
    tasks = []
    for task in plan.tasks:
        frames, _, key = fingerprints.get(task.name, ("", "", ""))
        entry = entries.get(task.name)
        if entry and frames == task.frames_key() and (folder / entry["shard"]).exists():
            known = {field.name: entry[field.name] for field in fields if field.name in entry}
            result = TaskResult(**known | {"name": task.name})
            earlier = EarlierShard(folder / entry["shard"], key, result)
            task = dataclasses.replace(task, earlier=earlier)
        tasks.append(task)
    return dataclasses.replace(plan, tasks=tuple(tasks))


def unchanged_result(task: Task, report: Mapping[str, Any]) -> TaskResult | None:
    """Returns the earlier result if the task is unchanged, also if its file was unreadable."""
    if task.earlier is not None:
        return task.earlier.result if task.earlier.key == task.key() else None
    error = report["unreadable"].get(task.name)
    if error is None or report["fingerprints"].get(task.name, [""])[-1] != task.key():
        return None
    return TaskResult(task.name, task.split, error)
