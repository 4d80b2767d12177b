"""From a prepared data set to batches of training clips.

tf.data reads and decodes frames, and a thread reads features; everything else about a clip is
NumPy. Clips are shuffled before they are read, so a batch depends on the seed and the step alone:
training can start at any step, and each host decodes only its own part of a batch.
"""

import itertools
import threading
from collections.abc import Callable, Generator, Iterator

import ml_collections
import numpy as np

from afsd_jax.data.clips.background import Backgrounds, is_background
from afsd_jax.data.clips.balance import balanced_weights, draw_balanced
from afsd_jax.data.clips.clip_reader import ClipReader, ClipView, View
from afsd_jax.data.clips.consistency import consistency_clip, moved_length
from afsd_jax.data.clips.drawn_clip import ROW_SIZE, DrawnClip
from afsd_jax.data.clips.geometry import crop_places, frame_unit
from afsd_jax.data.clips.speed import Place, clip_in, draw_place
from afsd_jax.data.clips.stored_rows import StoredRows
from afsd_jax.data.clips.training_clips import (
    Clip,
    boundary_targets,
    usable_actions,
    video_clips,
)
from afsd_jax.data.splits import iterate_arrays, open_split, parallel_map
from afsd_jax.data.storage.prepared_folder import PreparedFolder
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError
from afsd_jax.runtime.prefetch import prefetch

Batch = dict[str, np.ndarray]
# Returns the features of a clip, resampled to so many slices: float16 [slices, size].
Features = Callable[[ClipView, int], np.ndarray]
_AHEAD = 2  # batches of features that are read in advance


class TrainingData:
    """The training clips of a prepared data set.

    Attributes:
      folder: the prepared data set.
      class_names: names of the action classes; the network's label is the index plus 1.
      num_clips: number of clips in the split.
      steps_per_epoch: batches per epoch, over all hosts; the remaining clips are not in the epoch.
      videos: videos of the split.
      views: all views of a clip if `data.crops` limits their number, otherwise empty.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        process_index: int = 0,
        process_count: int = 1,
        split: tuple[PreparedFolder, list[PreparedVideo]] | None = None,
    ):
        """Finds the clips; reads no frames.

        Args:
          config: see `afsd_jax.config`.
          process_index: number of this host, from 0.
          process_count: number of hosts; each takes an equal part of every batch.
          split: the result of `open_split`; by default the training split is opened.

        Raises:
          UserError: the data set is missing or damaged, does not fit the configuration, or has
            fewer clips than a batch.
        """
        self._config = config
        self.folder, self.videos = split or open_split(config.data, config.data.train_split)
        self.class_names = self.folder.class_names
        # Of each clip its video and, first, the clip itself, then those that may take its place.
        self._clips: list[tuple[int, list[Clip]]] = []
        self._unit = unit = frame_unit(config.model)
        self._shortest: list[float] = []  # shortest action of each video's clips, frames
        for number, video in enumerate(self.videos):
            annotated = video.num_frames, video.segments, video.labels
            found = video_clips(*annotated, config.data, unit)
            self._clips += [(number, shifted) for shifted in found.shifted]
            self._shortest.append(found.min_action)
            most = max((len(clip.labels) for clips in found.shifted for clip in clips), default=0)
            if most > config.data.max_actions:
                raise UserError(
                    f"{video.path}: a clip of {video.name} has {most} actions; set "
                    f"config.data.max_actions (now {config.data.max_actions}) to at least that"
                )
        self.num_clips = len(self._clips)
        batch_size = config.train.batch_size
        self.steps_per_epoch = self.num_clips // batch_size
        if not self.steps_per_epoch:
            raise UserError(
                f"{self.folder.path}: split {config.data.train_split} has {self.num_clips} clips, "
                f"fewer than config.train.batch_size={batch_size}"
            )
        if batch_size % process_count:
            raise UserError(
                f"config.train.batch_size={batch_size}: must be a multiple of the number of "
                f"processes, {process_count}"
            )
        self._local_size = batch_size // process_count
        self._process_index = process_index
        self._actions = [usable_actions(v.segments, v.labels, config.data) for v in self.videos]
        self._weights, self._backgrounds = self._weigh(), self._find_backgrounds()
        height, width, _ = self.videos[0].shape
        self._places = crop_places(height, width, config.data.crop_size)[: config.data.crops]
        flips = [False] * (config.data.flip < 1) + [True] * (config.data.flip > 0)
        self.views = [View(y, x, flip) for y, x in self._places for flip in flips]

    def _weigh(self) -> np.ndarray | None:
        """Returns the weight of each clip; None: each comes once in an epoch."""
        if not self._config.data.balanced:
            return None
        return balanced_weights([shifted[0].labels for _, shifted in self._clips])

    def _find_backgrounds(self) -> Backgrounds | None:
        """Returns the videos' background, if it is to replace that of clips."""
        if not self._config.data.paste:
            return None
        segments = [actions.segments for actions in self._actions]
        return Backgrounds(segments, [video.num_frames for video in self.videos], self._unit)

    def batches(
        self, start_step: int = 0, features: Features | None = None
    ) -> Generator[Batch, None, None]:
        """Yields this host's part of each batch, without end.

        Batch s, with every random choice in it, depends on `config.seed` and s alone. The parts of
        all hosts, joined in their order, are the batch of a single host.

        Args:
          start_step: number of the first batch.
          features: returns the features of a clip in a view.

        Yields:
          A dict of arrays, B = clips of this host, T = `data.clip_length`, S = `data.crop_size`,
          M = `data.max_actions`:
          frames: uint8 [B, T, S, S, C], cropped and mirrored at random, 0 after the video's end;
            or, with `features`, instead of them features: float16 [B, slices, size].
          num_frames: int32 [B], frames before the video's end.
          segments: float32 [B, M, 2], (start, end) in frames. labels: int32 [B, M], 0 is padding.
          start_target, end_target: uint8 [B, T]; see `training_clips.boundary_targets`.
          consistency_index: int32 [B, T], consistency_segments: float32 [B, 3, 2]; see
            `consistency.ConsistencyClip`. consistency_mask: bool [B], whether there is one.
        """
        kind = "frames" if features is None else "features"
        if features is None and (self._config.data.speed or self._config.data.paste):
            features = StoredRows(self.videos)
        rows_and_inputs = (
            self._frames(start_step) if features is None else self._read(features, start_step)
        )
        for rows_of_batch, inputs in rows_and_inputs:
            targets = [self._targets(DrawnClip.of_row(row)) for row in rows_of_batch]
            batch = {key: np.stack([clip[key] for clip in targets]) for key in targets[0]}
            yield {kind: inputs, **batch}

    def _frames(self, start_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the rows (see `_epoch`) and the frames of each batch; see `batches`."""
        import tensorflow as tf

        start_epoch, step = divmod(start_step, self.steps_per_epoch)

        @tf.autograph.experimental.do_not_convert
        def rows_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            rows = tf.numpy_function(self._epoch, [epoch], tf.int64, stateful=False)
            rows = tf.ensure_shape(rows, [None, ROW_SIZE])
            return tf.data.Dataset.from_tensor_slices(rows)

        rows = tf.data.Dataset.range(start_epoch, np.iinfo(np.int64).max).flat_map(rows_of_epoch)
        reader = ClipReader(self.videos, self._config.data)
        clips = parallel_map(
            rows.skip(step * self._local_size),
            lambda row: (row, reader(ClipView(*tf.unstack(row)[-len(ClipView._fields) :]))),
        )
        batched = clips.padded_batch(self._local_size, ([None], reader.shape), drop_remainder=True)
        yield from iterate_arrays(batched, self.videos[0].path.parent)

    def _read(self, features: Features, start_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the rows (see `_epoch`) and the features of each batch; see `batches`."""
        start_epoch, step = divmod(start_step, self.steps_per_epoch)

        def read(stop: threading.Event) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for epoch in itertools.count(start_epoch):
                rows = self._epoch(epoch).reshape(self.steps_per_epoch, self._local_size, -1)
                for of_batch in rows[step if epoch == start_epoch else 0 :]:
                    drawn = [DrawnClip.of_row(row) for row in of_batch]
                    yield of_batch, np.stack([self._cells(features, clip) for clip in drawn])

        return prefetch(read, _AHEAD)

    def _cells(self, features: Features, drawn: DrawnClip) -> np.ndarray:
        """Returns a clip's features at its speed, before its own or another background."""
        view, unit = drawn.view, self._unit
        whole = view._replace(stop=view.start + drawn.shown)
        cells = features(whole, self._config.data.clip_length // unit)
        rng = np.random.default_rng((self._config.seed, drawn.epoch, drawn.number, 3))
        if self._backgrounds is None or rng.random() >= self._config.data.paste:
            return cells
        num_frames = drawn.num_frames(self.videos[view.video].num_frames, len(cells) * unit)
        replaced = is_background(self._clip(drawn).segments, len(cells), unit)
        replaced[-(-num_frames // unit) :] = False  # what is after the video stays
        stretches = self._backgrounds.draw(view.video, int(replaced.sum()), rng)
        parts = [
            features(view._replace(video=video, start=first * unit, stop=stop * unit), stop - first)
            for video, first, stop in stretches
        ]
        if not parts:
            return cells
        cells = cells.copy()
        cells[replaced] = np.concatenate(parts)
        return cells

    def clips_of(self, step: int) -> list[tuple[str, int]]:
        """Returns the video and the first frame of each clip of this host in batch `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        rows = self._epoch(epoch)[position * self._local_size :][: self._local_size]
        clips = [DrawnClip.of_row(row).view for row in rows]
        return [(self.videos[clip.video].name, clip.start) for clip in clips]

    def _epoch(self, epoch: int) -> np.ndarray:
        """Returns this host's clips in one epoch, int64 [steps · B, 9]: `DrawnClip.row`."""
        seed, data = self._config.seed, self._config.data
        rng = np.random.default_rng((seed, epoch))
        if self._weights is None:
            order = rng.permutation(self.num_clips)
        else:
            order = draw_balanced(self._weights, rng)
        order = order[: self.steps_per_epoch * self._config.train.batch_size]
        share = order.reshape(self.steps_per_epoch, -1, self._local_size)[:, self._process_index]
        height, width, _ = self.videos[0].shape
        rows = []
        for clip in share.ravel().tolist():
            rng = np.random.default_rng((seed, epoch, clip))
            video, shifted = self._clips[clip % self.num_clips]
            if self._places:
                y, x = self._places[rng.integers(len(self._places))]
            else:
                y = rng.integers(height - data.crop_size + 1)
                x = rng.integers(width - data.crop_size + 1)
            flip = rng.random() < data.flip
            offset = shifted[rng.integers(len(shifted))].offset
            num_frames, place = self.videos[video].num_frames, Place(offset, data.clip_length)
            if data.speed:
                rng = np.random.default_rng((seed, epoch, clip, 2))
                actions = self._actions[video]
                place = draw_place(offset, actions, num_frames, data, self._unit, rng)
            stop = min(place.start + data.clip_length, num_frames)
            view = ClipView(video, place.start, stop, y, x, flip)
            rows.append(DrawnClip(epoch, clip, place.shown, view).row)
        return np.array(rows, np.int64)

    def _clip(self, drawn: DrawnClip) -> Clip:
        """Returns the actions of a clip, at its speed."""
        view = drawn.view
        if self._config.data.speed:
            clip, _ = clip_in(drawn.place, self._actions[view.video], self._config.data)
            return clip
        _, shifted = self._clips[drawn.number % self.num_clips]
        return next(clip for clip in shifted if clip.offset == view.start)

    def _targets(self, drawn: DrawnClip) -> Batch:
        """Returns the fields of a batch for one clip, without its frames."""
        data, clip = self._config.data, self._clip(drawn)
        video = self.videos[drawn.view.video]
        count, length = len(clip.labels), data.clip_length
        segments = np.zeros((data.max_actions, 2), np.float32)
        segments[:count] = clip.segments
        labels = np.zeros(data.max_actions, np.int32)
        labels[:count] = clip.labels
        start, end = boundary_targets(clip.segments, length)
        rng = np.random.default_rng((self._config.seed, drawn.epoch, drawn.number, 1))
        shortest = self._shortest[drawn.view.video] / (drawn.shown / length)
        consistent = consistency_clip(
            clip.segments,
            length,
            moved_length(shortest, data.consistency, self._unit),
            lambda options: int(rng.integers(options)),
            self._unit,
        )
        index = np.arange(length, dtype=np.int32) if consistent is None else consistent.index
        regions = np.zeros((3, 2)) if consistent is None else consistent.segments
        return {
            "num_frames": np.array(drawn.num_frames(video.num_frames, length), np.int32),
            "segments": segments,
            "labels": labels,
            "start_target": start,
            "end_target": end,
            "consistency_index": index,
            "consistency_segments": regions.astype(np.float32),
            "consistency_mask": np.array(consistent is not None),
        }
