"""`make bench`: which contestants run, and that one which fails or hangs costs only itself."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # its files are scripts, which import each other

import common
import few_examples
import gpu_programs
import speed
import turns

WORKER = """
import sys
print(0.5, flush=True)
for _ in sys.stdin:
    print(0.25, flush=True)
print(100, flush=True)
"""
HANGING = "import time; time.sleep(600)"
LATER = "import time; print(0.5, flush=True); time.sleep(600)"
FAILING = "raise SystemExit(3)"


def begin(name: str, cache: str) -> turns.Contestant:
    """Starts a contestant, whose name ends in its program."""
    assert Path(cache).is_dir()
    return turns.Contestant([sys.executable, "-c", name.partition(": ")[2]], limit_s=3)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"avx2", "fma"}, []),  # an AMD without AVX-512
        ({"avx512f", "avx512_vnni"}, []),
        ({"avx512f", "avx512_bf16"}, ["PyTorch bfloat16", "afsd_jax + OpenVINO bfloat16"]),
        ({"amx_bf16", "amx_tile"}, ["PyTorch bfloat16", "afsd_jax + OpenVINO bfloat16"]),
        ({"asimd", "bf16"}, ["PyTorch bfloat16", "afsd_jax + OpenVINO bfloat16"]),
    ],
)
def test_bfloat16_is_measured_only_where_the_processor_has_units_for_it(flags, names):
    everyone = [name for work in speed.ON_CPU.values() for name in work]
    measured = [name for name in everyone if not turns.left_out(name, flags)]
    assert {name for name in everyone if "bfloat16" not in name} <= set(measured)
    assert set(names) <= set(measured)
    assert any("bfloat16" in name for name in measured) == bool(names)


def test_contestants_that_fail_or_exceed_their_limit_are_named_and_the_others_measured():
    names = [f"{n}: {code}" for n, code in enumerate((WORKER, HANGING, LATER, FAILING, WORKER))]
    afsd_jax = f"afsd_jax: {WORKER}"
    without = {names[4]: "left out: for this test"}
    results = turns.compare([*names, afsd_jax], begin, 2, without)
    figures = {"seconds": 0.25, "fastest_s": 0.25, "first_call_s": 0.5, "peak_mib": 100}
    assert results == {
        names[0]: figures,
        names[1]: {"reason": "over its limit of 3 s"},
        names[2]: {"reason": "over its limit of 3 s"},
        names[3]: {"reason": "failed: exit status 3"},
        names[4]: {"reason": "left out: for this test"},
        afsd_jax: {**figures, "cached_call_s": 0.5},
    }


@pytest.mark.parametrize("missing", ["", "JAX float32", "PyTorch as published"])
def test_the_table_gives_figures_or_the_reason_why_there_are_none(missing):
    figures = {"seconds": 2.0, "gflop_per_s": 75.0, "peak_mib": 1024, "first_call_s": 9.4}
    results = {
        "device": "a processor",
        "batch": 1,
        "commit": "1234567",
        "product": {"JAX float32": {**figures, "gflop_per_s": 150.0}},
        "forward": {
            "afsd_jax": {**figures, "cached_call_s": 1.2},
            "afsd_jax + OpenVINO bfloat16": {"reason": "left out: no units"},
            "PyTorch as published": {**figures, "seconds": 4.0},
        },
        "step": {"PyTorch as published": {"reason": "over its limit of 600 s"}},
    }
    for work in ("product", "forward"):
        if missing in results[work]:
            results[work][missing] = {"reason": "failed: exit status 1"}
    peak = "" if missing == "JAX float32" else "50%"
    ratio = "" if missing == "PyTorch as published" else "0.50"
    lines = speed.table(results).splitlines()
    assert f"| detection, a clip: afsd_jax | 2.00 | {ratio} | {peak} | 1.0 | 9 (1) |" in lines
    reasons = [line for line in lines if "left out: no units" in line or "over its limit" in line]
    assert [line.split(" | ")[0] for line in reasons] == [
        "| detection, a clip: afsd_jax + OpenVINO bfloat16",
        "| training step, a clip: PyTorch as published",
    ]
    assert {line.count("|") for line in lines[2:]} == {7}


def test_the_table_of_gpu_programs_has_what_both_commits_measured():
    name = "forward, batch 1, bfloat16"
    old = {"kernels": 337, "gb_moved": 0.97, "floor_ms": 0.47, "temporary_gb": 0.05}
    before = {"commit": "1234567", "programs": {name: old}}
    programs = {name: old | {"kernels": 250, "floor_ms": 0.4}, "update": old}
    now = {"versions": {"jax": "0.10.2"}, "programs": programs}
    first, *_, last = gpu_programs.table(now, before).splitlines()
    assert first == "H100, JAX 0.10.2; before: commit 1234567."
    assert last == f"| {name} | 337 | 250 | 0.97 | 0.97 | 0.47 | 0.4 | 0.05 | 0.05 |"


def test_a_table_is_put_between_the_marks_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n")
    common.write_into(page, ("<!-- a -->\n", "<!-- /a -->\n"), "new\n")
    assert page.read_text() == "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n"


def test_few_videos_have_all_examples_and_none_of_them_is_unnecessary():
    examples = {
        "a": Counter(jump=1),
        "b": Counter(jump=2, run=1),
        "c": Counter(run=2, jump=1),
        "d": Counter(run=2, hop=1),
        "e": Counter(),
    }
    chosen = few_examples.smallest_set(examples, 2)
    assert chosen == ["b", "d"]
    found = sum((examples[name] for name in chosen), Counter())
    assert found["jump"] >= 2
    assert found["run"] >= 2
    assert found["hop"] == 1  # there are no more
    assert few_examples.smallest_set(examples, 10) == ["a", "b", "c", "d"]
