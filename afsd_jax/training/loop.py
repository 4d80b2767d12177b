"""Trains a detector, or resumes an interrupted run: the command `afsd train`."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import jax
import ml_collections

from afsd_jax.diagnosis.checkpoint_calibration import calibrate_run
from afsd_jax.diagnosis.run_figure import figure_in_words
from afsd_jax.diagnosis.run_report import write_run_report
from afsd_jax.diagnosis.validation_files import how_measured, read_validation, write_validation
from afsd_jax.evaluation import Metrics
from afsd_jax.io.locks import locked
from afsd_jax.io.run_log import LOSS, VALIDATION
from afsd_jax.kernels import load_triton
from afsd_jax.runtime import devices
from afsd_jax.runtime.sharding import shard_batch
from afsd_jax.runtime.signals import Interruption
from afsd_jax.training.held_out_runs import run_before
from afsd_jax.training.monitoring import agreed_signal, scores, why_stopped
from afsd_jax.training.probe import choose_by_probe
from afsd_jax.training.run_identity import NOTHING, Allowed
from afsd_jax.training.setup import Run, log, setup, with_chosen_fields
from afsd_jax.training.state import detection_weights, save_state
from afsd_jax.weights import checkpoint


def train(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    profile_steps: int = 0,
    allowed: Allowed = NOTHING,
) -> int:
    """Trains to the last step; resumes the run if `workdir` has one.

    Args:
      config: the configuration.
      workdir: folder of the run.
      profile_steps: number of steps to trace with JAX's profiler, on the first host.
      allowed: how a resumed run may differ from its beginning.

    Returns:
      The exit code: 0; 1 if the last checkpoint or the log could not be written; 128 plus the
      signal's number after SIGTERM or Ctrl-C.

    Raises:
      UserError: the configuration, the data or the folder do not fit together, another process
        trains in the folder, JAX finds no device, or loss or gradient is not finite.
    """
    load_triton()  # TensorFlow, which the pipeline imports, must come after it
    devices.start_jax()
    is_main = jax.process_index() == 0
    with locked(Path(workdir), "training") if is_main else contextlib.nullcontext():
        config, open_fields = with_chosen_fields(config, is_main)
        config = choose_by_probe(config, open_fields, Path(workdir))
        code, config = run_before(
            config, Path(workdir), lambda c, folder: run_steps(setup(c, folder, 0, allowed))
        )
        return code or run_steps(setup(config, workdir, profile_steps, allowed))


def run_steps(run: Run) -> int:
    """Computes the steps of a run; see `train`."""
    batches = run.data.batches(run.first, run.features)
    signum, ended = 0, run.stops_early
    with Interruption() as interruption, run.bar:
        for number in range(run.first + 1, run.first + 1 if ended else run.schedule.last + 1):
            with run.throughput.waiting():
                batch = next(batches)
            run.profile.begin(number)
            logs = run.schedule.logs(number)
            run.state, terms, health = run.step(run.state, shard_batch(batch, run.mesh), norms=logs)
            run.profile.end(number, health)
            run.guard.add(number, terms, health["finite"])
            run.bar.update()
            if logs:
                log_step(run, number, terms, health)
            signum = agreed_signal(interruption.signum, exchange=logs)
            with run.throughput.paused():
                metrics = None
                if run.schedule.evaluates(number) and not signum:
                    metrics = evaluate(run, number, interruption)
                    signum = agreed_signal(interruption.signum, exchange=True)
                if run.schedule.saves(number) or signum or metrics is not None:
                    save(run, metrics)
            if signum or (metrics is not None and run.stops_early):
                break
    return finish(run, signum or interruption.signum)


def log_step(
    run: Run, number: int, terms: Mapping[str, jax.Array], health: Mapping[str, jax.Array]
) -> None:
    """Logs a step's losses, norms, learning rates and speed."""
    run.guard.flush()
    values = {name: float(x) for name, x in terms.items()}
    values |= {name: float(x) for name, x in health.items() if name != "finite"}
    values |= {f"learning_rate/{k}": float(f(number - 1)) for k, f in run.learning_rates.items()}
    values |= {**run.throughput.read(), "skipped_steps": float(run.guard.skipped)}
    run.log.write(number, values)
    run.show(loss=f"{values['total']:.3f}", clips_per_s=f"{values['clips_per_s']:.1f}")


def evaluate(run: Run, number: int, interruption: Interruption) -> Metrics | None:
    """Evaluates the weights and logs the result; returns None if a signal interrupted it."""
    if run.validator is None or run.clip_losses is None:
        return None
    run.guard.flush()
    weights = detection_weights(run.state, run.mesh)
    metrics = run.validator(weights, lambda: interruption.signum)
    if metrics is not None:
        losses = {LOSS + name: x for name, x in run.clip_losses(weights).items()}
        run.log.write(number, {VALIDATION: metrics.as_dict() | losses})
        run.show(mAP=f"{100 * metrics.average_map:.2f}")
        if metrics.average_map >= max(scores(run.log.records).values()):
            run.log.attempt(lambda: keep_validation(run, number))
        run.log.attempt(lambda: write_run_report(run.workdir))
    return metrics


def keep_validation(run: Run, number: int) -> None:
    """Writes the detections of the last evaluation, and their page, into the run's folder."""
    if run.validator is not None:
        truth, found, tious = run.validator.truth, run.validator.found, run.validator.tious
        write_validation(run.workdir, truth, found, tious, number, run.config.data.dataset)


def save(run: Run, metrics: Metrics | None) -> None:
    """Saves a checkpoint, with the metrics if it was evaluated."""
    run.guard.flush()
    description = checkpoint.describe(run.config, run.class_names, metrics, run.splits)
    save_state(run.checkpoints, run.state, description)


def finish(run: Run, signum: int) -> int:
    """Closes the run's files, reports how it ended, and returns the exit code."""
    run.profile.close()
    run.checkpoints.close()
    run.log.close()
    has_ended = not (signum or run.checkpoints.failed)
    if has_ended and not run.config.train.keep_optimizer:
        run.log.attempt(run.checkpoints.keep_detectors)
    run.log.attempt(lambda: write_run_report(run.workdir))
    run.log.attempt(lambda: calibrate_best(run))
    if run.is_main:
        report_end(run, signum)
    if run.checkpoints.failed or run.log.failed:
        return 1
    return 128 + signum if signum else 0


def calibrate_best(run: Run) -> None:
    """Keeps the least scores to show with the checkpoint of the best evaluation."""
    split = run.config.data.validation_split or how_measured(run.workdir)
    path = calibrate_run(run.workdir, split)
    if path:
        log.info(f"{path}: least scores to show, as the validation measured them")


def report_figure(run: Run) -> None:
    """Reports mAP with its interval, if it was measured."""
    validation = read_validation(run.workdir)
    if validation is not None:
        log.info(figure_in_words(validation))


def report_end(run: Run, signum: int) -> None:
    """Reports the best score and how the run ended."""
    by_step, last = scores(run.log.records), run.checkpoints.last
    if by_step:
        best = max(by_step, key=lambda step: (by_step[step], step))
        log.info(f"best average mAP {100 * by_step[best]:.2f} % at step {best}")
    run.log.attempt(lambda: report_figure(run))
    if run.log.failed:
        log.error(f"{run.workdir}: some lines of the log were not written")
    if run.checkpoints.failed:
        saved = f"step {last} is the last one" if last else "there is none"
        log.error(f"the last checkpoint was not saved; {saved}")
    elif signum:
        log.info(f"saved at step {last}; the same command continues from there")
    elif run.stops_early:
        why = why_stopped(run.log, run.config.train.early_stop)
        log.info(f"stopped at step {int(run.state.step)}: {why}")
    if int(run.state.step) == run.first > 0 and not signum:
        log.info(
            f"{run.workdir}: this run had ended at step {run.first}, so nothing was trained; give "
            "another folder to train again"
        )
