"""The faster float32 product, where it proves to be float32.

On AMD chips MKL's float32 product runs at less than half speed, while torch's precision "medium"
takes oneDNN's, which is as exact there (3 to 6e-7 relative). On chips with AMX, and on GPUs, the
same word really means bfloat16. So a self-test against float64 decides, once a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

__all__ = ["MatmulPrecision", "choose_precision", "fast_matmul", "relative_error"]

MatmulPrecision = Literal["highest", "high", "medium"]
LARGEST_ERROR = 2e-6  # relative, of a 512-term float32 sum; bfloat16 would show 2e-3


def relative_error(precision: MatmulPrecision) -> float:
    """Error of a 256 x 512 x 256 product at this precision, relative to float64's norm."""
    before = torch.get_float32_matmul_precision()
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 512, generator=random), torch.randn(512, 256, generator=random))
    exact = a.double() @ b.double()
    torch.set_float32_matmul_precision(precision)
    try:
        return (((a @ b).double() - exact).norm() / exact.norm()).item()
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def choose_precision() -> MatmulPrecision:
    """ "medium" where it passes the self-test, else "highest"."""
    return "medium" if relative_error("medium") < LARGEST_ERROR else "highest"


@contextmanager
def fast_matmul() -> Iterator[MatmulPrecision]:
    """Float32 products at the chosen precision for the block; gives which it is."""
    before = torch.get_float32_matmul_precision()
    chosen = choose_precision()
    torch.set_float32_matmul_precision(chosen)
    try:
        yield chosen
    finally:
        torch.set_float32_matmul_precision(before)
