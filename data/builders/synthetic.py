"""TFDS builder of the synthetic data set, which makes its own videos."""

from pathlib import Path
from typing import Any

from afsd_jax.data import annotations
from afsd_jax.data.builders import generator
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.tasks import PreparationPlan


class Synthetic(VideoBuilder):
    """Generated videos whose actions are told apart by motion alone."""

    name = "synthetic"

    def __init__(self, *, settings: generator.Settings | None = None, **kwargs: Any):
        """Takes the arguments of every builder here.

        Args:
          settings: of the videos.
          **kwargs: see `VideoBuilder`. The source folder is where the videos are made; without
            options it is `synthetic/source` in the data folder.
        """
        self.settings = settings or generator.Settings()
        super().__init__(**kwargs)
        source = Path(self.data_dir_root) / self.name / "source"
        self.options = self.options or PrepareOptions(source)

    def plan(self) -> PreparationPlan:
        """Makes the videos if they are not there, then plans as usual."""
        if self._plan is None and self.options is not None:
            generator.synthesize(self.options.source, self.settings, self.options.workers)
        return super().plan()

    def read_annotations(self, options: PrepareOptions) -> annotations.Annotations:
        """Reads the ground truth beside the videos."""
        return annotations.read_activitynet(options.source / "ground_truth.json")

    def class_names(self, options: PrepareOptions, videos: annotations.Annotations) -> list[str]:
        """Returns all classes, whether or not a small data set shows them."""
        return annotations.class_names(videos, sorted(generator.CLASSES))
