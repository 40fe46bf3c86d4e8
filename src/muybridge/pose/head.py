"""What MoveNet's networks have in common after the backbone: heads and how an image enters.

B batch, H W rows and columns of the image, h w = H/4, W/4 cells of the feature grid, K values.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from muybridge.pose.mobilenet import PYRAMID_CHANNELS, Convolution

__all__ = [
    "JOINTS", "Head", "gather_cells", "grid_rows_columns", "joint_positions", "normalize_image",
    "row_column",
]  # fmt: skip

JOINTS = 17  # COCO's
HEAD_CHANNELS = 96
SCALE = 0.007843017578125  # 2 / 255 in half precision: the published graph stores it so


class Head(nn.Sequential):
    """Separable 3x3 convolution, ReLU, 1x1 convolution: K values for each cell of the grid."""

    def __init__(self, outputs: int) -> None:
        super().__init__(
            Convolution(PYRAMID_CHANNELS, PYRAMID_CHANNELS, 3, depthwise=True, bias=False),
            Convolution(PYRAMID_CHANNELS, HEAD_CHANNELS, activation="relu"),
            Convolution(HEAD_CHANNELS, outputs),
        )


def normalize_image(image: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """From RGB 0-255, channels last, to [-1, 1]; the memory stays channels-last."""
    return (image * SCALE - 1.0).permute(0, 3, 1, 2)


def grid_rows_columns(values: Float[Tensor, "b k h w"]) -> tuple[Tensor, Tensor]:
    """Row numbers (h, 1) and column numbers (1, w) of a grid, in its own dtype."""
    ones = values[0, 0].detach() * 0.0 + 1.0
    return ones[:, :1].cumsum(0) - 1.0, ones[:1].cumsum(1) - 1.0


def gather_cells(
    values: Float[Tensor, "b k h w"], cells: Int[Tensor, "b n"]
) -> Float[Tensor, "b n k"]:
    """The K values of the cells numbered row * w + column."""
    flat = values.flatten(2).transpose(1, 2)
    return flat.gather(1, cells.unsqueeze(-1).expand(-1, -1, flat.shape[-1]))


def row_column(cells: Int[Tensor, "*n"], width: int | Tensor) -> Float[Tensor, "*n 2"]:
    """Row and column of the cells numbered row * width + column.

    The width is a tensor while torch traces the network for ONNX.
    """
    return torch.stack((cells // width, cells % width), dim=-1).float()


def joint_positions(
    offset: Float[Tensor, "b 34 h w"], cells: Int[Tensor, "b n 17"]
) -> Float[Tensor, "b n 17 2"]:
    """Row and column of each joint: its cell plus that joint's own learned offset, in cells."""
    own = offset.unflatten(1, (JOINTS, 2)).flatten(3)
    index = cells.transpose(1, 2).unsqueeze(2).expand(-1, -1, 2, -1)
    return row_column(cells, offset.shape[-1]) + own.gather(3, index).permute(0, 3, 1, 2)
