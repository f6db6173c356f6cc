"""Several processes that train one model, as `torchrun` starts them: who am I, and how to add up.

The engine is PyTorch's: DistributedDataParallel over NCCL (CUDA) or gloo (CPU). Numbers about the run
(losses, counts, the clock) always travel over gloo, so that asking for one never waits for a GPU.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
        """Rank 0's text, in every process."""
        return text if self.size == 1 else self._text_from(0, text)

    def texts(self, text: str) -> list[str]:
        """Every process's text, in every process, by rank."""
        return [text] if self.size == 1 else [self._text_from(rank, text) for rank in range(self.size)]

    def _text_from(self, rank: int, text: str) -> str:
        """One process's text as bytes: nothing is pickled."""
        content = torch.tensor(list(text.encode()), dtype=torch.uint8)
        length = torch.tensor([len(content)])
        dist.broadcast(length, src=rank)
        box = content if self.rank == rank else torch.zeros(int(length), dtype=torch.uint8)
        dist.broadcast(box, src=rank)
        return bytes(box.tolist()).decode()

    def first_decides(self, decide: Callable[[], Any]) -> Any:
        """Rank 0's answer, as JSON can hold it, in every process.

        If it raises InputError or OSError, every process raises InputError.
        """
        answer: dict[str, Any] = {}
        if self.is_first:
            try:
                answer = {"value": decide()}
            except (InputError, OSError) as error:
                answer = {"error": str(error)}
        answer = json.loads(self.text_from_first(json.dumps(answer)))
        if "error" in answer:
            raise InputError(answer["error"])
        return answer["value"]

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
