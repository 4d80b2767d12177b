"""The trunk in OpenVINO, for inference on CPUs.

OpenVINO's convolutions on CPUs are about twice as fast as XLA's. It is optional:
`pip install "afsd-jax[openvino]"`.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from afsd_jax.models.openvino_graph import PRECISIONS, ClipGraph, PieceGraph, import_openvino
from afsd_jax.models.streaming import FoldedWeights, fold_norms

Trunk = Callable[[np.ndarray], list[np.ndarray]]


def is_installed() -> bool:
    """Returns whether OpenVINO can be imported."""
    return find_spec("openvino") is not None


def build(
    parameters: Mapping[str, Any],
    shape: Sequence[int],
    endpoints: Sequence[str],
    precision: str = "float32",
) -> Trunk:
    """Compiles the trunk for clips of one shape.

    Args:
      parameters: weights of the network by name, such as `trunk.Mixed_3b.b0.conv.kernel`.
      shape: shape of the clips, [B,T,H,W,channels].
      endpoints: names of the endpoints to return.
      precision: precision of matrix products, float32 or bfloat16.

    Returns:
      A function from float32 clips in [-1, 1] to the endpoints, float32 [B,T',H',W',C']. Its arrays
      are valid until the next call.
    """
    graph = ClipGraph(_folded(parameters), shape, endpoints, precision)
    request = _compiled([graph.outputs[name] for name in endpoints], [graph.clips], precision)

    def trunk(clips: np.ndarray) -> list[np.ndarray]:
        results = request.infer([np.ascontiguousarray(clips)], share_inputs=True)
        return [results[index] for index in range(len(endpoints))]

    return trunk


class _State(NamedTuple):
    """The state before a piece.

    Attributes:
      kept: the cells that each layer keeps, as tensors of OpenVINO: NumPy has no bfloat16.
      num_pieces: pieces before it.
    """

    kept: list[Any]
    num_pieces: int


class OpenVinoSteps:
    """Computes the trunk's endpoints of a video in steps; see `video_trunk.TrunkSteps`.

    Each layer stores the cells that its next output needs. Before a video these are the padding
    before it; the last piece has the padding after the video appended.

    Pieces inside a long video have equal shapes. A graph of these fixed shapes is about 15 % faster
    than the one for all shapes, and is built for the first video that is long enough to need it.

    Attributes:
      piece: frames of a step.
    """

    piece = 64  # the first piece must complete a cell of Mixed_5c, which takes 56 frames
    # Pieces of a video in the graph for all shapes: building the other takes as long as is won in
    # about so many. It is their number in the video that counts, not in the process, so that a
    # video's result, down to its rounding, does not depend on earlier videos.
    _NUM_BEFORE_FIXED = 8

    def __init__(
        self,
        parameters: Mapping[str, Any],
        frame_shape: Sequence[int],
        endpoints: Sequence[str],
        precision: str = "float32",
    ):
        """Compiles the trunk for frames (H, W, channels); other arguments are those of `build`."""
        self._weights, self._endpoints = _folded(parameters), endpoints
        self._frame_shape, self._precision = tuple(frame_shape), precision
        graph = self._graph(-1)
        self._layers = graph.layers
        self._any_shape = self._request(graph)
        self._fixed_shape: Any = None
        self._lock = threading.Lock()

    def start(self) -> _State:
        """Returns the state before a video: the padding before it, for each layer."""
        return _State([layer.zeros(layer.padding[0]) for layer in self._layers], 0)

    def step(
        self, state: _State, frames: np.ndarray, is_last: bool
    ) -> tuple[list[np.ndarray], _State]:
        """Computes a piece; see `video_trunk.TrunkSteps.step`."""
        inputs = [np.ascontiguousarray(frames[None]), *state.kept]
        is_fixed = state.num_pieces >= self._NUM_BEFORE_FIXED and not is_last
        if not is_fixed:
            inputs += [layer.zeros(layer.padding[1] if is_last else 0) for layer in self._layers]
        with self._lock:  # OpenVINO overwrites its results in the next call
            if is_fixed and self._fixed_shape is None:
                counts = [x.shape[1] for x in state.kept]
                self._fixed_shape = self._request(self._graph(self.piece, counts))
            request = self._fixed_shape if is_fixed else self._any_shape
            results = request.infer(inputs, share_inputs=True)
            count = len(self._endpoints)
            cells = [results[index][0].copy() for index in range(count)]
            kept = [_copy(tensor) for tensor in request.output_tensors[count:]]
        return cells, _State(kept, state.num_pieces + 1)

    def _graph(self, num_frames: int, counts: Sequence[int] = ()) -> PieceGraph:
        shape = (1, num_frames, *self._frame_shape)
        return PieceGraph(self._weights, shape, self._endpoints, self._precision, counts)

    def _request(self, graph: PieceGraph) -> Any:
        befores, afters, kept = zip(
            *((layer.before, layer.after, layer.kept) for layer in graph.layers), strict=True
        )
        inputs = [graph.clips, *befores, *(x for x in afters if x is not None)]
        outputs = [*(graph.outputs[name] for name in self._endpoints), *kept]
        return _compiled(outputs, inputs, self._precision)


def _folded(parameters: Mapping[str, Any]) -> FoldedWeights:
    return fold_norms({k: np.asarray(v) for k, v in parameters.items() if k.startswith("trunk.")})


def _copy(tensor: Any) -> Any:
    copied = import_openvino().Tensor(tensor.element_type, tensor.shape)
    if copied.size:  # bfloat16 is shown as float16 of the same bits
        copied.data[...] = tensor.data
    return copied


def _compiled(outputs: Sequence[Any], inputs: Sequence[Any], precision: str) -> Any:
    """Returns a request that computes the outputs from the inputs."""
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    model = openvino.Model(list(outputs), list(inputs))
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
