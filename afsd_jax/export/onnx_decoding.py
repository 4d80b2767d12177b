"""Decoding of predictions as operations of ONNX; see `detection.postprocess.decode_streams`."""

from collections.abc import Sequence
from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.export.onnx_graph import OnnxGraph
from afsd_jax.models.network import lengths_of
from afsd_jax.models.pyramid import priors


class RawValues(NamedTuple):
    """Values of a network's raw predictions, "" for what it lacks; see `types.Predictions`."""

    loc: str
    conf: str
    prop_loc: str
    prop_conf: str
    center: str  # [B,K,1]


def decoded(
    graph: OnnxGraph, streams: Sequence[RawValues], config: ml_collections.ConfigDict
) -> tuple[str, str]:
    """Adds the decoding of the streams' fused predictions.

    Returns:
      Segments [B,K,2], frames, and scores [B,K,C].
    """
    count = len(streams)

    def mean(parts: Sequence[str]) -> str:
        return graph("Div", graph("Sum", *parts), graph.number(count)) if count > 1 else parts[0]

    fused = RawValues(*(mean(parts) if all(parts) else "" for parts in zip(*streams, strict=True)))
    segments = _segments(graph, fused, config)
    if config.inference.fusion == "geometric" and count > 1:
        product = _segments(graph, streams[0], config)
        for stream in streams[1:]:
            product = graph("Mul", product, _segments(graph, stream, config))
        segments = graph("Pow", product, graph.number(1 / count))
    scores = graph("Softmax", fused.conf, axis=-1)
    if fused.prop_conf:
        both = graph("Add", scores, graph("Softmax", fused.prop_conf, axis=-1))
        scores = graph("Div", both, graph.number(2))
    if fused.center:
        scores = graph("Mul", scores, graph("Sigmoid", fused.center))
    return segments, scores


def _segments(graph: OnnxGraph, raw: RawValues, config: ml_collections.ConfigDict) -> str:
    length, refined = config.data.clip_length, raw.loc
    if raw.prop_loc:
        width = graph("ReduceSum", raw.loc, graph.whole(2))
        moved = graph("Mul", graph("Mul", width, graph.number(0.5)), raw.prop_loc)
        refined = graph("Add", raw.loc, moved)
    centre = priors(lengths_of(config.model, length)) * np.float32(length)
    signed = graph("Mul", refined, graph.constant(np.array([-1, 1], np.float32)))
    ends = graph("Add", signed, column(graph, centre))
    return graph("Clip", ends, graph.number(0), graph.number(length))


def column(graph: OnnxGraph, values: np.ndarray) -> str:
    """Adds a constant [K,1] of K values."""
    return graph.constant(values.astype(np.float32)[:, None])
