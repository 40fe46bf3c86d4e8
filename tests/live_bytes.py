"""Counts what tensors occupy while code runs: each storage from its making to its death."""

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Bytes made within the block: alive `now`, at their `peak`, and in the `largest` storage."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.largest = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    @property
    def now(self) -> int:
        self._held = {k: held for k, held in self._held.items() if not held[0].expired()}
        return sum(size for _, size in self._held.values())

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        old = {
            x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)
        }
        for x in tree_leaves(made):
            if isinstance(x, Tensor) and x.untyped_storage()._cdata not in old:
                storage = x.untyped_storage()
                self._held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
                self.largest = max(self.largest, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return made
