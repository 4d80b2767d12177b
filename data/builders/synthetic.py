"""TFDS builder of the synthetic data set, which generates its videos."""

from pathlib import Path
from typing import Any

from afsd_jax.data import annotations
from afsd_jax.data.builders import generator
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.tasks import Plan


class Synthetic(VideoBuilder):
    """Generated videos whose actions differ in their motion only."""

    name = "synthetic"

    def __init__(self, *, settings: generator.Settings | None = None, **kwargs: Any):
        """Takes the arguments of every builder here.

        Args:
          settings: settings of the videos.
          **kwargs: see `VideoBuilder`. The videos are written to the source folder; without options
            that is `synthetic/source` in the data folder.
        """
        self.settings = settings or generator.Settings()
        super().__init__(**kwargs)
        source = Path(self.data_dir_root) / self.name / "source"
        self._options = self._options or PrepareOptions(source)

    def plan(self) -> Plan:
        """Generates the videos unless they exist, then plans as usual."""
        if self._plan is None:
            generator.synthesize(self.options.source, self.settings, self.options.workers)
        return super().plan()

    def read_annotations(self) -> annotations.Annotations:
        """Reads the ground truth beside the videos."""
        return annotations.read_activitynet(self.options.source / "ground_truth.json")

    def class_names(self, videos: annotations.Annotations) -> list[str]:
        """Returns all classes, even if a small data set does not contain some."""
        return annotations.class_names(videos, sorted(generator.CLASSES))
