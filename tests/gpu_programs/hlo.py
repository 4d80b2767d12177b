"""Reading a compiled GPU program (XLA's HLO text): what it calls, and the least time it takes.

Source of the lower bound: the roofline model (Williams et al., CACM 2009), kernel by kernel.
"""

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4}
_BYTES |= {"f32": 4, "s64": 8, "u64": 8, "f64": 8}
# Instructions that start no kernel and move nothing.
_FREE = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all", "iota"}
_FREE |= {"partition-id", "replica-id", "opt-barrier"}
_COLLECTIVES = {"all-reduce", "reduce-scatter", "all-gather", "collective-permute", "all-to-all"}
# A fusion reads only these parts of an argument.
_PARTS = {"slice", "dynamic-slice", "gather"}


class Array(NamedTuple):
    """Type and shape of an array."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * _BYTES.get(self.dtype, 0)


class Instruction(NamedTuple):
    """One instruction of a computation; `attributes` is the rest of its line."""

    name: str
    results: tuple[Array, ...]
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool

    @property
    def target(self) -> str:
        """The library function or kernel that a custom call calls, "" otherwise."""
        found = re.search(r'custom_call_target="([^"]*)"', self.attributes)
        return found[1] if found else ""

    @property
    def labels(self) -> str:
        """The order of the axes of a convolution: input_kernel->output; "" of others."""
        found = re.search(r"dim_labels=(\w+->\w+)", self.attributes)
        return found[1] if found else ""

    def computations(self, attribute: str) -> list[str]:
        """The names of the computations that an attribute names."""
        found = re.search(rf"\b{attribute}=\{{?(%[\w.\-]+(?:, %[\w.\-]+)*)", self.attributes)
        return found[1].replace("%", "").split(", ") if found else []


class Gpu(NamedTuple):
    """Peaks of a GPU: FLOP/s by type of the operands, and bytes per second."""

    flops: dict[str, float]
    bandwidth: float


class Kernel(NamedTuple):
    """A kernel, how often the program runs it, and the work of one run."""

    instruction: Instruction
    runs: int
    flops: float
    nbytes: float
    dtype: str


class Collective(NamedTuple):
    """An exchange between devices, how often the program runs it, and what one run moves.

    `nbytes` are those of the whole array on one device: of a sum's operands, or of what a gather
    yields. `hidden` counts the convolutions that the schedule puts between start and end.
    """

    kind: str
    runs: int
    nbytes: int
    dtypes: frozenset[str]
    hidden: int


class Program:
    """A compiled program: the instructions of each computation, by name."""

    def __init__(self, text: str):
        self.text = text
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.entry = ""
        for line in text.splitlines():
            if header := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
                self.computations[header[2]] = current = {}
                self.entry = header[2] if header[1] else self.entry
            elif instruction := _instruction(line):
                current[instruction.name] = instruction

    def instructions(self, opcode: str) -> Iterator[Instruction]:
        """Returns all instructions of a kind, those inside fusions included."""
        for computation in self.computations.values():
            yield from (x for x in computation.values() if x.opcode == opcode)

    def kernels(self) -> list[Kernel]:
        """Returns the kernels of one run of the program; of branches, those of the costliest."""
        return self._kernels(self.entry, 1)

    def collectives(self) -> list[Collective]:
        """Returns the exchanges of one run of the program."""
        return self._collectives(self.entry, 1)

    def _collectives(self, name: str, runs: int) -> list[Collective]:
        found = []
        computation = self.computations[name]
        order = list(computation.values())
        for place, x in enumerate(order):
            if x.opcode == "while":
                found += self._collectives(*x.computations("body"), runs * _trips(x))
            kind = x.opcode.removesuffix("-start")
            if kind in _COLLECTIVES:
                end = next((i for i, y in enumerate(order) if y.operands == (x.name,)), place)
                between = sum("conv" in y.target for y in order[place:end])
                operands = [array for name in x.operands for array in computation[name].results]
                # A start's results are operands and results.
                gathered = [a for a in x.results if a not in operands] or operands
                moved = gathered if kind == "all-gather" else operands
                dtypes = frozenset(a.dtype for a in moved)
                found.append(Collective(kind, runs, sum(a.nbytes for a in moved), dtypes, between))
        return found

    def _kernels(self, name: str, runs: int) -> list[Kernel]:
        kernels = []
        computation = self.computations[name]
        for x in computation.values():
            if x.opcode in _FREE:
                continue
            if x.opcode == "while":
                kernels += self._kernels(*x.computations("body"), runs * _trips(x))
            elif x.opcode in ("call", "async-start"):
                inner = x.computations("to_apply") or x.computations("calls")
                kernels += self._kernels(*inner, runs)
            elif x.opcode == "conditional":
                names = x.computations("branch_computations")
                names = names or x.computations("true_computation") + x.computations(
                    "false_computation"
                )
                branches = [self._kernels(branch, runs) for branch in names]
                kernels += max(branches, key=lambda branch: sum(k.nbytes for k in branch))
            else:
                kernels.append(self._kernel(x, computation, runs))
        return kernels

    def _kernel(self, x: Instruction, computation: dict[str, Instruction], runs: int) -> Kernel:
        operands = [computation[name].results for name in x.operands]
        arrays = [array for results in operands for array in results]
        dtype = arrays[0].dtype if arrays else x.results[0].dtype
        if x.opcode == "fusion":
            (name,) = x.computations("calls")
            fused = self.computations[name]
            flops = sum(_dot_flops(dot, fused) for dot in fused.values() if dot.opcode == "dot")
            return Kernel(x, runs, flops, _fusion_bytes(x, fused), dtype)
        read = sum(array.nbytes for array in set_of(x.operands, operands))
        if x.opcode in _PARTS:
            read = x.results[0].nbytes
        # A library's workspace, u8, is no result.
        results = x.results[:1] if x.target.startswith("__cu") else x.results
        return Kernel(x, runs, _call_flops(x, arrays), read + sum(r.nbytes for r in results), dtype)


def floor_s(kernels: list[Kernel], gpu: Gpu) -> float:
    """Returns the sum over kernels of the longer of computing and moving, in seconds."""
    return sum(k.runs * max(k.flops / gpu.flops[k.dtype], k.nbytes / gpu.bandwidth) if k.flops
               else k.runs * k.nbytes / gpu.bandwidth for k in kernels)  # fmt: skip


def set_of(names: tuple[str, ...], operands: list[tuple[Array, ...]]) -> list[Array]:
    """Returns the arrays of the operands, each operand once."""
    return [
        array for results in dict(zip(names, operands, strict=True)).values() for array in results
    ]


def _trips(loop: Instruction) -> int:
    found = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
    return int(found[1]) if found else 1


def _instruction(line: str) -> Instruction | None:
    found = re.match(r"\s+(ROOT )?%([\w.\-]+) = ", line)
    if not found:
        return None
    rest = re.sub(r"/\*.*?\*/", "", line[found.end() :])
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    results, rest = rest[:end], rest[end:].lstrip()
    opcode, _, rest = rest.partition("(")
    end = _closing("(" + rest) - 1
    operands = tuple(re.findall(r"%([\w.\-]+)", rest[: end - 1]))
    arrays = tuple(
        Array(dtype, tuple(map(int, filter(None, shape.split(",")))))
        for dtype, shape in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", results)
    )
    return Instruction(found[2], arrays, opcode, operands, rest[end:], bool(found[1]))


def _closing(text: str) -> int:
    """Returns the place after the parenthesis that closes the first one."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place + 1
    raise ValueError(f"no closing parenthesis: {text[:80]}")


def _fusion_bytes(fusion: Instruction, fused: dict[str, Instruction]) -> int:
    """Returns the bytes that a fusion reads and writes; of sliced arguments, only the slices."""
    uses: dict[str, list[Instruction]] = {}
    for x in fused.values():
        for name in dict.fromkeys(x.operands):
            uses.setdefault(name, []).append(x)
    total = 0
    for x in fused.values():
        if x.opcode == "parameter":
            total += min(_read_bytes(x, fused, uses), x.results[0].nbytes)
        elif x.is_root:
            roots = [fused[name] for name in x.operands] if x.opcode == "tuple" else [x]
            total += sum(_written_bytes(root, fused) for root in roots)
    return total


def _read_bytes(
    x: Instruction, fused: dict[str, Instruction], uses: dict[str, list[Instruction]]
) -> int:
    """Returns how many bytes of an array the instructions that use it read."""
    total = 0
    for user in uses.get(x.name, []):
        if user.opcode == "bitcast":
            total += _read_bytes(user, fused, uses)
        elif user.opcode in _PARTS and user.operands[0] == x.name:
            total += user.results[0].nbytes
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == x.name:
            total += 0  # overwritten in place
        else:
            return x.results[0].nbytes
    return total


def _written_bytes(root: Instruction, fused: dict[str, Instruction]) -> int:
    if root.opcode == "bitcast":
        return _written_bytes(fused[root.operands[0]], fused)
    if root.opcode == "dynamic-update-slice":
        return fused[root.operands[1]].results[0].nbytes
    return sum(result.nbytes for result in root.results)


def _call_flops(x: Instruction, arrays: list[Array]) -> float:
    """Returns the FLOP of a call of cuDNN or cuBLAS, 0 for other instructions."""
    if x.target.startswith("__cudnn$conv"):
        kernel_labels = x.labels.split("_")[1]
        forward = {"__cudnn$convBackwardInput": arrays[0], "__cudnn$convBackwardFilter": arrays[1]}
        kernel = x.results[0] if x.target.endswith("Filter") else arrays[1]
        outputs = forward.get(x.target, x.results[0])
        return 2.0 * kernel.size * outputs.size / kernel.shape[kernel_labels.index("o")]
    if x.target.startswith("__cublas"):
        axes = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', x.attributes)
        assert axes, x.name
        contracted = [arrays[0].shape[int(axis)] for axis in re.findall(r"\d+", axes[1])]
        return 2.0 * x.results[0].size * prod(contracted)
    return 0.0


def _dot_flops(dot: Instruction, fused: dict[str, Instruction]) -> float:
    axes = re.search(r"lhs_contracting_dims=\{([^}]*)\}", dot.attributes)
    shape = fused[dot.operands[0]].results[0].shape
    contracted = [shape[int(axis)] for axis in re.findall(r"\d+", axes[1])] if axes else []
    return 2.0 * dot.results[0].size * prod(contracted)
