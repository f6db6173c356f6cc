"""Several processes that train one model, as `torchrun` starts them: who am I, and how to add up.

The engine is PyTorch's: DistributedDataParallel over NCCL (CUDA) or gloo (CPU). Numbers about the run
(losses, counts, the clock) always travel over gloo, so that asking for one never waits for a GPU.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from lmcore.errors import InputError


@dataclass(frozen=True)
class World:
    """The processes of one run; ``rank`` counts from 0 and rank 0 does the writing.

    With ``size`` 1 every method returns what it was given.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, values: Sequence[float | int]) -> list[float | int]:
        """Each value added up over all processes, in float64."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def from_first(self, value: float) -> float:
        """Rank 0's value, in every process."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(box, src=0)
        return box.item()

    def text_from_first(self, text: str) -> str:
        """Rank 0's text, in every process (as bytes: nothing is pickled)."""
        if self.size == 1:
            return text
        content = list(text.encode())
        box = torch.zeros(int(self.from_first(float(len(content)))), dtype=torch.uint8)
        if self.is_first:
            box.copy_(torch.tensor(content))
        dist.broadcast(box, src=0)
        return bytes(box.tolist()).decode()

    def wait(self) -> None:
        """Until every process is here."""
        self.sum([0.0])


@contextmanager
def join_world() -> Iterator[World]:
    """The processes that torchrun started together with this one; a world of one without torchrun.

    Sets this process's CUDA device, so that "cuda" means its own card. Raises InputError if there are
    more processes on this machine than cards.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    backend = "gloo"
    if torch.cuda.is_available():
        local_rank, cards = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local_rank >= cards:
            raise InputError(f"process {local_rank} has no card of its own: this machine has {cards}")
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
