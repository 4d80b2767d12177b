"""Mutations of honest folders: values, bytes, files and shards that no honest folder has."""

import contextlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_CHARACTERS = 8_000_000  # reading a file may take time in proportion to its size
TEXTS = (
    *("", ".", "..", "../escaped", "a/b", "\x1b[2J\x07", "\u202eabc", "\ud800", "a\nb", "=1+1"),
    *("<script>alert(1)</script>", "-->", "x" * 10_000, "%2e%2e", "nan", "1e400"),
    *("os.system", "evil.Evil"),
)
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, 10**40, 10**400, 0.5, -0.0, 1e-320),
    *(1e15, 1e308, -1e308, float("nan"), float("inf"), True, None),
)


def hostile(dice: random.Random, root: str) -> Any:
    """Returns a value that no honest file has."""
    deep: Any = 1
    for _ in range(dice.choice((3, 200, 900))):
        deep = [deep] if dice.random() < 0.5 else {"a": deep}
    absolute = f"{root}/escaped/x"
    values = (dice.choice(TEXTS), dice.choice(NUMBERS), absolute, [], {}, deep, [1] * 3000)
    return dice.choice(values)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every (container, key) of a JSON value."""
    found, left = [], [value]
    while left:
        value = left.pop()
        is_list = isinstance(value, list)
        keys = range(len(value)) if is_list else value if isinstance(value, dict) else ()
        found += [(value, key) for key in keys]
        left += [value[key] for key in keys]
    return found


def change_json(text: str, dice: random.Random, root: str) -> str:
    """Changes something in a JSON text, or in a line of several."""
    lines = text.splitlines() if text.count('"step"') > 1 else [text]
    at = dice.randrange(len(lines))
    value = json.loads(lines[at])
    spots = places(value)
    if not spots or dice.random() < 0.03:
        lines[at] = json.dumps(hostile(dice, root))
        return "\n".join(lines)
    container, key = dice.choice(spots)
    what = dice.random()
    if what < 0.15:
        del container[key]
    elif what < 0.25 and isinstance(container, dict):
        container[dice.choice(TEXTS)] = container.pop(key)
    elif what < 0.3 and isinstance(container, list):
        times = dice.choice((2, 3000))
        if times * len(json.dumps(container)) > MOST_CHARACTERS:
            raise ValueError("larger than any case may be")
        container *= times
    else:
        container[key] = hostile(dice, root)
    lines[at] = json.dumps(value)
    return "\n".join(lines)


def change_bytes(content: bytes, dice: random.Random) -> bytes:
    """Cuts, flips, inserts or repeats bytes."""
    if not content or dice.random() < 0.05:
        return dice.choice((b"", b"\0" * 5000, b"[" * 100_000, b"\xff" * 3000, content * 2))
    at, changed = dice.randrange(len(content)), bytearray(content)
    what = dice.random()
    if what < 0.3:
        return content[:at]
    if what < 0.5:
        return content[:at] + dice.randbytes(dice.choice((1, 8, 100))) + content[at:]
    for _ in range(dice.choice((1, 1, 10, 100))):
        changed[dice.randrange(dice.choice((len(content), min(len(content), 300))))] ^= 1 << (
            dice.randrange(8)
        )
    return bytes(changed)


def forge_shard(path: Path, dice: random.Random, root: str) -> None:
    """Writes a shard anew with one field forged."""
    import numpy as np

    from afsd_jax.data.storage import frame_codec, schema, shards

    encoding = "png" if "/png/" in str(path) else "jpeg"
    pixels = np.zeros((20, 20, 3), np.uint8)
    frames = [frame_codec.encode(pixels, encoding)] * 30
    large = np.zeros((dice.choice((21, 2000)), dice.choice((20, 8000)), 3), np.uint8)
    action = {"label": 0, "start_s": 1.0, "end_s": 2.0, "start_frame": 3.0, "end_frame": 6.0}
    example: dict[str, Any] = {"name": "a", "fps": 3.0, "duration_s": 10.0, "encoding": encoding}
    example |= {"height": 20, "width": 20, "channels": 3, "annotations": [action]}
    numbers = [x for x in NUMBERS if isinstance(x, float)] + [0.0, -1.0, 1e6]
    small = [0, -1, 1, 2**31 - 1, 16_000, 21]
    text = dice.choice([t.encode("utf-8", "replace").decode() for t in TEXTS])
    for name, value in dice.sample(
        [
            ("name", dice.choice((text, f"{root}/escaped/x", "../escaped", "b"))),
            ("encoding", dice.choice((text, "raw", "png", "jpeg"))),
            *((name, dice.choice(numbers)) for name in ("fps", "duration_s")),
            *((name, dice.choice(small)) for name in ("height", "width", "channels")),
            ("annotations", [action | {"label": dice.choice((1, 2, 999))}]),
            *(
                ("annotations", [action | {key: dice.choice(numbers)}])
                for key in ("start_s", "end_s", "start_frame", "end_frame")
            ),
            ("annotations", [action] * 3000),
            ("frames", [frame_codec.encode(large, dice.choice(("jpeg", "png")))] * 3),
            ("frames", [b""] * 100_000),
            ("frames", [change_bytes(frames[0], dice) for _ in frames]),
        ],
        dice.choice((1, 1, 2)),
    ):
        if name == "frames":
            frames = value
        else:
            example[name] = value
    features = schema.features([str(i) for i in range(1000)])
    shards.write_example(path, features, example, frames)


def mutate(kind: str, folder: Path, dice: random.Random, root: str) -> str:
    """Changes one to three files of a folder; returns what was done."""
    from afsd_jax.weights import checksums

    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            break
        texts = [p for p in paths if p.suffix in (".json", ".jsonl") or p.name == "metadata"]
        path, what = dice.choice(paths), dice.random()
        if kind == "features":  # which have only one text
            what = 0.5 + what / 2
        if kind == "prepared" and what < 0.35:
            path, what = dice.choice([p for p in paths if ".tfrecord" in p.name] or [path]), 0.35
        elif kind == "checkpoint" and what < 0.6:
            path = folder / "0" / "description" / "metadata"
        elif texts and what < 0.6:
            path = dice.choice(texts)
        if not path.is_file():  # an earlier change made it a pipe or removed it
            continue
        try:
            if kind == "prepared" and what == 0.35:
                forge_shard(path, dice, root)
                done.append(f"forged {path.name}")
            elif what < 0.6:
                text = change_json(path.read_text(), dice, root)
                if len(text) > MOST_CHARACTERS:
                    continue
                path.write_text(text)
                done.append(f"changed {path.name}")
            elif kind == "features" and what < 0.65:
                other = dice.choice(paths)
                content = path.read_bytes()
                path.write_bytes(other.read_bytes())
                other.write_bytes(content)
                done.append(f"exchanged {path.name} and {other.name}")
            elif what < 0.95:
                path.write_bytes(change_bytes(path.read_bytes(), dice))
                done.append(f"bytes of {path.name}")
            else:
                path.unlink()
                makers: list[Callable[[], object]] = [
                    lambda path=path: os.mkfifo(path),
                    lambda path=path: path.symlink_to("/dev/zero"),
                    path.mkdir,
                    lambda: None,
                ]
                dice.choice(makers)()
                done.append(f"no file {path.name}")
        except (ValueError, OSError, UnicodeError, IndexError, RecursionError):
            continue  # an earlier change left nothing to change so
    if kind == "checkpoint" and dice.random() < 0.7:
        with contextlib.suppress(OSError):
            if all(p.is_file() or p.is_dir() for p in folder.rglob("*")):
                (folder / "0" / checksums.NAME).unlink(missing_ok=True)
                checksums.write(folder / "0")
                done.append("checksums forged")
    return ", ".join(done)
