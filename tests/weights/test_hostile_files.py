"""A damaged or hostile weights file ends in one clear line, runs nothing and writes nothing."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import numpy as np
import pytest
import safetensors.torch
import torch

from afsd_jax import errors
from afsd_jax.cli import process
from afsd_jax.weights import conversion, loading, pytorch
from tests.support import ROOT
from tests.video_files import numbered_frames, write_video
from tests.weight_files import HEAD, Calls, small_config, small_state

File = tuple[str, str, bytes]  # what is wrong, suffix, content


def saved(value: object, zip_format: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zip_format)
    return buffer.getvalue()


def cut_and_overwritten(state: dict[str, torch.Tensor], random: np.random.Generator):
    """Yields truncated files, overwritten files and files of another format."""
    formats = {
        "zip": (".pt", saved(state)),
        "old": (".pt", saved(state, False)),
        "safetensors": (".safetensors", safetensors.torch.save(state)),
    }
    for name, (suffix, content) in formats.items():
        for cut in (0, 1, 4, 9, 100, *random.integers(101, len(content), 15)):
            yield f"{name} cut at {cut}", suffix, content[:cut]
        noise = random.bytes(64)
        yield f"{name} after noise", suffix, noise + content
        yield f"{name} with its beginning overwritten", suffix, noise + content[64:]
        yield f"{name} under a false name", {".pt": ".safetensors"}.get(suffix, ".pt"), content
    for length in (1, 8, 64, 4096, 100_000):
        yield f"{length} random bytes", ".pt", random.bytes(length)
        yield f"{length} random bytes", ".safetensors", random.bytes(length)
    yield (
        "a pointer to a file",
        ".pt",
        b"version https://git-lfs.github.com/spec/v1\nsize 5094967\n",
    )
    yield "a page to sign in", ".pt", b"<!DOCTYPE html><html><body>Sign in</body></html>"
    yield "an endless header", ".safetensors", (2**62).to_bytes(8, "little") + b"{}"
    yield "a list as header", ".safetensors", (2).to_bytes(8, "little") + b"[]"


def rebuilt_archives(state: dict[str, torch.Tensor]) -> Iterator[File]:
    """Zip archives with members missing, shortened or of another kind."""
    with zipfile.ZipFile(io.BytesIO(saved(state))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rebuilt(changes: dict[str, bytes | None]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in (members | changes).items():
                if content is not None:
                    archive.writestr(name, content)
        return buffer.getvalue()

    yield "an empty archive", ".pt", rebuilt(dict.fromkeys(members))
    record = next(name for name in members if name.endswith("data.pkl"))
    for position in (0, 1, 2, len(members[record]) // 2, len(members[record]) - 1):
        yield f"pickle cut at {position}", ".pt", rebuilt({record: members[record][:position]})
    yield "no pickle", ".pt", rebuilt({record: None})
    storages = sorted((name for name in members if "/data/" in name), key=lambda x: len(members[x]))
    for name in storages[-3:]:
        yield f"{name} missing", ".pt", rebuilt({name: None})


def unfit_tensors(state: dict[str, torch.Tensor], random: np.random.Generator) -> Iterator[File]:
    """State dicts that lack tensors, or have others, of other shapes, types or values."""

    def changed(**changes: object) -> bytes:
        return saved(state | changes)

    learned = [name for name, x in state.items() if x.dtype.is_floating_point]
    for name in random.choice(learned, 30, replace=False):
        yield f"without {name}", ".pt", saved({k: x for k, x in state.items() if k != name})
    for name in random.choice(learned, 30, replace=False):
        shape = list(state[name].shape)
        shape[random.integers(len(shape))] += random.choice([-1, 1])
        yield f"{name} of shape {shape}", ".pt", changed(**{name: torch.zeros(shape)})
    for name in random.choice(learned, 20, replace=False):
        wrong = state[name].clone()
        wrong.view(-1)[random.integers(wrong.numel())] = random.choice([np.nan, np.inf, -np.inf])
        yield f"{name} not finite", ".pt", changed(**{name: wrong})
    for dtype in (torch.int32, torch.uint8, torch.bool, torch.complex64):
        for name in random.choice(learned, 3, replace=False):
            yield f"{name} as {dtype}", ".pt", changed(**{name: state[name].to(dtype)})
    for name in ("spam", "", "a\nb", "\x1b[31mred", "é" * 1000, "module.spam", f"{HEAD}.weight "):
        yield f"with {name!r:.20}", ".pt", changed(**{name: torch.zeros(1)})
    for value in (None, 3, "text", [1.0], {"a": torch.zeros(1)}, torch.zeros(21).to_sparse()):
        yield f"a tensor is {value!r:.20}", ".pt", changed(**{f"{HEAD}.bias": value})
    huge = torch.zeros(1).expand(2**50)
    yield "huge by strides", ".pt", changed(**{f"{HEAD}.bias": huge})
    contents = (None, 3, "text", [], {}, torch.zeros(3), [state], {"state_dict": {}}, {1: 2})
    for content in contents:
        yield f"file holds {content!r:.20}", ".pt", saved(content)


def hostile_pickles(state: dict[str, torch.Tensor], proof: Path) -> Iterator[File]:
    """Yields pickles whose code would create the file `proof`."""
    touch = f"touch {proof}"
    calls = {
        "system": Calls(os.system, touch),
        "Popen": Calls(subprocess.Popen, ["touch", str(proof)]),
        "exec": Calls(exec, f"open({str(proof)!r}, 'w')"),
        "eval": Calls(eval, f"open({str(proof)!r}, 'w')"),
        "open": Calls(open, str(proof), "w"),
        "mkdir": Calls(os.mkdir, str(proof)),
        "getattr": Calls(getattr, "text", "upper"),
        "import": Calls(__import__, "os"),
        "load": Calls(torch.load, str(proof)),
    }
    for name, call in calls.items():
        yield f"{name} in zip", ".pt", saved(state | {"spam": call})
        yield f"{name} in old", ".pt", saved(state | {"spam": call}, False)
        for protocol in (0, 2, 4):
            yield f"bare {name}, protocol {protocol}", ".pt", pickle.dumps(call, protocol)
    yield "a whole module", ".pt", saved(torch.nn.Linear(2, 2))
    yield "arrays", ".pt", saved({name: x.numpy() for name, x in state.items()})


def damaged_files(config: ml_collections.ConfigDict, proof: Path) -> Iterator[File]:
    """Yields files that must all be refused."""
    state, random = small_state(config), np.random.default_rng(0)
    yield from cut_and_overwritten(state, random)
    yield from rebuilt_archives(state)
    yield from unfit_tensors(state, random)
    yield from hostile_pickles(state, proof)


def test_a_video_is_named_as_such(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(10))
    with pytest.raises(errors.UserError, match=r"clip.mp4: is a video, not a checkpoint; a check"):
        loading.load_checkpoint(clip)


def test_every_damaged_or_hostile_file_ends_in_one_clear_line_and_writes_nothing(tmp_path, capfd):
    config, proof = small_config(), tmp_path / "proof"
    accepted, unclear, count = [], [], 0
    for wrong, suffix, content in damaged_files(config, proof):
        source = tmp_path / f"weights{suffix}"
        source.write_bytes(content)
        code = process.run(conversion.from_pytorch_file, source, tmp_path / "ours", config)
        message = capfd.readouterr().err
        if code != process.REFUSED or (tmp_path / "ours").exists():
            accepted.append(wrong)
        if not (message.startswith(f"error: {source}: ") and message.count("\n") == 1):
            unclear.append((wrong, message))
        source.unlink()
        assert os.listdir(tmp_path) == [], wrong
        count += 1
    assert accepted == []
    assert unclear == []
    assert count >= 200


@pytest.mark.parametrize("wrong", ["system in zip", "zip cut at 100", "a page to sign in"])
def test_the_script_refuses_as_the_library_does(tmp_path, wrong):
    files = damaged_files(small_config(), tmp_path / "proof")
    suffix, content = next((suffix, content) for name, suffix, content in files if name == wrong)
    source = tmp_path / f"weights{suffix}"
    source.write_bytes(content)
    result = subprocess.run(
        [
            sys.executable,
            "scripts/convert_weights.py",
            "--input",
            source,
            "--output",
            tmp_path / "x",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == process.REFUSED
    assert result.stderr.startswith(f"error: {source}: ")
    assert result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == [source.name]


def test_flipped_bits_never_end_in_a_traceback(tmp_path):
    # A bit that flips inside a value goes unseen; elsewhere it is refused like other damage.
    config, random = small_config(), np.random.default_rng(1)
    state, path, messages = small_state(config), tmp_path / "weights.pt", []
    for zip_format in (True, False):
        content = saved(state, zip_format)
        described = content.rindex(b"num_batches_tracked")  # the values follow
        for position in random.integers(0, described, 40):
            damaged = bytearray(content)
            damaged[position] ^= 1 << random.integers(8)
            path.write_bytes(damaged)
            try:
                pytorch.load(path, config)
            except errors.UserError as error:
                messages.append(str(error))
    assert len(messages) >= 40
    assert [m for m in messages if "\n" in m or not m.startswith(f"{path}: ")] == []
