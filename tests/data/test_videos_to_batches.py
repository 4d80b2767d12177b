"""From annotated mp4 files to one epoch of batches, for each of the four data sets."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.config import default_config
from afsd_jax.data.builders import generator
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.training_data import TrainingData
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io import activitynet_json
from tests.video_files import numbered_frames, write_video

SIZE, RATE, SECONDS = 32, 30, 12
# Video, label, start and end in seconds.
Action = tuple[str, str, float, float]
ACTIONS: list[Action] = [
    ("video_validation_0000001", "Diving", 0.5, 2.5),
    ("video_validation_0000001", "CliffDiving", 0.5, 2.6),
    ("video_validation_0000001", "HighJump", 6.0, 9.5),
    ("video_validation_0000002", "HighJump", 3.0, 4.1),
    ("video_validation_0000003", "Diving", 8.0, 11.9),
]
VIDEOS = sorted({name for name, *_ in ACTIONS})


def write_videos(folder: Path, prefix: str = "") -> None:
    for i, name in enumerate(VIDEOS):
        frames = numbered_frames(SECONDS * RATE, SIZE, 48) // 2 + 40 * i
        write_video(folder / f"{prefix}{name}.mp4", frames.astype(np.uint8), RATE)


def write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def own_videos(folder: Path) -> list[Action]:
    write_videos(folder)
    write_csv(
        folder / "labels.csv", "video,label,start,end,subset", [(*a, "train") for a in ACTIONS]
    )
    return ACTIONS


def thumos14(folder: Path) -> list[Action]:
    write_videos(folder)
    write_csv(
        folder / "val_Annotation.csv",
        "video,type,type_idx,start,end,startFrame,endFrame",
        [(n, label, 0, s, e, round(s * RATE), round(e * RATE)) for n, label, s, e in ACTIONS],
    )
    return ACTIONS


def activitynet(folder: Path) -> list[Action]:
    write_videos(folder, "v_")
    database = {
        name: {
            "subset": "training",
            "duration": SECONDS,
            "annotations": [
                {"label": label, "segment": [start, end]}
                for video, label, start, end in ACTIONS
                if video == name
            ],
        }
        for name in VIDEOS
    }
    content = {"version": "VERSION 1.3", "database": database}
    (folder / "activity_net.v1-3.min.json").write_text(json.dumps(content))
    return ACTIONS


def synthetic(folder: Path) -> list[Action]:
    generator.synthesize(folder, SETTINGS, 1)
    truth = activitynet_json.read_ground_truth(folder / "ground_truth.json")
    return [
        (name, action.label, action.start_s, action.end_s)
        for name, video in truth.items()
        if video.subset == "train"
        for action in video.actions
    ]


SETTINGS = generator.Settings(
    train_videos=2, test_videos=1, height=48, width=64, min_duration_s=20, max_duration_s=21
)
SOURCES = {
    "videos": own_videos,
    "thumos14": thumos14,
    "activitynet": activitynet,
    "synthetic": synthetic,
}


def epoch(data: TrainingData) -> Iterator[dict[str, np.ndarray]]:
    """Yields the clips of one epoch."""
    for _, batch in zip(range(data.steps_per_epoch), data.batches(), strict=False):
        yield {key: value[0] for key, value in batch.items()}


@pytest.mark.parametrize("name", SOURCES)
def test_an_epoch_shows_every_annotation_where_it_was_made(tmp_path, name):
    source = tmp_path / "source"
    source.mkdir()
    actions = SOURCES[name](source)
    extra = {"settings": SETTINGS} if name == "synthetic" else {}
    options = PrepareOptions(source, encoding="png", size=SIZE, workers=1)
    folder = prepare_dataset(name, tmp_path / "data", "rgb", options, **extra)
    truth = activitynet_json.read_ground_truth(folder / "ground_truth.json", "train")
    annotated = [
        (video, action.label, action.start_s, action.end_s)
        for video, entry in truth.items()
        for action in entry.actions
    ]
    assert sorted(annotated) == sorted(actions)

    config = default_config()
    config.data.update(dataset=name, data_dir=str(tmp_path / "data"), flip=0.0)
    config.data.update(frame_size=SIZE, crop_size=SIZE, clip_length=100, clip_stride=10)
    if name == "activitynet":
        config.data.update(clip_length=768, one_clip=True, fps=0.0, max_frames=768)
    data = TrainingData(config)
    whole = {}
    for source in PreparedSplit([config], "train").sources():
        video = source.open()
        whole[source.name] = video._replace(frames=np.stack([frame for (frame,) in video.frames]))
    assert set(whole) == {video for video, *_ in actions}

    seen = []
    for clip in epoch(data):
        frames = clip["frames"][: clip["num_frames"]]
        # The clip is a part of exactly one video.
        ((video, offset),) = [
            (video, offset)
            for video in whole.values()
            for offset in range(len(video.frames) - len(frames) + 1)
            if np.array_equal(video.frames[offset], frames[0])
            and np.array_equal(video.frames[offset : offset + len(frames)], frames)
        ]
        labels = clip["labels"][clip["labels"] > 0]
        segments = clip["segments"][: len(labels)]
        assert len(labels) > 0
        assert labels.max() <= len(data.class_names)
        assert np.all((segments[:, 0] >= 0) & (segments[:, 0] < segments[:, 1]))
        assert segments.max() <= config.data.clip_length
        for label, bounds in zip(labels, (segments + offset) / video.fps, strict=True):
            seen.append((video.name, data.class_names[label - 1], *bounds.tolist()))
    for action in actions:
        near = [s for s in seen if s[:2] == action[:2] and np.allclose(s[2:], action[2:], atol=0.1)]
        assert near, action
    # And nothing else: parts of actions lie inside these.
    for video, label, start, end in seen:
        assert any(
            (video, label) == action[:2] and action[2] - 0.1 <= start and end <= action[3] + 0.1
            for action in actions
        )
