"""Parts that several commands share: types of flags, help texts, options of Apache Beam.

A type returns the value of a text, or raises ArgumentTypeError, whose message says what the value
must be; `parser` puts the name of the flag in front.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from afsd_jax.errors import UserError
from afsd_jax.io.names import nearest

AUTO = "auto"  # least scores as they were measured
FLOW_METHODS = ("tvl1", "dis")
CHECKPOINT = "training run, checkpoint folder, packaged detector or PyTorch file"
CONFIG = (
    "configuration: FILE or FILE:VARIANT (Python, which is run), or the name of a packaged one, "
    "such as thumos14:rgb"
)
DATA_DIR = "folder of prepared data sets; the same as --config.data.data_dir"
TIOU = "tIoU thresholds such as 0.5,0.75, instead of those of the benchmark"
CROP = (
    "part of the pictures that is used: x,y,width,height in pixels, or 10%%,0%%,80%%,100%%, or a "
    "JSON file: video name → crop"
)
BEAM = "run on Apache Beam with these options: 'runner=FlinkRunner,parallelism=64'"
MEMORY = """

On CPUs, freed memory is kept for the next arrays, and training asks Linux for huge pages. This
saves a sixth of the time and may take more memory; AFSD_KEEP_FREED_MEMORY=0 in the environment
switches it off. Compiled programs are kept in ~/.cache/afsd_jax; AFSD_COMPILATION_CACHE=FOLDER
keeps them elsewhere, and AFSD_COMPILATION_CACHE=0 keeps none."""


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number, not {text}") from None


def positive_number(text: str) -> float:
    value = number(text)
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"must be a positive number, not {text}")
    return value


def non_negative_number(text: str) -> float:
    value = number(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"must be 0 or a positive number, not {text}")
    return value


def or_auto(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns the type of what `read` reads, or `AUTO`."""
    return lambda text: text if text == AUTO else read(text)


def share(text: str) -> float:
    """Returns a number from 0 to 1, both included."""
    value = number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"must lie between 0 and 1, not {text}")
    return value


def share_or_auto(text: str) -> float | str:
    """Returns a number from 0 to 1, or `AUTO`."""
    return text if text == AUTO else share(text)


def least_scores(given: float | str | None) -> tuple[float, bool | None]:
    """Returns the least score to show, and whether measured ones replace it; None: where known.

    Args:
      given: a value of `share_or_auto`, or None where the flag is not given.
    """
    from afsd_jax.results.writers import Selection

    if isinstance(given, float):
        return given, False
    return Selection().min_score, None if given is None else True


def whole_number(least: int) -> Callable[[str], int]:
    """Returns the type of whole numbers from `least` on."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ArgumentTypeError(f"must be a whole number, not {text}") from None
        if value < least:
            raise ArgumentTypeError(f"must be at least {least}, not {text}")
        return value

    return read


def names(text: str) -> list[str]:
    """Returns the different names of a list such as "jump, run"."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ArgumentTypeError("give names, separated by commas")
    return list(dict.fromkeys(found))


def some_of(allowed: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Returns the type of lists of allowed names."""

    def read(text: str) -> list[str]:
        found = names(text)
        for name in found:
            if name not in allowed:
                near = nearest(name, allowed)
                raise ArgumentTypeError(f"must be some of {','.join(allowed)}, not {name}{near}")
        return found

    return read


def thresholds(text: str) -> tuple[float, ...]:
    """Returns tIoU thresholds: numbers above 0 and up to 1."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"must be numbers such as 0.5,0.75, not {text}") from None
    if not all(0 < value <= 1 for value in values):
        raise ArgumentTypeError(f"thresholds must lie in (0, 1], not {text}")
    return values


def beam_options(text: str | None) -> Any:
    """Returns the pipeline options of Apache Beam; None: do not run on Beam.

    Raises:
      UserError: Beam is not installed, or has no such runner.
    """
    if text is None:
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    except ImportError as error:
        raise UserError("Apache Beam is not installed: pip install apache-beam") from error
    options = PipelineOptions(flags=[f"--{option}" for option in text.split(",") if option])
    known = {path.rpartition(".")[2] for path in StandardOptions.ALL_KNOWN_RUNNERS}
    runner = options.view_as(StandardOptions).runner
    names = {name.lower().removesuffix("runner") for name in known}
    if runner is not None and runner.lower().removesuffix("runner") not in names:
        raise UserError(f"Beam has no runner {runner!r}; there are {', '.join(sorted(known))}")
    return options
