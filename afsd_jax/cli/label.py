"""The command `afsd label`: a local page to label videos in a browser."""

import webbrowser
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import CONFIG, CROP, share, whole_number
from afsd_jax.cli.printing import counted, print_list, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file
from afsd_jax.types import KEEP_ASPECT

SUMMARY = "Label videos in the browser, correct suggestions and learn from both."
DETAILS = """It opens a page of this machine alone, which works without a network. What is labelled
is saved after each change in --labels, which afsd prepare reads: a table (.csv) or ActivityNet's
JSON (.json). Learn, a button of the page, trains on the videos that are marked as reviewed and
suggests actions in all others. Everything else, such as notes and copies of videos that browsers
cannot play, lies in the hidden folder beside the labels, .FILE.afsd. Ctrl-C ends it."""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, and folders of videos")
    labels = "file of the labels, .csv or .json; it is made if it is missing"
    add("--labels", type=Path, required=True, metavar="FILE", help=labels)
    start = "annotations of any kind that afsd prepare reads, to begin with if FILE is new"
    add("--start", type=Path, metavar="PATH", help=start)
    suggest = "run or checkpoint whose detections are suggested, or kinetics: 400 everyday actions"
    add("--suggest", metavar="RUN", help=suggest)
    least = "least score of suggestions (default: that of the best F1 on the videos kept for "
    least += "validation, from 0.2 to 0.5; 0.3 before the first round)"
    add("--min-score", type=share, metavar="SCORE", help=least)
    add("--crop", metavar="CROP", help=CROP)
    aspect = (
        "how pictures become square for the network: stretched, cut to their centre, or between "
    )
    aspect += "two bars (default: %(default)s)"
    add("--keep-aspect", choices=KEEP_ASPECT, default=KEEP_ASPECT[0], help=aspect)
    config = f"{CONFIG}; to learn with (default: %(default)s)"
    add("--config", dest="training", default="videos", metavar="FILE", help=config)
    add("--port", type=_port, default=0, help="port of the page (default: a free one)")
    add("--no-browser", action="store_true", help="only print the address of the page")


def _port(text: str) -> int:
    value = whole_number(0)(text)
    if value > 65535:
        raise ArgumentTypeError(f"must be at most 65535, not {text}")
    return value


def _check_installed() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            'labelling needs Starlette and uvicorn: pip install "afsd-jax[label]"'
        ) from error


def _source(suggest: str | None) -> str:
    """Returns what suggests: "kinetics", an absolute path, or "" for nothing."""
    if suggest in (None, "kinetics"):
        return suggest or ""
    if not Path(suggest).exists():
        raise UserError(
            f"--suggest {suggest}: no such run or checkpoint; kinetics needs none and suggests "
            "everyday actions"
        )
    return str(Path(suggest).resolve())


def _config(name: str) -> str:
    """Returns a configuration that exists; a file by its absolute path."""
    if name == "videos":
        return name
    from afsd_jax.cli.config_flags import load_config

    load_config(name)
    path, colon, variant = name.partition(":")
    return f"{Path(path).resolve() if Path(path).is_file() else path}{colon}{variant}"


def run(args: Namespace) -> None:
    check_output_file(args.labels)
    _check_installed()
    from afsd_jax.cli.process import command_line
    from afsd_jax.cli.video_files import video_files
    from afsd_jax.data.decode.crops import read_crops
    from afsd_jax.io.locks import locked
    from afsd_jax.io.temporary_folders import remove_abandoned
    from afsd_jax.labelling.access import new_token
    from afsd_jax.labelling.label_project import LabelProject
    from afsd_jax.labelling.label_server import listen, serve
    from afsd_jax.labelling.label_store import folder_of
    from afsd_jax.labelling.label_videos import read_videos
    from afsd_jax.labelling.labels_file import check_labels_path, names_lost
    from afsd_jax.labelling.round_work import Tools

    source, training, crops = _source(args.suggest), _config(args.training), read_crops(args.crop)
    tools = Tools(command_line, source, training, args.min_score, crops, args.keep_aspect)
    check_labels_path(args.labels)
    named = video_files(args.videos)
    crops.check_names(named.paths)
    videos, unreadable = read_videos(named.paths)
    lost = names_lost(args.labels, {video.name: video.path for video in videos})
    unreadable += [f"{named.paths[name]}: no table can hold its name; rename it" for name in lost]
    videos = [video for video in videos if video.name not in lost]
    if not videos:
        raise UserError(unreadable[0])
    print_list("video", [*named.unreadable, *unreadable], " that cannot be labelled")
    with locked(folder_of(args.labels), "labelling"), listen(args.port) as listener:
        remove_abandoned(args.labels.absolute().parent)
        if args.start is not None and args.labels.exists():
            print_text(f"note: {args.labels} exists; --start {args.start} is not read")
        project = LabelProject(videos, args.labels, tools, args.start)
        token = new_token()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
        print_text(f"{counted(len(videos), 'video')}; labels are saved in {args.labels}")
        print("Ctrl-C ends the page; the same command goes on where you stopped")
        print("the page, of this machine alone, is at")
        try:
            print(address, flush=True)
            if not args.no_browser:
                webbrowser.open(address)
            serve(project, listener, token)
        except KeyboardInterrupt:
            kept = "all labels are saved" if args.labels.exists() else "nothing was labelled"
            print_text(f"\n{args.labels}: {kept}")
            raise
