"""The command `afsd inspect`: shows what a prepared data set or a packaged detector holds."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import whole_number
from afsd_jax.cli.printing import print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file, write_text

SUMMARY = "Describe a prepared data set or a packaged detector."
DETAILS = "A packaged detector (model.afsd) shows its card; --output writes it as a text file."


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    folder = "prepared data set, DATA_DIR/DATASET/STREAM, or packaged detector"
    add("folder", type=Path, help=folder)
    add("--output", type=Path, help="HTML page to write, with histograms, frames and timelines")
    videos = "videos shown on the page (default: %(default)s)"
    add("--videos", type=whole_number(0), default=12, help=videos)


def run(args: Namespace) -> None:
    check_output_file(args.output)
    if args.folder.is_file():
        _show_card(args.folder, args.output)
    else:
        _describe_data_set(args)


def _show_card(path: Path, output: Path | None) -> None:
    from afsd_jax.weights import packaged_file

    if not packaged_file.is_package(path):
        raise UserError(
            f"{path}: is neither a prepared data set nor a packaged detector; give the folder that "
            "afsd prepare wrote, or the file that afsd package wrote"
        )
    card = packaged_file.read_card(path)
    if output:
        write_text(output, card)
    print_text(f"{output}: written" if output else card.rstrip())


def _describe_data_set(args: Namespace) -> None:
    from afsd_jax.data import summary
    from afsd_jax.report import data_page

    data = data_page.open_data_set(args.folder)
    print_text("\n".join(summary.describe(data.title, data.class_names, data_page.summarize(data))))
    if args.output:
        data_page.write_page(args.output, data, args.videos)
        print(f"\n{args.output}: open it in a browser")
    else:
        print("\n--output FILE.html writes a page that also shows frames, timelines and histograms")
    folder = data.folder if len(data.folder.parts) > 3 else data.folder.resolve()
    dataset, stream = folder.parts[-3:-1]
    if (dataset, stream) == ("videos", "flow"):  # which has no configuration
        return
    config = "anet" if dataset == "activitynet" else dataset
    config += ":flow" if stream == "flow" else ""
    if stream == "features":
        config = "features"
    fields = f"--config={config}", f"--data-dir={folder.parents[2]}"
    print_next("train", "afsd", "train", *fields, "--workdir=RUN")
