"""Keys on a time axis: what every curve checks before it is made, and where a time falls.

Legend: k keys, s = k - 1 segments, t query times, d any shape of one value.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["check_keys", "over_values", "segment_of"]


def check_keys(times: Tensor, values: Tensor, fewest: int, method: str) -> None:
    """Refuse keys that no curve of this method can pass through.

    Args:
        times: Key times; must increase strictly and be finite.
        values: One value a key; must be finite.
        fewest: Least number of keys of the method.
        method: Its name, for the sentence.
    Raises:
        InputError: If one of these does not hold.
    """
    if len(times) != len(values):
        raise InputError(
            f"expected one time a key, got {len(times)} times for {len(values)} keys; "
            "give each key its time"
        )
    if len(times) < fewest:
        raise InputError(
            f"expected at least {fewest} keys for a {method} curve, got {len(times)}; add keys or "
            "choose another method"
        )
    if not bool(torch.isfinite(times).all()) or not bool(torch.isfinite(values).all()):
        raise InputError(
            f"expected finite keys for a {method} curve, got NaN or infinity; leave those keys out"
        )
    times = times.detach()
    late = torch.nonzero(times.diff() <= 0.0).flatten()
    if len(late):
        at = int(late[0])
        raise InputError(
            f"expected key times that increase, got {float(times[at]):g} s and then "
            f"{float(times[at + 1]):g} s; sort the keys and keep one at each time"
        )


def segment_of(knots: Float[Tensor, "k"], times: Float[Tensor, "t"]) -> Int[Tensor, "t"]:
    """Index of the segment each time falls in; times outside belong to the first or the last.

    A time on a key belongs to the segment that begins there, as in scipy. Sorted times, the usual
    case, are found by looking for the keys among them instead: there are fewer of these.
    """
    inner, times = knots[1:-1].detach().contiguous(), times.detach().contiguous()
    if len(inner) < len(times) and bool((times[1:] >= times[:-1]).all()):
        ends = torch.searchsorted(times, inner, out_int32=True)
        counts = torch.diff(ends, prepend=ends.new_zeros(1), append=ends.new_tensor([len(times)]))
        order = torch.arange(len(counts), dtype=torch.int32)
        return torch.repeat_interleave(order, counts, output_size=len(times))
    return torch.searchsorted(inner, times, right=True, out_int32=True)


def over_values(numbers: Float[Tensor, "n"], values: Tensor) -> Tensor:
    """One number a row, shaped to multiply values that have more axes."""
    return numbers.reshape(-1, *(1,) * (values.ndim - 1))
