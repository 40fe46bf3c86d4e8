"""How a correction fades: it begins with a value and a slope, and is gone without a trace.

The quintic over x from 0 to 1 that has a given value and slope at 0, and no value, speed or
acceleration at 1; at 0 it has no acceleration either.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

__all__ = ["fade"]


def fade(x: Float[Tensor, "*b"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Weights of the value and of the slope with which something begins to fade.

    1 - 10 x^3 + 15 x^4 - 6 x^5  and  x - 6 x^3 + 8 x^4 - 3 x^5.

    Args:
        x: Share of the window that has gone by; from 1 on nothing is left.
    Returns:
        What is left of the value, and of the slope (change per window).
    """
    x = x.clamp(max=1.0)
    value = 1.0 + x**3 * (-10.0 + x * (15.0 - 6.0 * x))
    return value, x + x**3 * (-6.0 + x * (8.0 - 3.0 * x))
