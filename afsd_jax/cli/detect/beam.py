"""Detection on Apache Beam: each worker loads the networks once and writes files of videos."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from afsd_jax.cli.detect import job as detect_job
from afsd_jax.cli.detect.options import DetectOptions
from afsd_jax.errors import UserError
from afsd_jax.io.files import naming_failure, read_json, write_json
from afsd_jax.io.temporary_folders import temporary_folder
from afsd_jax.runtime import compilation


class DetectVideo(beam.DoFn):
    """Detects in videos by their names, and writes the outcome of each into a folder."""

    def __init__(self, options: DetectOptions, outcomes: Path):
        """Takes the options and a folder that all workers reach."""
        self._options, self._outcomes = options, outcomes

    def setup(self) -> None:
        """Loads the networks, once in each worker."""
        compilation.enable_cache(self._options.compilation_cache)
        self._job = detect_job.open_job(self._options)
        self._job.quiet = True

    def process(self, element: tuple[int, str, str]) -> None:
        """Detects in one video, given its number, its name and the digest of its inputs."""
        number, name, digest = element
        job = self._job
        outcome: dict[str, Any] = {"damaged": 0, "error": None}
        job.failed.clear()
        assert job.folder is not None  # --beam-options needs --format
        for _, damaged in detect_job.write_videos(job.folder, job, [name], {name: digest}):
            outcome["damaged"] = damaged
        if job.failed:
            outcome["error"] = job.failed[0]
        write_json(self._outcomes / f"{number}.json", outcome)


def write_videos(
    output: Path,
    options: DetectOptions,
    names: Sequence[str],
    digests: Mapping[str, str],
    failed: list[str],
) -> Iterator[tuple[str, int]]:
    """Detects in videos as `job.write_videos` does, distributed over Beam's workers.

    Args:
      output: folder of the results.
      options: the options; `beam_options` are those of Beam's pipeline.
      names: names of the videos.
      digests: digests of what the detections of each video depend on.
      failed: receives why videos failed.

    Raises:
      UserError: the workers wrote no result of some videos.
    """
    alone = dataclasses.replace(options, beam_options=None)
    with naming_failure(output):
        output.mkdir(parents=True, exist_ok=True)
    with naming_failure(output), temporary_folder(output / "beam") as folder:
        with beam.Pipeline(options=options.beam_options) as pipeline:
            _ = (
                pipeline
                | "Videos"
                >> beam.Create([(i, name, digests[name]) for i, name in enumerate(names)])
                | "Spread" >> beam.Reshuffle()
                | "Detect" >> beam.ParDo(DetectVideo(alone, folder))
            )
        for number, name in enumerate(names):
            path = folder / f"{number}.json"
            if not path.exists():
                raise UserError(
                    f"{output}: Beam's workers wrote no result of {name}; videos, checkpoint and "
                    "output must lie on a file system that all of them share"
                )
            outcome: dict[str, Any] = read_json(path)
            if outcome["error"]:
                failed.append(outcome["error"])
            else:
                yield name, outcome["damaged"]
