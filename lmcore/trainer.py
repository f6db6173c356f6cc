"""The training loop, for any model under the contract: batches in, a `Run` out.

Left out: several GPUs, resuming. Nothing in this file knows what kind of model it trains.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lmcore.data import Batch, SentenceBatches, StreamBatches
from lmcore.errors import InputError
from lmcore.generate import Sampling, generate
from lmcore.loss import next_token_nats
from lmcore.metrics import Evaluation, evaluate
from lmcore.record import Run, environment
from lmcore.tokenizer import Tokenizer


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
    eval_every: int | None = None  # steps between validations; None: at the start and the end only
    sample_steps: tuple[int, ...] = ()  # write samples after so many steps, besides at the end
    prompts: tuple[str, ...] = ()  # the prompts of those samples
    seed: int = 0  # of dropout and of the samples; the batches carry their own
    device: str = "auto"  # auto, cpu, cuda, mps
    mixed_precision: bool = True  # on CUDA: bfloat16, or float16 on cards before Ampere

    def __post_init__(self):
        if self.max_steps is None and self.max_seconds is None:
            raise InputError("neither max_steps nor max_seconds is set; one of them must be")
        for name in ("max_steps", "max_seconds", "learning_rate", "clip_norm", "eval_every"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value}; it must be above 0")
        for name in ("warmup", "final_learning_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")


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


def detach(state: Any) -> Any:
    """The same state without its past: backpropagation through time is cut here."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, list | tuple):
        return type(state)(detach(part) for part in state)
    return state


class Trainer:
    """Trains one model on one source of batches.

    ``validation``: batches for `evaluate`, or None. ``tokenizer`` gives the padding id, the bytes
    for bits per byte and the text of samples. ``about`` goes into the run record (data, checksums).
    ``log`` takes one line of text at a time.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: SentenceBatches | StreamBatches,
        tokenizer: Tokenizer,
        config: TrainConfig,
        validation: Iterable[Batch] | None = None,
        about: dict[str, Any] | None = None,
        log: Callable[[str], None] = print,
    ):
        self.config, self.batches, self.tokenizer = config, batches, tokenizer
        self.validation, self.log = validation, log
        self.device = choose_device(config.device)
        self.model = model.to(self.device)
        self.optimizer = make_optimizer(model, config)
        self.autocast, self.scaler = mixed_precision(self.device, config.mixed_precision)
        settings = {"train": asdict(config), **(about or {})}
        if hasattr(model, "config"):
            settings["model"] = {"class": type(model).__name__, **asdict(model.config)}
        self.run = Run(settings, environment(self.device))
        self.token_bytes = tokenizer.token_bytes()
        self.seconds = 0.0  # of training

    def fit(self) -> Run:
        """Train until a limit is reached; returns the history (also kept as ``self.run``).

        Raises InputError on a second call: a new run needs a new Trainer.
        """
        if self.run.steps:
            raise InputError(f"this Trainer has already run {len(self.run.steps)} steps; make a new one")
        torch.manual_seed(self.config.seed)
        if self.device.type == "cpu":
            torch.set_flush_denormal(True)  # tiny numbers are slow and change nothing
        self.log(self._headline())
        self._look(step=0)
        self.model.train()
        state = None
        limits = self.config.max_steps
        with tqdm(total=limits, disable=None, unit="step", leave=False) as bar:
            for step, batch in enumerate(self._endless_batches(), start=1):
                state = self._step(step, batch, state if batch.carries_state else None)
                bar.update()
                done = self._progress(step) >= 1
                if done or self._is_due(step):
                    self._look(step, last=done)
                if done:
                    return self.run

    def _endless_batches(self) -> Iterator[Batch]:
        number = 0
        while True:
            yield from self.batches.epoch(number)
            number += 1

    def _progress(self, step: int) -> float:
        """Part of the run that is done: by steps or by seconds, whichever is further."""
        by_steps = step / self.config.max_steps if self.config.max_steps else 0.0
        by_time = self.seconds / self.config.max_seconds if self.config.max_seconds else 0.0
        return max(by_steps, by_time)

    def _step(self, step: int, batch: Batch, state: Any) -> Any:
        """One gradient step; returns the state to carry on with."""
        start = time.perf_counter()
        learning_rate = learning_rate_at(self._progress(step), self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        inputs, targets = batch.inputs.to(self.device), batch.targets.to(self.device)
        with self.autocast:
            nats, count, state = next_token_nats(self.model, inputs, targets, self.tokenizer.pad_id, state)
            loss = nats / count  # mean over real tokens, nats/token
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        loss, grad_norm = loss.item(), grad_norm.item()
        self.seconds += time.perf_counter() - start
        self._remember(step, loss, learning_rate, grad_norm, count)
        return detach(state)

    def _remember(self, step: int, loss: float, learning_rate: float, grad_norm: float, count: int) -> None:
        before = self.run.steps[-1]["tokens"] if self.run.steps else 0
        self.run.steps.append(
            {
                "step": step,
                "loss": round(loss, 5),
                "learning_rate": round(learning_rate, 7),
                "grad_norm": round(grad_norm, 4),
                "tokens": before + count,
                "seconds": round(self.seconds, 3),
            }
        )

    def _is_due(self, step: int) -> bool:
        every = self.config.eval_every
        return step in self.config.sample_steps or (every is not None and step % every == 0)

    def _look(self, step: int, last: bool = False) -> None:
        """Validate and write samples where they are due."""
        every = self.config.eval_every
        regular = step == 0 or last or (every is not None and step % every == 0)
        if self.validation is not None and regular:
            self._validate(step)
        if last or step in self.config.sample_steps:
            self._write_samples(step)

    def _validate(self, step: int) -> None:
        with self.autocast:
            result = evaluate(
                self.model, self.validation, self.tokenizer.pad_id, self.token_bytes, self.tokenizer.unk_id
            )
        self.run.validation.append(_validation_entry(step, self.seconds, result))
        speed = f", {self.run.tokens_per_second:,.0f} tokens/s" if step else ""
        self.log(f"step {step:>6,}  {self.seconds:6.1f} s  validation: {result}{speed}")

    def _write_samples(self, step: int) -> None:
        sampling = Sampling(temperature=0.8, seed=self.config.seed)
        for prompt in self.config.prompts:
            text = generate(self.model, self.tokenizer, prompt, sampling)
            self.run.samples.append({"step": step, "prompt": prompt, "text": text})
            self.log(f"step {step:>6,}  {text!r}")

    def _headline(self) -> str:
        parameters = sum(p.numel() for p in self.model.parameters())
        has = [f"CUDA {_yes(torch.cuda.is_available())}", f"MPS {_yes(torch.backends.mps.is_available())}"]
        return (
            f"{type(self.model).__name__}, {parameters:,} parameters, on {self.device.type} "
            f"({', '.join(has)}, {torch.get_num_threads()} CPU threads)"
        )


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with weight decay on matrices only."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def mixed_precision(device: torch.device, wanted: bool) -> tuple[torch.autocast, torch.amp.GradScaler]:
    """Autocast and gradient scaler: active on CUDA only.

    Cards before Ampere report bfloat16 but emulate it slowly; they get float16, whose small range
    needs the loss scaled.
    """
    active = wanted and device.type == "cuda"
    native = active and torch.cuda.get_device_capability(device)[0] >= 8
    dtype = torch.bfloat16 if native or not active else torch.float16
    autocast = torch.autocast(device.type, dtype=dtype, enabled=active)
    return autocast, torch.amp.GradScaler(device.type, enabled=active and not native)


def _validation_entry(step: int, seconds: float, result: Evaluation) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": round(seconds, 4),
        "nats_per_token": result.nats_per_token,
        "perplexity": result.perplexity,
        "bits_per_byte": result.bits_per_byte,
    }


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"
