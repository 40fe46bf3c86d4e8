"""MobileNetV2 with a feature pyramid: the backbone that both MoveNet networks share.

Differences from torchvision's MobileNetV2: batch norms are already folded into the convolutions
(that is how the weights are published); stride-2 convolutions pad as TensorFlow's SAME does, below
and to the right; the pyramid climbs back to stride 4.

B batch, H W rows and columns of the input image, h w = H/4, W/4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PYRAMID_CHANNELS", "Convolution", "MobileNetPyramid", "Widths"]

EXPANSION = 6  # channels inside an inverted residual block, per channel outside
STAGE_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
TOP_CHANNELS = 1280
LATERAL_STAGES = (1, 2, 3)  # stages whose outputs, at strides 4, 8 and 16, join the pyramid
PYRAMID_CHANNELS = 24


@dataclass(frozen=True)
class Widths:
    """Channels of the stem and of the seven stages; a width multiplier made them."""

    stem: int
    stages: tuple[int, int, int, int, int, int, int]


class Convolution(nn.Module):
    """2-D convolution with TensorFlow's SAME padding, then an optional ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: Side of the square kernel, 1 or 3.
        stride: 1 or 2; with 2 the input's sides must be even.
        depthwise: One filter per channel.
        bias: Add a learned constant per channel.
        activation: What follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = True,
        activation: Literal["none", "relu", "relu6"] = "none",
    ) -> None:
        super().__init__()
        self.activation = activation
        self.late_padding = stride == 2  # SAME pads an even side by one row, at its end
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            size,
            stride=stride,
            padding=0 if self.late_padding else size // 2,
            groups=inputs if depthwise else 1,
            bias=bias,
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o p q"]:
        """Convolve, then activate."""
        if self.late_padding:
            x = functional.pad(x, (0, 1, 0, 1))
        x = self.conv(x)
        if self.activation == "none":
            return x
        return functional.relu6(x) if self.activation == "relu6" else functional.relu(x)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; add the input where the shapes agree.

    References:
        Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, figure 4.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, expand: bool) -> None:
        super().__init__()
        inner = inputs * EXPANSION if expand else inputs
        self.residual = stride == 1 and inputs == outputs
        self.expand = Convolution(inputs, inner, activation="relu6") if expand else nn.Identity()
        self.depthwise = Convolution(
            inner, inner, 3, stride=stride, depthwise=True, activation="relu6"
        )
        self.project = Convolution(inner, outputs)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o p q"]:
        """Run the block."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MobileNetPyramid(nn.Module):
    """Image features at a quarter of the resolution.

    References:
        Lin et al., Feature Pyramid Networks for Object Detection, 2017.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.stem = Convolution(3, widths.stem, 3, stride=2, activation="relu6")
        self.stages = nn.ModuleList()
        inputs = widths.stem
        for i, outputs in enumerate(widths.stages):
            blocks = nn.Sequential()
            for k in range(STAGE_BLOCKS[i]):
                stride = STAGE_STRIDES[i] if k == 0 else 1
                # only the very first block has nothing to expand; no block of stage 0 is residual
                blocks.append(InvertedResidual(inputs, outputs, stride, expand=i > 0))
                inputs = outputs
            self.stages.append(blocks)
        self.top = Convolution(inputs, TOP_CHANNELS, activation="relu6")
        self._add_pyramid(widths)

    def _add_pyramid(self, widths: Widths) -> None:
        fine, middle, coarse = (widths.stages[i] for i in LATERAL_STAGES)
        steps = ((coarse, 64, 32), (middle, 32, PYRAMID_CHANNELS), (fine, 24, PYRAMID_CHANNELS))
        self.reduce = Convolution(TOP_CHANNELS, steps[0][1])
        self.lateral = nn.ModuleList(Convolution(skip, inside) for skip, inside, _ in steps)
        self.filter = nn.ModuleList(
            Convolution(inside, inside, 3, depthwise=True, bias=False) for _, inside, _ in steps
        )
        self.merge = nn.ModuleList(
            Convolution(inside, outside, activation="relu") for _, inside, outside in steps
        )

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 24 p q"]:
        """Features at stride 4 of an image whose sides are multiples of 32, values in [-1, 1]."""
        x = self.stem(image)
        skips: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in LATERAL_STAGES:
                skips.append(x)
        x = self.reduce(self.top(x))
        for lateral, smooth, merge in zip(self.lateral, self.filter, self.merge, strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = merge(smooth(x + lateral(skips.pop())))
        return x
