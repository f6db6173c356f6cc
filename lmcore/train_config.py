"""How to train: the settings, the schedule that follows from them, and the device."""

import math
from dataclasses import dataclass

import torch

from lmcore.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """How to train. With both limits set, whichever comes first ends the run.

    Raises InputError for a value outside its range, or if there is no limit at all.
    """

    max_steps: int | None = None  # optimizer steps
    max_seconds: float | None = None  # of training; validation and samples are not counted
    learning_rate: float = 3e-3  # at its peak
    warmup: float = 0.03  # fraction of the run over which the learning rate rises from 0
    final_learning_rate: float = 0.02  # fraction of the peak at the end of the cosine
    betas: tuple[float, float] = (0.9, 0.99)  # AdamW's averages of gradient and squared gradient
    weight_decay: float = 0.1  # on matrices; biases are left alone
    clip_norm: float = 1.0  # gradients longer than this are scaled down to it
    accumulate: int = 1  # parts that a batch is worked through in, one after the other: saves memory
    eval_every: int | None = None  # steps between validations; None: at the start and the end only
    save_every: int | None = None  # steps between snapshots, besides those at validations and at the end
    sample_steps: tuple[int, ...] = ()  # write samples after so many steps, besides at the end
    prompts: tuple[str, ...] = ()  # the prompts of those samples
    seed: int = 0  # of dropout and of the samples; the batches carry their own
    device: str = "auto"  # auto, cpu, cuda, mps
    mixed_precision: bool = True  # on CUDA: bfloat16, or float16 on cards before Ampere
    cuda_graph: bool = False  # on CUDA, streams only: record the step once, then replay it

    def __post_init__(self):
        if self.max_steps is None and self.max_seconds is None:
            raise InputError("neither max_steps nor max_seconds is set; one of them must be")
        limits = ("max_steps", "max_seconds", "learning_rate", "clip_norm")
        for name in (*limits, "eval_every", "save_every", "accumulate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                also = " and finite" if value == math.inf else ""
                raise InputError(f"{name} is {value}; it must be above 0{also}")
        for name in ("warmup", "final_learning_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")

    def check_rows(self, batch_size: int, processes: int) -> None:
        """Raises InputError if a batch has fewer rows than it is cut into parts."""
        parts = processes * self.accumulate
        if batch_size < parts:
            raise InputError(
                f"batch_size is {batch_size}, but accumulate {self.accumulate} x {processes} "
                f"process{'es' * (processes > 1)} need at least {parts} rows"
            )


def choose_device(name: str = "auto") -> torch.device:
    """The device to train on; "auto" takes CUDA, then MPS, then the CPU.

    Raises InputError for a device that this machine does not have.
    """
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present.insert(0, "cuda")
    if name == "auto":
        return torch.device(present[0])
    if name.split(":")[0] not in present:
        raise InputError(f"device is {name!r}, but this machine has: {', '.join(present)}")
    return torch.device(name)


def learning_rate_at(progress: float, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine down; ``progress`` in [0, 1] is the part of the run done.

    A fraction instead of a step number, so that the same schedule works under a time budget.
    """
    if progress < config.warmup:
        return config.learning_rate * progress / config.warmup
    remaining = (progress - config.warmup) / max(1 - config.warmup, 1e-9)
    cosine = (1 + math.cos(math.pi * min(remaining, 1.0))) / 2
    floor = config.final_learning_rate
    return config.learning_rate * (floor + (1 - floor) * cosine)
