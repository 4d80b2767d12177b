"""Suggestions and learning in the background, in a thread of its own, with their progress.

What a round makes lies in a folder, so a round that was interrupted goes on when the server starts
again.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, read_bytes
from afsd_jax.labelling.program_runs import Stopped, run_program
from afsd_jax.labelling.proposals import are_alone, suggestions_of
from afsd_jax.labelling.records import Labels, Suggestion, VideoLabels
from afsd_jax.labelling.round_work import RoundWork, Tools
from afsd_jax.labelling.rounds import UNMEASURED, Plan, Round, finished, plan_round
from afsd_jax.types import Detection

IDLE, FEATURES, DETECTING = "idle", "features", "detecting"
STOPPED, FAILED, DONE = "stopped", "failed", "done"
_ROUND = "round "  # begins the source of suggestions of a round
_LOCKED = "wait for its end"  # is said while a process of the server before is still ending
_LOCKED_S = 120.0

log = logging.getLogger(__name__)


class Status(msgspec.Struct, frozen=True):
    """What goes on; see `GET /api/project`."""

    state: str = IDLE
    progress: float = 0.0
    message: str = ""
    eta_s: float | None = None
    report: str | None = None
    rounds: list[Round] = []


class Learner:
    """Works in a thread of its own; its other methods answer at once."""

    def __init__(
        self,
        folder: Path,
        videos: Mapping[str, Path],
        tools: Tools,
        labels: Callable[[], Labels],
        suggest: Callable[[str, list[Suggestion], str], object],
        tell: Callable[[Status], object],
    ):
        """Reads what rounds have left; starts nothing.

        Args:
          folder: for everything that it makes.
          videos: the files of the videos, by name.
          tools: see there.
          labels: returns what is labelled.
          suggest: takes the suggestions of a video, and who made them.
          tell: is called when the status changes.

        Raises:
          UserError: what rounds have left is damaged.
        """
        folder = folder.absolute()  # commands take some paths as relative to other folders
        self._folder, self._videos, self._tools = folder, videos, tools
        self._plan = folder / "plan.json"  # of the round that goes on
        self._labels, self._suggest, self._tell = labels, suggest, tell
        self._rounds: list[Round] = _read(folder / "rounds.json", list[Round], [])
        self.status = Status(rounds=self._rounds, report=self._report())
        self._stopping, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._phase = "", 0.0
        self._work = RoundWork(folder, videos, tools, self._run)

    def begin(self) -> None:
        """Goes on with a round that was interrupted, or else makes the first suggestions."""
        plan: Plan | None = _read(self._plan, Plan, None)
        if plan is not None and not plan.stopped:
            self._start(self._learn)
        elif plan is not None:
            self._set(STOPPED, 0.0, "stopped; it goes on with Learn")
        elif self._tools.source and self._without_suggestions():
            self._start(self._suggest_first)

    def start(self) -> None:
        """Begins a round, or goes on with one that was stopped if nothing has changed since.

        Raises:
          UserError: too little is reviewed, or something goes on already.
        """
        with self._starting:
            self._start_round()

    def _start_round(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            if self.status.state != DETECTING or self._plan.exists():
                raise UserError("a round goes on already; stop it first")
            self._halt()
        plan = plan_round(self._labels(), list(self._videos), self._rounds)
        if not plan.validation or len(plan.videos) < 2:
            raise UserError(
                "learning needs at least two reviewed videos with segments: one to learn from, and "
                "one to measure on; label them and mark them as reviewed"
            )
        stopped: Plan | None = _read(self._plan, Plan, None)
        if stopped is None or stopped.version != plan.version:
            shutil.rmtree(self._work.place(plan), ignore_errors=True)
            stopped = plan
        _write(self._plan, replace(stopped, stopped=False))
        self._set("preparing", 0.0, f"round {plan.round}")
        self._start(self._learn)

    def stop(self) -> None:
        """Stops what goes on."""
        plan: Plan | None = _read(self._plan, Plan, None)
        if plan is not None:
            _write(self._plan, replace(plan, stopped=True))
        self._stopping.set()

    def close(self) -> None:
        """Ends the thread; a round goes on when the server starts again."""
        self._closing.set()
        self._halt()

    def report(self, number: int) -> bytes:
        """Returns the report of the training of a round, a page.

        Raises:
          LookupError: there is none.
        """
        path = self._folder / f"round-{number}" / "run" / "report.html"
        if not path.is_file():
            raise LookupError(number)
        return read_bytes(path)

    def _report(self) -> str | None:
        numbers = [one.round for one in self._rounds]
        numbers += [numbers[-1] + 1 if numbers else 1]
        there = [n for n in numbers if (self._folder / f"round-{n}/run/report.html").is_file()]
        return f"/report/{there[-1]}" if there else None

    def _halt(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self, work: Callable[[], None]) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded, args=[work], daemon=True)
        self._thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            if not self._closing.is_set():
                self._set(STOPPED, 0.0, "stopped")
        except UserError as error:
            self._set(FAILED, 0.0, str(error))
        except Exception as error:
            log.exception("learning")
            self._set(FAILED, 0.0, f"an error in the program ({error}); the terminal shows it")

    def _set(self, state: str, progress: float, message: str = "") -> None:
        now = time.monotonic()
        if self._phase[0] != (phase := f"{state} {message}"):
            self._phase = phase, now
        passed = now - self._phase[1]
        eta_s = passed * (1 - progress) / progress if progress > 0.02 else None
        before = self.status
        self.status = Status(state, progress, message, eta_s, self._report(), self._rounds)
        if (before.state, before.message) != (state, message) or progress != before.progress:
            self._tell(self.status)

    def _run(self, state: str, what: str, log_file: Path, *arguments: str) -> None:
        """Runs a command of this project and tells how far it is."""

        def tell(bar: str, share: float) -> None:
            self._set(FEATURES if bar.startswith("trunk features") else state, share, what)

        self._set(state, 0.0, what)
        until = time.monotonic() + _LOCKED_S
        while True:
            command = self._tools.command(*arguments)
            try:
                return run_program(command, log_file, tell, self._stopping)
            except UserError as error:
                if _LOCKED not in str(error) or time.monotonic() > until:
                    raise
            self._stopping.wait(1.0)

    def _without_suggestions(self) -> list[str]:
        """Returns the videos in which the first suggestions are still to be made."""
        videos, source = self._labels().videos, self._tools.source
        known = {name: videos.get(name, VideoLabels()) for name in self._videos}
        return [
            name
            for name, video in known.items()
            if not video.reviewed and video.source != source and not video.source.startswith(_ROUND)
        ]

    def _suggest_first(self) -> None:
        source, names = self._tools.source, self._without_suggestions()
        least = UNMEASURED if self._tools.min_score is None else self._tools.min_score
        for part, found in self._work.first(source, names):
            self._propose(found, part, source, 0, least)
        plural = "s" * (len(names) != 1)
        self._set(DONE, 1.0, f"suggestions in {len(names)} video{plural}")

    def _propose(
        self,
        found: Mapping[str, Sequence[Detection]],
        names: Sequence[str],
        source: str,
        number: int,
        least: float,
    ) -> None:
        """Gives suggestions to the videos that nobody has reviewed in the meantime."""
        alone = are_alone(self._labels().videos.values())
        for name in names:
            labels = self._labels()
            video = labels.videos.get(name, VideoLabels())
            if not video.reviewed:
                given = found.get(name, ())
                made = suggestions_of(given, video, labels.renamed, least, number, alone)
                self._suggest(name, made, source)

    def _learn(self) -> None:
        """Makes the round whose plan is in the folder, from where it was interrupted."""
        plan: Plan = _read(self._plan, Plan, None)
        began = time.monotonic()
        try:
            labels = self._work.prepare(plan, self._labels)
            self._work.train(plan)
            found = self._work.detect(plan)
        finally:
            spent_s = plan.spent_s + time.monotonic() - began
            current: Plan | None = _read(self._plan, Plan, None)
            if current is not None:
                _write(self._plan, replace(current, spent_s=spent_s))
        result = finished(plan, labels, self._rounds, found, self._tools.min_score, spent_s / 60)
        others = [name for name in plan.detect if name not in plan.validation]
        self._propose(found, others, f"{_ROUND}{plan.round}", plan.round, result.min_score)
        self._rounds = [*self._rounds, result]
        _write(self._folder / "rounds.json", self._rounds)
        self._plan.unlink()
        self._work.tidy(plan)
        self._set(DONE, 1.0, f"round {plan.round} is done")


def _read(path: Path, kind: Any, default: Any) -> Any:
    """Returns what a file holds, or a default if it is missing."""
    if not path.exists():
        return default
    try:
        return msgspec.json.decode(read_bytes(path), type=kind)
    except msgspec.MsgspecError as error:
        raise UserError(f"{path}: damaged ({error}); remove it") from error


def _write(path: Path, value: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(msgspec.json.encode(value))
