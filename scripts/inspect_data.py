"""Shows what a prepared data set holds: python scripts/inspect_data.py DIR."""

import argparse
import sys
from pathlib import Path

from afsd_jax import errors
from afsd_jax.data import summary
from afsd_jax.report import data_page


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="prepared data set: DATA_DIR/DATASET/STREAM")
    parser.add_argument("--output", type=Path, default=Path("data.html"), help="the page to write")
    parser.add_argument("--videos", type=int, default=12, help="to show with frames and timeline")
    args = parser.parse_args(arguments)
    data = data_page.open_data_set(args.folder)
    print("\n".join(summary.describe(data.title, data.class_names, data_page.summarize(data))))
    data_page.write_page(args.output, data, args.videos)
    print(f"\n{args.output}: open it in a browser")


if __name__ == "__main__":
    sys.exit(errors.run(main, sys.argv[1:]))
