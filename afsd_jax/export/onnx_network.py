"""Networks as one model of ONNX: from frames to segments and scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from onnx import ModelProto

from afsd_jax.export.onnx_decoding import RawValues, column, decoded
from afsd_jax.export.onnx_graph import OnnxGraph
from afsd_jax.export.onnx_layers import OnnxLayers, max_over_regions
from afsd_jax.export.onnx_trunk import CHANNELS_FIRST, trunk
from afsd_jax.models import refinement
from afsd_jax.models.network import feature_shapes, lengths_of
from afsd_jax.models.pyramid import priors
from afsd_jax.models.streaming import fold_norms

_BATCH = "windows"


def build_model(
    configs: Sequence[ml_collections.ConfigDict], weights: Sequence[Mapping[str, Any]]
) -> ModelProto:
    """Returns the networks of one or more streams, and the decoding of their fused predictions.

    Inputs of the model are the frames of each stream, named `rgb` or `flow`, uint8
    [windows,T,H,W,channels], and `num_frames`, int32 [windows]: how many of them lie in the video.
    Outputs are `segments`, float32 [windows,K,2], frames of the window, and `scores`, float32
    [windows,K,C], class 0 the background.

    Args:
      configs: configuration of each stream's network; the first one's `inference` is used.
      weights: weights of each network by name.
    """
    graph, config = OnnxGraph(), configs[0]
    num_frames = graph.input("num_frames", np.int32, [_BATCH])
    streams = [
        _Network(graph, each, values).predictions(num_frames)
        for each, values in zip(configs, weights, strict=True)
    ]
    segments, scores = decoded(graph, streams, config)
    cells = sum(lengths_of(config.model, config.data.clip_length))
    return graph.model(
        {
            "segments": (segments, np.float32, [_BATCH, cells, 2]),
            "scores": (scores, np.float32, [_BATCH, cells, config.model.num_classes]),
        }
    )


class _Network:
    """One stream's network; see `models.network.Network`."""

    def __init__(
        self, graph: OnnxGraph, config: ml_collections.ConfigDict, weights: Mapping[str, Any]
    ):
        self._graph, self._config, self._weights = graph, config, weights
        self._lengths = lengths_of(config.model, config.data.clip_length)
        self._cells = sum(self._lengths)
        self._layers = OnnxLayers(graph, weights, config.model.groups)

    def predictions(self, num_frames: str) -> RawValues:
        """Adds the network behind an input of its own."""
        model, layers, graph = self._config.model, self._layers, self._graph
        levels = self._pyramid(self._features(self._clips(num_frames)))
        cells = graph("Concat", *levels, axis=1)
        loc_tower, conf_tower = (self._tower(cells, name) for name in ("loc_tower", "conf_tower"))
        scale = np.repeat(np.asarray(self._weights["loc_scale"]), self._lengths)
        multiplier = np.repeat(np.float32(model.loc_multipliers), self._lengths)
        exponent = graph("Mul", self._over_levels(loc_tower, "loc_head"), column(graph, scale))
        loc = graph("Mul", graph("Exp", exponent), column(graph, multiplier))
        conf = self._over_levels(conf_tower, "conf_head")
        prop_loc = prop_conf = center = ""
        rated = loc_tower
        if model.refinement:
            rated, refined = self._refined(levels[0], loc, loc_tower, conf_tower)
            prop_loc = layers.convolution(rated, "prop_loc_head", self._cells)
            prop_conf = layers.convolution(refined, "prop_conf_head", self._cells)
        if model.quality:
            center = self._over_levels(rated, "center_head")
        return RawValues(loc, conf, prop_loc, prop_conf, center)

    def _clips(self, num_frames: str) -> str:
        """Adds the input and its normalisation; see `models.network.normalise`."""
        graph, data = self._graph, self._config.data
        sizes = data.clip_length, data.crop_size, data.crop_size
        frames = graph.input(
            data.stream, np.uint8, [_BATCH, *sizes, self._config.model.in_channels]
        )
        frames = graph.cast(graph("Transpose", frames, perm=CHANNELS_FIRST), np.float32)
        clips = graph("Sub", graph("Mul", frames, graph.number(2 / 255)), graph.number(1))
        counts = graph("Unsqueeze", num_frames, graph.whole(1))
        places = graph.constant(np.arange(data.clip_length, dtype=np.int32))
        valid = graph.cast(graph("Less", places, counts), np.float32)
        return graph("Mul", clips, graph("Unsqueeze", valid, graph.whole(1, 3, 4)))

    def _features(self, clips: str) -> list[str]:
        data, endpoints = self._config.data, self._config.model.pyramid_inputs
        of_trunk = {k: np.asarray(v) for k, v in self._weights.items() if k.startswith("trunk.")}
        sizes = data.clip_length, data.crop_size, data.crop_size
        return trunk(self._graph, fold_norms(of_trunk), clips, sizes, endpoints)

    def _pyramid(self, features: Sequence[str]) -> list[str]:
        """Adds `models.pyramid.Pyramid`."""
        data, layers = self._config.data, self._layers
        shapes = feature_shapes(self._config.model, data.clip_length, data.crop_size)
        levels = [
            layers.spatial_unit(x, f"pyramid.levels.{n}", shape[0])
            for n, (x, shape) in enumerate(zip(features, shapes, strict=True))
        ]
        for n in reversed(range(1, len(levels))):
            stretched = layers.upsample(levels[n], self._lengths[n], self._lengths[n - 1])
            levels[n - 1] = self._graph("Add", levels[n - 1], stretched)
        for n in range(len(levels), len(self._lengths)):
            length = self._lengths[n - 1]
            levels.append(layers.unit(levels[-1], f"pyramid.levels.{n}", length, stride=2))
        return levels

    def _tower(self, cells: str, name: str) -> str:
        for n in range(2):
            cells = self._unit(cells, f"{name}.{n}")
        return cells

    def _unit(self, x: str, name: str) -> str:
        return self._layers.unit(x, name, self._cells, lengths=self._lengths)

    def _over_levels(self, x: str, name: str) -> str:
        return self._layers.convolution(x, name, self._cells, lengths=self._lengths)

    def _refined(self, level: str, loc: str, loc_tower: str, conf_tower: str) -> tuple[str, str]:
        """Adds the refinement of both towers; see `models.refinement`."""
        graph, layers, model = self._graph, self._layers, self._config.model
        length, channels = self._config.data.clip_length, model.channels
        frames = layers.upsample(level, self._lengths[0], length)
        for n in range(3):
            frames = layers.unit(frames, f"frame_level.units.{n}", length)
        level_regions, frame_regions = self._regions(loc)
        pooled_frames = max_over_regions(graph, frames, length, channels, frame_regions)

        def refined(tower: str, name: str) -> str:
            boundary = self._unit(tower, f"{name}.lr")
            cells = self._cells
            pooled = max_over_regions(graph, boundary, cells, 2 * channels, level_regions)
            near = self._unit(pooled_frames, f"{name}.frame")
            parts = near, pooled, self._unit(tower, f"{name}.cur")
            return self._unit(graph("Concat", *parts, axis=-1), f"{name}.fuse")

        return refined(loc_tower, "loc_branch"), refined(conf_tower, "conf_branch")

    def _regions(self, loc: str) -> tuple[list[str], list[str]]:
        """Adds `models.refinement.proposal_regions`; each bound is a value [B,K]."""
        graph, clip_length = self._graph, self._config.data.clip_length
        to_start, to_end = (_component(graph, loc, n) for n in range(2))
        size = np.repeat(self._lengths, self._lengths)
        index = np.concatenate([np.arange(length) for length in self._lengths])
        cells, place, first, last = (
            graph.constant(x.astype(np.float32))
            for x in (size, index, np.arange(len(index)) - index, size - 1)
        )
        left, right = (
            graph("Mul", graph("Div", x, graph.number(clip_length)), cells)
            for x in (to_start, to_end)
        )
        ends = graph("Sub", place, left), graph("Add", place, right)
        levels = [
            graph("Add", graph("Min", graph("Max", bound, graph.number(0)), last), first)
            for bound in _boundary_regions(graph, *ends, graph("Add", left, right))
        ]
        centre = graph.constant(priors(self._lengths) * np.float32(clip_length))
        start, end = graph("Sub", centre, to_start), graph("Add", centre, to_end)
        width = graph("Add", graph("Sub", end, start), graph.number(1))
        return levels, _boundary_regions(graph, start, end, width)


def _boundary_regions(graph: OnnxGraph, start: str, end: str, width: str) -> list[str]:
    """Adds `models.refinement.boundary_regions`."""
    inside, outside = (
        graph("Max", graph("Div", width, graph.number(part)), graph.number(1))
        for part in (refinement.INSIDE, refinement.OUTSIDE)
    )
    edges = (
        graph("Sub", start, outside),
        graph("Add", start, inside),
        graph("Sub", end, inside),
        graph("Add", end, outside),
    )
    return [graph("Round", edge) for edge in edges]


def _component(graph: OnnxGraph, x: str, number: int) -> str:
    """Returns one component [B,K] of x [B,K,2]."""
    return graph("Gather", x, graph.constant(np.int64(number)), axis=2)
