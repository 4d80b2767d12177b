"""The steps of a round of learning, each a command of its own: prepare, train, detect."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from afsd_jax.data.annotations.annotation_formats import FORMATS
from afsd_jax.data.decode.crops import NO_CROPS, VideoCrops
from afsd_jax.data.decode.media import is_video
from afsd_jax.io.files import atomic_write, make_folder, read_bytes, write_json, write_text
from afsd_jax.io.video_names import file_name
from afsd_jax.labelling.labels_file import in_order
from afsd_jax.labelling.proposals import read_found
from afsd_jax.labelling.records import Labels
from afsd_jax.labelling.rounds import Plan
from afsd_jax.types import SQUEEZE, Action, Detection, MarkedVideo

KINETICS = "kinetics"
_PREPARING, _LEARNING, _DETECTING = "preparing", "learning", "detecting"
_TOGETHER = 16  # videos that one command detects in


class Tools(NamedTuple):
    """What learning needs of others.

    Attributes:
      command: returns the program that runs a command of this project with these arguments.
      source: the run or checkpoint that suggests until the first round has learned; "kinetics"; or
        "" for none.
      config: configuration to train with.
      min_score: least score of suggestions; None: see `rounds.best_score`, and 0.3 for networks
        that no round has measured, whose scores are not known.
      crops: the parts of the pictures that are used.
      keep_aspect: how pictures become square, as of `FrameGeometry`.
    """

    command: Callable[..., list[str]]
    source: str = ""
    config: str = "videos"
    min_score: float | None = None
    crops: VideoCrops = NO_CROPS
    keep_aspect: str = SQUEEZE


class Run(Protocol):
    """Runs a command of this project until it ends."""

    def __call__(self, state: str, what: str, log_file: Path, *arguments: str) -> None:
        """Runs it; `state` and `what` are told, `log_file` receives what it prints."""


class RoundWork:
    """The steps; each goes on where it was interrupted."""

    def __init__(self, folder: Path, videos: Mapping[str, Path], tools: Tools, run: Run):
        """Does nothing yet.

        Args:
          folder: for everything that is made.
          videos: the files of the videos, by name.
          tools: see there.
          run: runs a command.
        """
        self._folder, self._videos, self._tools, self._run = folder, videos, tools, run

    def place(self, plan: Plan) -> Path:
        """Returns the folder of a round."""
        return self._folder / f"round-{plan.round}"

    def first(
        self, source: str, names: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], dict[str, list[Detection]]]]:
        """Yields some of the videos and what a network found in them, until all are done.

        Args:
          source: run or checkpoint, or `KINETICS`.
          names: names of videos.
        """
        folder = self._folder / "first"
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        for what, part, output in _parts(names, folder, "suggestions"):
            self._detect(source, what, part, output)
            yield part, read_found(output)

    def prepare(self, plan: Plan, labels: Callable[[], Labels]) -> Labels:
        """Prepares the reviewed videos of a plan.

        Args:
          plan: the plan.
          labels: returns what is labelled now; the first call of a round decides.

        Returns:
          What the round learns.
        """
        place = self.place(plan)
        kept = place / "labels.msgpack"
        if not kept.exists():
            with atomic_write(kept) as temporary:
                temporary.write_bytes(msgspec.msgpack.encode(labels()))
        learned = msgspec.msgpack.decode(read_bytes(kept), type=Labels)
        links = self._links(place / "videos", plan.videos)
        marked = [
            MarkedVideo(
                name,
                [Action(s.label, s.start, s.end) for s in in_order(learned.videos[name])],
                subset="validation" if name in plan.validation else "training",
                path=links[name],
            )
            for name in plan.videos
        ]
        table = place / "labels.csv"
        write_text(table, FORMATS["csv"].write(marked, table))
        source, output = str(place / "videos"), str(place / "data")
        self._run(
            _PREPARING,
            f"round {plan.round}: preparing {len(plan.videos)} videos",
            place / "prepare.log",
            *("prepare", "videos", "--source", source),
            *("--annotations", str(table), "--output", output),
            *("--keep-aspect", self._tools.keep_aspect),
            *self._crop_flags(plan.videos, place / "crops.json"),
        )
        return learned

    def train(self, plan: Plan) -> None:
        """Trains on the prepared videos; features of earlier rounds are used again."""
        place = self.place(plan)
        self._run(
            _LEARNING,
            f"round {plan.round}: learning from {len(plan.videos)} videos",
            place / "train.log",
            "train",
            f"--config={self._tools.config}",
            f"--config.data.data_dir={place / 'data'}",
            f"--config.data.feature_cache={self._folder / 'features'}",
            "--config.train.probe=False",
            f"--workdir={place / 'run'}",
        )

    def detect(self, plan: Plan) -> dict[str, list[Detection]]:
        """Detects in the videos of a plan, and returns what was found, by name."""
        place = self.place(plan)
        names = [name for name in plan.detect if name in self._videos]
        found: dict[str, list[Detection]] = {}
        for what, part, output in _parts(names, place, f"round {plan.round}: suggestions"):
            if not output.exists():
                self._detect(str(place / "run"), what, part, output)
            found |= read_found(output)
        return found

    def tidy(self, plan: Plan) -> None:
        """Removes what a finished round no longer needs, and the weights of the one before last."""
        shutil.rmtree(self.place(plan) / "data", ignore_errors=True)
        older = self._folder / f"round-{plan.round - 2}" / "run" / "checkpoints"
        shutil.rmtree(older, ignore_errors=True)

    def _detect(self, source: str, what: str, names: Sequence[str], output: Path) -> None:
        paths = map(str, self._links(self._folder / "videos", names).values())
        command = ("look",) if source == KINETICS else ("detect", "--checkpoint", source)
        cropped = self._crop_flags(names, output.with_name("crops.json"))
        arguments = (*command, *cropped, "--output", str(output), *paths)
        self._run(_DETECTING, what, output.with_suffix(".log"), *arguments)

    def _crop_flags(self, names: Sequence[str], file: Path) -> list[str]:
        """Returns the flags that state crops of videos; those by name are written to `file`."""
        crops = self._tools.crops
        own = {file_name(name): crop for name in names if (crop := crops.by_name.get(name))}
        if own:
            write_json(file, own)
            return ["--crop", str(file)]
        return ["--crop", crops.every] if crops.every else []

    def _links(self, folder: Path, names: Sequence[str]) -> dict[str, Path]:
        """Returns links to videos in one folder; the stem of each is the video's name."""
        make_folder(folder)
        links = {}
        for name in names:
            path = self._videos[name]
            link = folder / f"{file_name(name)}{path.suffix if is_video(path) else '.mp4'}"
            target = path.resolve()
            if not (link.is_symlink() and link.readlink() == target):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
            links[name] = link
        return links


def _parts(
    names: Sequence[str], folder: Path, what: str
) -> Iterator[tuple[str, Sequence[str], Path]]:
    """Yields some of the names, with a text about them and a file for what is found in them."""
    for at in range(0, len(names), _TOGETHER):
        part = names[at : at + _TOGETHER]
        text = f"{what} in videos {at + 1} to {at + len(part)} of {len(names)}"
        yield text, part, folder / f"found-{at}.json"
