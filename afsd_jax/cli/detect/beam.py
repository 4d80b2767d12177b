"""Detection on Apache Beam: each worker loads the networks once, and writes files as it goes."""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from afsd_jax.cli.detect import command as detect
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_json, write_json
from afsd_jax.runtime import compilation


class DetectVideo(beam.DoFn):
    """Detects in videos by their names, and says in a folder what became of each."""

    def __init__(self, args: argparse.Namespace, outcomes: Path):
        """Takes the command line, checked, and a folder that all workers reach."""
        self._args, self._outcomes = args, outcomes

    def setup(self) -> None:
        """Loads the networks, once in each worker."""
        compilation.enable_cache(self._args.compilation_cache)
        self._work = detect.open_work(self._args)
        self._work.quiet = True

    def process(self, element: tuple[int, str, str]) -> None:
        """Detects in one video, given number, name and what its detections come of."""
        number, name, made_by = element
        work = self._work
        outcome: dict[str, Any] = {"damaged": 0, "error": None}
        work.failed.clear()
        assert work.folder is not None  # --beam-options needs --format
        for _, damaged in detect.write_videos(work.folder, work, [name], {name: made_by}):
            outcome["damaged"] = damaged
        if work.failed:
            outcome["error"] = work.failed[0]
        write_json(self._outcomes / f"{number}.json", outcome)


def write_videos(
    args: argparse.Namespace, names: Sequence[str], made_by: Mapping[str, str], failed: list[str]
) -> Iterator[tuple[str, int]]:
    """Detects in videos as `detect.write_videos` does, spread over Beam's workers.

    Args:
      args: the command line, checked; `beam_options` are Beam's pipeline options.
      names: of the videos.
      made_by: digests of what their detections are made from, by name.
      failed: receives why others failed.

    Raises:
      UserError: the workers left no word of some videos.
    """
    plain = {key: value for key, value in vars(args).items() if key != "error"}
    alone = argparse.Namespace(**plain | {"beam_options": None})
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".beam-", dir=args.output) as folder:
        with beam.Pipeline(options=args.beam_options) as pipeline:
            _ = (
                pipeline
                | "Videos"
                >> beam.Create([(i, name, made_by[name]) for i, name in enumerate(names)])
                | "Spread" >> beam.Reshuffle()
                | "Detect" >> beam.ParDo(DetectVideo(alone, Path(folder)))
            )
        for number, name in enumerate(names):
            path = Path(folder, f"{number}.json")
            if not path.exists():
                raise UserError(
                    f"{args.output}: Beam's workers left no word of {name}; videos, checkpoint and "
                    "output must lie on a file system that all of them share"
                )
            outcome: dict[str, Any] = read_json(path)
            if outcome["error"]:
                failed.append(outcome["error"])
            else:
                yield name, outcome["damaged"]
