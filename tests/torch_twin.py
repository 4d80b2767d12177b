"""The network and its losses in PyTorch, under the official implementation's parameter names.

An independent second implementation of what `afsd_jax.models` and `afsd_jax.training.losses`
compute: real
`torch.save` files, real autograd and real timings come from here. It reads the same configuration
fields. Everything is channels-first, as PyTorch has it.
"""

import functools
import math
from collections.abc import Sequence

import ml_collections
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
ENDPOINTS = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    *("Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e"),
    *("Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c"),
)


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Pads [B, C, *size] with zeros as "SAME" does in XLA: the smaller half in front."""
    padding: list[int] = []  # last dimension first
    for n, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding) if any(padding) else x


class MaxPool3d(nn.Module):
    """Max pooling with SAME padding by zeros: its inputs are never negative."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class FrozenBatchNorm(nn.BatchNorm3d):
    """Batch normalisation by the running statistics, with a scale and bias that do not learn."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-3)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> "FrozenBatchNorm":
        del mode
        return super().train(False)


class Unit3D(nn.Module):
    """3-D convolution: SAME → BatchNorm → ReLU in the trunk, or VALID with a bias alone."""

    def __init__(self, inputs, outputs, kernel=(1, 1, 1), stride=(1, 1, 1), trunk=True):
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=not trunk)
        self.bn = FrozenBatchNorm(outputs) if trunk else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bn is None:
            return self.conv3d(x)
        conv = self.conv3d
        return F.relu(self.bn(conv(pad_same(x, conv.kernel_size, conv.stride))), inplace=True)


class Unit1D(nn.Module):
    """1-D convolution with a bias and SAME padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv1d = nn.Conv1d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv1d
        return conv(pad_same(x, conv.kernel_size, conv.stride))


class Mixed(nn.Module):
    """Inception block: four branches, concatenated."""

    def __init__(self, inputs: int, channels: Sequence[int]):
        super().__init__()
        a, b, c, d, e, f = channels
        cube = (3, 3, 3)
        self.b0 = Unit3D(inputs, a)
        self.b1a, self.b1b = Unit3D(inputs, b), Unit3D(b, c, cube)
        self.b2a, self.b2b = Unit3D(inputs, d), Unit3D(d, e, cube)
        self.b3a, self.b3b = MaxPool3d(cube, (1, 1, 1)), Unit3D(inputs, f)

    def forward(self, x: Tensor) -> Tensor:
        branches = self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))
        return torch.cat(branches, dim=1)


def scaled(channels: int, width: float) -> int:
    """A channel count of a narrower trunk: a multiple of 8."""
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)


class I3D(nn.Module):
    """The trunk: [B, channels, T, H, W] in [-1, 1] → every endpoint by name."""

    def __init__(self, in_channels: int, width: float = 1.0):
        super().__init__()
        stem, wide = scaled(64, width), scaled(192, width)
        self.Conv3d_1a_7x7 = Unit3D(in_channels, stem, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = MaxPool3d((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(stem, stem)
        self.Conv3d_2c_3x3 = Unit3D(stem, wide, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = MaxPool3d((1, 3, 3), (1, 2, 2))
        self.MaxPool3d_4a_3x3 = MaxPool3d((3, 3, 3), (2, 2, 2))
        self.MaxPool3d_5a_2x2 = MaxPool3d((2, 2, 2), (2, 2, 2))
        self.channels: dict[str, int] = {}
        inputs = wide
        for name, counts in MIXED.items():
            a, b, c, d, e, f = (scaled(count, width) for count in counts)
            self.add_module(name, Mixed(inputs, (a, b, c, d, e, f)))
            inputs = self.channels[name] = a + c + e + f

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        endpoints = {}
        for name in ENDPOINTS:
            endpoints[name] = x = getattr(self, name)(x)
        return endpoints


@torch.no_grad()
def proposal_segments(loc: Tensor, priors: Tensor, cells: int, frames: int) -> tuple[Tensor, ...]:
    """Coarse distances [B, K, 2] of priors [K] on one level → the two kinds of region to pool.

    Returns:
      Segments [B, K, 4] in cells of the level, and [B, K, 4] in frames.
    """
    left, right = (loc / frames * cells).unbind(-1)
    index = torch.arange(cells, dtype=loc.dtype, device=loc.device)
    level = _regions(index - left, index + right, left + right)
    left, right = loc.unbind(-1)
    return level, frame_segments(priors * frames - left, priors * frames + right)


def frame_segments(start: Tensor, end: Tensor) -> Tensor:
    """Starts and ends [...] in frames → the regions around them [..., 4] in frames."""
    return _regions(start, end, end - start + 1)


def _regions(start: Tensor, end: Tensor, width: Tensor) -> Tensor:
    inner, outer = (width / 4).clamp(min=1), (width / 10).clamp(min=1)
    return torch.stack([start - outer, start + inner, end - inner, end + outer], -1).round()


def boundary_max_pooling(features: Tensor, segments: Tensor) -> Tensor:
    """Features [B, N, t], segments [B, K, 4] → maxima [B, N, K] over the segments' regions.

    The first N/2 channels are pooled over [segment 0, segment 1], the others over [2, 3], ends
    included, truncated to integers and clamped to the features. The gradient of a maximum goes to
    its first position.
    """
    with torch.no_grad():
        ends = segments.trunc().clamp(0, features.shape[2] - 1).long()
        regions = ends[..., :2], ends[..., 2:]
        halves = features.detach().chunk(2, dim=1)
        index = torch.cat(
            [_first_maximum(x, region) for x, region in zip(halves, regions, strict=True)], dim=1
        )
    return features.gather(2, index)


def _first_maximum(x: Tensor, region: Tensor) -> Tensor:
    """Position [B, N, K] of the first maximum of `x` [B, N, t] in each region [B, K, 2].

    By a sparse table: row j holds the first maximum of the 2^j positions from each position on,
    and a region is the union of two such (overlapping) stretches.
    """
    cells = x.shape[2]
    position = torch.arange(cells, device=x.device).expand(x.shape)
    rows = [(x, position)]
    for j in range(cells.bit_length() - 1):
        value, at = rows[-1]
        # Past the end a stretch is cut short, which repeats its last position: no new maximum.
        shifted = (torch.arange(cells, device=x.device) + 2**j).clamp(max=cells - 1)
        later = value[..., shifted] > value
        at = torch.where(later, at[..., shifted], at)
        rows.append((x.gather(2, at), at))
    table = torch.cat([at for _, at in rows], dim=2)

    left = region[..., 0]
    length = (region[..., 1] - left).clamp(min=0) + 1
    row = torch.frexp(length.to(torch.float64)).exponent.long() - 1
    first, second = (
        table.gather(2, (row * cells + start)[:, None].expand(-1, x.shape[1], -1))
        for start in (left, left + length - 2**row)
    )
    return torch.where(x.gather(2, second) > x.gather(2, first), second, first)


class ScaleExp(nn.Module):
    """exp(scale · x) with a learned scale."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x * self.scale)


class ProposalBranch(nn.Module):
    """Saliency-based refinement of one tower's features, AFSD §3.3."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        unit = functools.partial(conv_norm_relu, groups=groups)
        self.cur_point_conv = unit(Unit1D(channels, channels, 1))
        self.lr_conv = unit(Unit1D(channels, 2 * channels, 1))
        self.roi_conv = unit(Unit1D(channels, channels, 1))
        self.proposal_conv = unit(Unit1D(4 * channels, channels, 1))

    def forward(self, tower, frame_level, level_segments, segments) -> tuple[Tensor, Tensor]:
        lr = self.lr_conv(tower)
        pooled = boundary_max_pooling(lr, level_segments)
        pooled_frame = self.roi_conv(boundary_max_pooling(frame_level, segments))
        parts = pooled_frame, pooled, self.cur_point_conv(tower)
        return self.proposal_conv(torch.cat(parts, dim=1)), lr


def conv_norm_relu(conv: Unit1D | Unit3D, groups: int) -> nn.Sequential:
    """Convolution → GroupNorm over channel group × time → ReLU."""
    weight = next(conv.parameters())
    return nn.Sequential(conv, nn.GroupNorm(groups, weight.shape[0]), nn.ReLU(inplace=True))


class CoarsePyramidDetection(nn.Module):
    """Everything after the trunk: pyramid, coarse heads, refinement. AFSD §3.2 and §3.3."""

    def __init__(self, config, trunk_channels: dict[str, int], crop_size: int):
        super().__init__()
        n, classes = config.channels, config.num_classes
        self.inputs, self.loc_multipliers = config.pyramid_inputs, config.loc_multipliers
        unit = functools.partial(conv_norm_relu, groups=config.groups)
        levels = []
        for name in self.inputs:
            cells = math.ceil(crop_size / {"Mixed_4f": 16, "Mixed_5c": 32}[name])
            levels.append(unit(Unit3D(trunk_channels[name], n, (1, cells, cells), trunk=False)))
        levels += [unit(Unit1D(n, n, 3, 2)) for _ in range(config.levels - len(levels))]
        self.pyramids = nn.ModuleList(levels)
        self.loc_heads = nn.ModuleList(ScaleExp() for _ in levels)
        self.loc_tower = nn.Sequential(*(unit(Unit1D(n, n, 3)) for _ in range(2)))
        self.conf_tower = nn.Sequential(*(unit(Unit1D(n, n, 3)) for _ in range(2)))
        self.loc_head, self.conf_head = Unit1D(n, 2, 3), Unit1D(n, classes, 3)
        self.loc_proposal_branch = ProposalBranch(n, config.groups)
        self.conf_proposal_branch = ProposalBranch(n, config.groups)
        self.prop_loc_head, self.prop_conf_head = Unit1D(n, 2, 1), Unit1D(n, classes, 1)
        self.center_head = Unit1D(n, 1, 3)
        self.deconv = nn.Sequential(
            *(layer for k in (3, 3, 1) for layer in unit(Unit1D(n, n, k)).children())
        )

    def pyramid(self, endpoints: dict[str, Tensor], frames: int) -> tuple[list[Tensor], Tensor]:
        """Returns the levels' features [B, N, t] and the frame-level feature [B, N, T]."""
        levels = [
            level(endpoints[name]).flatten(2)
            for level, name in zip(self.pyramids, self.inputs, strict=False)
        ]
        for i in reversed(range(1, len(levels))):
            levels[i - 1] = levels[i - 1] + F.interpolate(levels[i], levels[i - 1].shape[2:])
        for level in self.pyramids[len(levels) :]:
            levels.append(level(levels[-1]))
        return levels, self.deconv(F.interpolate(levels[0], [frames]))

    def forward(self, endpoints: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
        levels, frame_level = self.pyramid(endpoints, frames)
        start, end = frame_level.mT.chunk(2, dim=2)
        outputs = {"start": start, "end": end}
        columns: dict[str, list[Tensor]] = {}
        for i, x in enumerate(levels):
            cells = x.shape[2]
            priors = (torch.arange(cells, dtype=x.dtype, device=x.device) + 0.5) / cells
            loc_tower, conf_tower = self.loc_tower(x), self.conf_tower(x)
            loc = self.loc_heads[i](self.loc_head(loc_tower)).mT * self.loc_multipliers[i]
            segments = proposal_segments(loc.detach(), priors, cells, frames)
            loc_refined, loc_lr = self.loc_proposal_branch(loc_tower, frame_level, *segments)
            conf_refined, conf_lr = self.conf_proposal_branch(conf_tower, frame_level, *segments)
            if i == 0:
                for name, lr in (("loc", loc_lr), ("conf", conf_lr)):
                    halves = lr.mT.chunk(2, dim=2)
                    outputs[f"start_{name}_prop"], outputs[f"end_{name}_prop"] = halves
            for name, value in (
                ("loc", loc),
                ("conf", self.conf_head(conf_tower).mT),
                ("prop_loc", self.prop_loc_head(loc_refined).mT),
                ("prop_conf", self.prop_conf_head(conf_refined).mT),
                ("center", self.center_head(loc_refined).mT),
                ("priors", priors[:, None]),
                ("level", torch.full_like(priors, i)[:, None]),
            ):
                columns.setdefault(name, []).append(value)
        return outputs | {name: torch.cat(values, dim=-2) for name, values in columns.items()}

    def consistency(self, endpoints, frames: int, regions: Tensor, stride: int) -> list[Tensor]:
        """Returns frame-level, loc and conf features [B, N, 3], pooled at three regions."""
        levels, frame_level = self.pyramid(endpoints, frames)
        segments = frame_segments(*regions.unbind(-1))
        features = [
            branch.lr_conv(tower(levels[0]))
            for tower, branch in (
                (self.loc_tower, self.loc_proposal_branch),
                (self.conf_tower, self.conf_proposal_branch),
            )
        ]
        return [
            boundary_max_pooling(frame_level, segments),
            *(boundary_max_pooling(x, segments / stride) for x in features),
        ]


class AFSD(nn.Module):
    """The whole network.

    Args:
      config: the fields of `afsd_jax.config.default_config().model`.
      crop_size: height and width of the frames, pixels.
    """

    def __init__(self, config: ml_collections.ConfigDict, crop_size: int = 96):
        super().__init__()
        self.config = config
        trunk = I3D(config.in_channels, config.trunk_width)
        self.coarse_pyramid_detection = CoarsePyramidDetection(config, trunk.channels, crop_size)
        self.backbone = nn.ModuleDict({"_model": trunk})

    def endpoints(self, clip: Tensor) -> dict[str, Tensor]:
        """The trunk's endpoints by name."""
        return self.backbone["_model"](clip)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        """Clip [B, channels, T, H, W] in [-1, 1] → outputs, all [B, K or time, channels].

        K priors over all levels: loc and prop_loc (2), conf and prop_conf (classes), center (1),
        priors [K, 1] as fractions of the clip, level [K, 1]; start and end [B, T, N/2];
        {start,end}_{loc,conf}_prop [B, level 0, N].
        """
        return self.coarse_pyramid_detection(self.endpoints(clip), clip.shape[2])

    def consistency_loss(self, clip: Tensor, regions: Tensor, margin: float = 1.0) -> Tensor:
        """Triplet loss of a consistency clip with regions [B, 3, 2] (start, end) in frames."""
        pooled = self.coarse_pyramid_detection.consistency(
            self.endpoints(clip), clip.shape[2], regions, self.config.consistency_stride
        )
        total = torch.zeros(())
        for weight, x in zip((1.0, 0.1, 0.1), pooled, strict=True):
            start, end = x.chunk(2, dim=1)
            triplet = end[..., 0], start[..., 1], start[..., 2]
            total = total + weight * F.triplet_margin_loss(*triplet, margin=margin, eps=1e-6)
        return total


def normalise(frames) -> Tensor:
    """uint8 frames [T, H, W, channels] → a clip [1, channels, T, H, W] in [-1, 1]."""
    return (torch.as_tensor(frames).permute(3, 0, 1, 2)[None].float() / 255 * 2 - 1).contiguous()


def match(
    priors: Tensor, levels: Tensor, segments: Tensor, frames: int, length_ranges
) -> tuple[Tensor, Tensor]:
    """Assigns to each prior the shortest action around it.

    Args:
      priors, levels: [K], as fractions of the clip, and each one's level.
      segments: [M, 3] start and end in frames, and class.
      frames: T.
      length_ranges: per level (above, up to) in frames, or empty.

    Returns:
      Distances [K, 2] to its start and end in frames, and labels [K], 0 where there is none.
    """
    start, end, label = segments.unbind(-1)
    distances = torch.stack([priors[:, None] * frames - start, end - priors[:, None] * frames], -1)
    candidate = (distances >= 0).all(-1)
    if length_ranges:
        above, limit = torch.tensor(length_ranges, dtype=priors.dtype)[levels.long()].unbind(-1)
        farther = distances.amax(-1)
        candidate &= (farther > above[:, None]) & (farther <= limit[:, None])
    length = torch.where(candidate, distances.sum(-1), math.inf)
    shortest = length.argmin(-1)
    rows = torch.arange(len(priors))
    return distances[rows, shortest], (label[shortest] * candidate.any(-1)).long()


def iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and union of segments given by distances [..., 2] from a common point."""
    inter = torch.minimum(a, b).sum(-1)
    union = (a.sum(-1) + b.sum(-1) - inter).clamp(min=torch.finfo(torch.float32).eps)
    return inter / union, union


def focal_loss(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Softmax focal loss of logits [K, C] with labels [K], summed."""
    pt = logits.softmax(-1).gather(-1, labels[:, None])[:, 0] + 1e-6
    weight = torch.where(labels > 0, alpha, 1 - alpha)
    return (-weight * (1 - pt) ** gamma * pt.log()).sum()


def detection_losses(outputs, segments: Sequence[Tensor], frames: int, config) -> dict[str, Tensor]:
    """The five losses of the predictions: loc, conf, prop_loc, prop_conf, center.

    Args:
      outputs: of `AFSD.forward`.
      segments: per clip [M, 3] start and end in frames, and class.
      frames: T.
      config: the tree with fields `matching` and `loss`.
    """
    matching, loss = config.matching, config.loss
    clips = []
    for i, actions in enumerate(segments):
        loc, conf, prop_loc, prop_conf, center = (
            outputs[name][i] for name in ("loc", "conf", "prop_loc", "prop_conf", "center")
        )
        priors, levels = outputs["priors"][:, 0], outputs["level"][:, 0]
        target, label = match(priors, levels, actions, frames, matching.length_ranges)
        positive = label > 0
        coarse_iou = iou(loc.detach(), target)[0]
        threshold = torch.tensor(matching.proposal_tiou)
        if matching.proposal_best and positive.any():
            threshold = threshold.minimum(coarse_iou[positive].max())
        accepted = positive & (coarse_iou >= threshold)

        overlap, union = iou(loc[positive], target[positive])
        hull = torch.maximum(loc, target)[positive].sum(-1)
        half = loc.sum(-1, keepdim=True) / 2
        offset = ((target - loc) / half)[accepted].detach()
        quality = iou((loc + half * prop_loc)[positive], target[positive])[0].clamp(min=0)
        offset_loss = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}[loss.offset]
        focal = functools.partial(focal_loss, alpha=loss.focal_alpha, gamma=loss.focal_gamma)
        clips.append(
            {
                "loc": (1 - (overlap - (hull - union) / hull)).sum(),
                "conf": focal(conf, label),
                "prop_loc": offset_loss(prop_loc[accepted], offset, reduction="sum"),
                "prop_conf": focal(prop_conf, label * accepted),
                "center": F.binary_cross_entropy_with_logits(
                    center[positive, 0], quality, reduction="sum"
                ),
                "positives": positive.sum(),
                "proposals": accepted.sum(),
            }
        )
    sums = {name: torch.stack([clip[name] for clip in clips]) for name in clips[0]}
    if loss.normalise == "batch":
        sums = {name: values.sum() for name, values in sums.items()}
    return {
        name: (sums[name] / sums[count].clamp(min=1)).mean()
        for name, count in (
            ("loc", "positives"),
            ("conf", "positives"),
            ("prop_loc", "proposals"),
            ("prop_conf", "proposals"),
            ("center", "positives"),
        )
    }


def boundary_targets(segments: Sequence[Tensor], frames: int) -> Tensor:
    """Per clip [M, 3] start and end in frames → [2, B, T], 1 near the starts and ends."""
    targets = torch.zeros(2, len(segments), frames)
    for i, actions in enumerate(segments):
        for *boundaries, _ in actions.tolist():
            reach = max((boundaries[1] - boundaries[0]) / 10, 2.0) / 2
            for side, boundary in enumerate(boundaries):
                first, last = (
                    min(max(round(x), 0), frames - 1) for x in (boundary - reach, boundary + reach)
                )
                targets[side, i, first : last + 1] = 1
    return targets


def boundary_losses(outputs, segments: Sequence[Tensor], frames: int) -> dict[str, Tensor]:
    """The losses of the boundary-sensitive features: start and end."""
    losses = {}
    for side, target in zip(("start", "end"), boundary_targets(segments, frames), strict=True):
        total = F.binary_cross_entropy(outputs[side].tanh().mean(-1), target)
        for name in ("loc", "conf"):
            x = outputs[f"{side}_{name}_prop"].tanh().mean(-1)
            every = frames // x.shape[1]
            total = total + 0.1 * F.binary_cross_entropy(x, target[:, ::every])
        losses[side] = total
    return losses


def losses(outputs, segments: Sequence[Tensor], frames: int, config) -> dict[str, Tensor]:
    """All losses of training clips but the consistency loss, and their weighted total."""
    terms = detection_losses(outputs, segments, frames, config)
    terms |= boundary_losses(outputs, segments, frames)
    loss = config.loss
    total = (
        loss.loc_weight * (terms["loc"] + terms["prop_loc"])
        + loss.conf_weight * (terms["conf"] + terms["prop_conf"] + terms["center"])
        + loss.boundary_weight * (terms["start"] + terms["end"])
    )
    return terms | {"total": total}


def optimizer(network: AFSD, config: ml_collections.ConfigDict) -> torch.optim.Adam:
    """Adam with coupled weight decay; `config` has the fields of the tree's `optimizer`."""
    rates = (
        (network.backbone, config.trunk_learning_rate),
        (network.coarse_pyramid_detection, config.learning_rate),
    )
    groups = [
        {"params": [p for p in part.parameters() if p.requires_grad], "lr": rate}
        for part, rate in rates
    ]
    return torch.optim.Adam(groups, weight_decay=config.weight_decay)
