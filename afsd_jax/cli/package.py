"""The command `afsd package`: a detector as one file, to be given away."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.arguments import CHECKPOINT
from afsd_jax.cli.printing import print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file, read_text

if TYPE_CHECKING:
    import ml_collections

    from afsd_jax.data.summary import SplitSummary

SUMMARY = "Write a detector as one file, with a card, to give away."
DETAILS = """The file holds the weights of the run's best checkpoint with their trunk, its
configuration, class names, figures and thresholds, and a card in Markdown. The card says what the
detector learnt from and what its limits are. Every command that takes a checkpoint takes this file:

  afsd detect --checkpoint model.afsd VIDEO.mp4
  afsd inspect model.afsd

No videos, frames or annotations go into it, nor the paths of folders on this machine."""

_MOST_BYTES = 2**18  # of --about


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", help=CHECKPOINT)
    add("--output", type=Path, required=True, help="file to write, such as model.afsd")
    about = "text file with what people should know about the detector; it begins the card"
    add("--about", type=Path, help=about)
    data_dir = "folder of the prepared training data, to describe it; default: where it was"
    add("--data-dir", type=Path, help=data_dir)
    add("--force", action="store_true", help="overwrite a packaged detector")


def run(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax.weights.packaged_file import SUFFIX, is_package

    if args.output.suffix.lower() != SUFFIX:
        raise UserError(f"--output {args.output}: must end in {SUFFIX}")
    if args.output.exists() and not (args.force and is_package(args.output)):
        raise UserError(f"{args.output}: exists; give another path, or force overwriting (--force)")
    about = read_text(args.about, _MOST_BYTES) if args.about else ""
    from afsd_jax.runtime import devices

    devices.use_cpu_only()
    from afsd_jax.report.model_card import write_card
    from afsd_jax.weights.loading import load_checkpoint
    from afsd_jax.weights.packaged_file import write_package

    checkpoint = load_checkpoint(args.checkpoint)
    config, calibration = checkpoint.config, checkpoint.calibration
    training = _training_data(config, args.data_dir)
    threshold = calibration.threshold if calibration else None
    facts = checkpoint.class_names, training, checkpoint.metrics, threshold
    card = write_card(args.output.stem, about, config, *facts, _measured(Path(args.checkpoint)))
    write_package(args.output, checkpoint, card)
    print_text(f"{args.output}: written, {args.output.stat().st_size / 1e6:.1f} MB")
    print_next("read its card", "afsd", "inspect", args.output)


def _measured(workdir: Path) -> str:
    """Returns the figure of a run that was not evaluated itself, in words; "" if there is none."""
    from afsd_jax.diagnosis.run_figure import figure_in_words
    from afsd_jax.diagnosis.validation_files import read_validation

    validation = read_validation(workdir)
    return figure_in_words(validation) if validation and validation.how else ""


def _training_data(
    config: "ml_collections.ConfigDict", data_dir: Path | None
) -> "SplitSummary | None":
    """Returns the statistics of the training videos; None if they are not at hand.

    Raises:
      UserError: they are not in the folder that was given.
    """
    from afsd_jax.data import splits, summary

    config = config.copy_and_resolve_references()
    if data_dir is not None:
        config.data.data_dir = str(data_dir)
    try:
        folder = splits.open_data_set(config.data)
        return summary.summarize(splits.read_part(folder, config.data.train_split))
    except UserError as error:
        if data_dir is not None:
            raise
        print_text(f"note: the card does not describe the training data, as {error}")
        return None
