"""The training loop, for any model under the contract: batches in, a `Run` out.

Left out: resuming. Nothing in this file knows what kind of model it trains.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lmcore.data import Batch, SentenceBatches, StreamBatches
from lmcore.distributed import World
from lmcore.errors import InputError, TrainingError
from lmcore.generate import Sampling, generate
from lmcore.metrics import Evaluation, evaluate
from lmcore.record import Run, environment
from lmcore.step import Step, StepResult, make_step
from lmcore.tokenizer import Tokenizer
from lmcore.train_config import TrainConfig, choose_device, learning_rate_at

STEPS_UNREAD = 50  # on a GPU or over several processes losses are read this rarely: reading one waits


class _Pending(NamedTuple):
    """A step whose loss is still on the GPU, or not yet added up over the processes."""

    step: int
    loss: Tensor | float
    grad_norm: Tensor | float
    learning_rate: float
    num_targets: int
    seconds: float


class Trainer:
    """Trains one model on one source of batches.

    ``validation``: batches for `evaluate`, or None. ``tokenizer`` gives the padding id, the bytes
    for bits per byte and the text of samples. ``about`` goes into the run record (data, checksums).
    ``log`` takes one line of text at a time. ``save`` is called after each validation and at the end,
    as long as the loss is a number: what it keeps is the last good model. ``world``: the processes of
    this run; every one needs the same model, batches and configuration, and only rank 0 logs and saves.
    Raises InputError if a batch has fewer rows than there are processes times ``accumulate``.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: SentenceBatches | StreamBatches,
        tokenizer: Tokenizer,
        config: TrainConfig,
        validation: Iterable[Batch] | None = None,
        about: dict[str, Any] | None = None,
        log: Callable[[str], Any] = print,
        save: Callable[[], Any] | None = None,
        world: World | None = None,
    ):
        self.config, self.batches, self.tokenizer = config, batches, tokenizer
        self.validation, self.world = validation, world or World()
        _check_rows(batches, config, self.world)
        self.log = log if self.world.is_first else lambda line: None
        self.save = save if self.world.is_first else None
        self.device = choose_device(config.device)
        self.model = model.to(self.device)
        for source in (batches, validation):
            if hasattr(source, "to"):  # token ids go to the card where they fit
                source.to(self.device)
        self.step = Step(model, config, tokenizer.pad_id, self.device, self.world)
        self.optimizer = self.step.optimizer
        self.run = Run(self._settings(about or {}), environment(self.device))
        self.token_bytes = tokenizer.token_bytes()
        self.seconds = 0.0  # of training
        self._reading_waits = self.device.type != "cpu" or self.world.size > 1
        self._pending: list[_Pending] = []
        self._saved_step: int | None = None
        self._since = 0.0  # when the time not yet in ``seconds`` began

    def fit(self) -> Run:
        """Train until a limit is reached; returns the history (also kept as ``self.run``).

        Raises InputError on a second call: a new run needs a new Trainer. Raises TrainingError if the
        loss stops being a number or a GPU's memory does not suffice; the history up to there is kept.
        """
        if self.run.steps:
            raise InputError(f"this Trainer has already run {len(self.run.steps)} steps; make a new one")
        torch.manual_seed(self.config.seed)
        if self.device.type == "cpu":
            torch.set_flush_denormal(True)  # tiny numbers are slow and change nothing
        self.log(self._headline())
        self._look(step=0)
        self.model.train()
        states, take_step = None, make_step(self.step)
        self._since = time.perf_counter()
        hidden = None if self.world.is_first else True
        with tqdm(total=self.config.max_steps, disable=hidden, unit="step", leave=False) as bar:
            for step, batch in enumerate(self._endless_batches(), start=1):
                learning_rate = learning_rate_at(self._progress(step), self.config)
                result = self._guarded(take_step, batch, states, learning_rate)
                states = result.states
                self._note(step, result, learning_rate)
                bar.update()
                done = self._progress(step) >= 1
                if done or self._is_due(step):
                    self._read_pending()
                    self._look(step, last=done)
                    self._since = time.perf_counter()  # looking does not count as training
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

    def _guarded(self, take_step, batch: Batch, states, learning_rate: float) -> StepResult:
        try:
            return take_step(batch, states, learning_rate)
        except torch.OutOfMemoryError as error:
            B, T = batch.inputs.shape
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"out of GPU memory at batch_size {B}, seq_len {T}, accumulate {self.config.accumulate}: "
                f"lower the first two or raise the last ({reason})"
            ) from None

    def _note(self, step: int, result: StepResult, learning_rate: float) -> None:
        """Keep a step's numbers, and read them if it is time."""
        self._tick()
        if self.config.max_seconds:
            self.seconds = self.world.from_first(self.seconds)  # all have to stop at the same step
        loss, grad_norm, _, num_targets = result
        if self.device.type == "cpu":  # reading is free, and small tensors would break up the heap
            loss, grad_norm = loss.item(), grad_norm.item()
        self._pending.append(_Pending(step, loss, grad_norm, learning_rate, num_targets, self.seconds))
        if len(self._pending) == (STEPS_UNREAD if self._reading_waits else 1):
            self._read_pending()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now

    def _read_pending(self) -> None:
        """Losses from the device into the history; raises TrainingError for one that is no number."""
        if not self._pending:
            return
        losses = self.world.sum([float(entry.loss) for entry in self._pending])
        if self._reading_waits:  # the device has caught up only now
            self._tick()
            self._pending[-1] = self._pending[-1]._replace(seconds=self.seconds)
        for entry, loss in zip(self._pending, losses, strict=True):
            if not math.isfinite(loss):
                self._pending.clear()
                raise TrainingError(self._diverged(entry, loss))
            self._remember(entry, loss)
        self._pending.clear()

    def _diverged(self, entry: _Pending, loss: float) -> str:
        return (
            f"the loss is {loss} at step {entry.step:,}, where the learning rate is "
            f"{entry.learning_rate:.3g}; lower it {self._last_good()}"
        )

    def _last_good(self) -> str:
        saved = "none was" if self._saved_step is None else f"that of step {self._saved_step:,} was"
        return f"(the last good model: {saved} saved)"

    def _remember(self, entry: _Pending, loss: float) -> None:
        before = self.run.steps[-1]["tokens"] if self.run.steps else 0
        self.run.steps.append(
            {
                "step": entry.step,
                "loss": round(loss, 5),
                "learning_rate": round(entry.learning_rate, 7),
                "grad_norm": round(float(entry.grad_norm), 4),
                "tokens": before + entry.num_targets,
                "seconds": round(entry.seconds, 3),
            }
        )

    def _is_due(self, step: int) -> bool:
        every = self.config.eval_every
        return step in self.config.sample_steps or (every is not None and step % every == 0)

    def _look(self, step: int, last: bool = False) -> None:
        """Validate, save and write samples where they are due."""
        every = self.config.eval_every
        regular = step == 0 or last or (every is not None and step % every == 0)
        if self.validation is not None and regular:
            self._validate(step)
        if self.save is not None and regular and step:
            self.save()
            self._saved_step = step
        if last or step in self.config.sample_steps:
            self._write_samples(step)

    def _validate(self, step: int) -> None:
        pad_id, unk_id = self.tokenizer.pad_id, self.tokenizer.unk_id
        try:
            with self.step.autocast:
                result = evaluate(self.model, self.validation, pad_id, self.token_bytes, unk_id, self.world)
        except InputError as error:
            if not step:  # the text is wrong, or the model that came in
                raise
            raise TrainingError(
                f"validation after step {step:,}: {error}; lower the learning rate {self._last_good()}"
            ) from None
        self.run.validation.append(_validation_entry(step, self.seconds, result))
        speed = f", {self.run.tokens_per_second:,.0f} tokens/s" if step else ""
        self.log(f"step {step:>6,}  {self.seconds:6.1f} s  validation: {result}{speed}")

    def _write_samples(self, step: int) -> None:
        sampling = Sampling(temperature=0.8, seed=self.config.seed)
        for prompt in self.config.prompts:
            text = generate(self.model, self.tokenizer, prompt, sampling)
            self.run.samples.append({"step": step, "prompt": prompt, "text": text})
            self.log(f"step {step:>6,}  {text!r}")

    def _settings(self, about: dict[str, Any]) -> dict[str, Any]:
        settings = {"train": asdict(self.config), "processes": self.world.size, **about}
        if hasattr(self.model, "config"):
            settings["model"] = {"class": type(self.model).__name__, **asdict(self.model.config)}
        return settings

    def _headline(self) -> str:
        parameters = sum(p.numel() for p in self.model.parameters())
        has = [f"CUDA {_yes(torch.cuda.is_available())}", f"MPS {_yes(torch.backends.mps.is_available())}"]
        processes = f"{self.world.size} processes, " if self.world.size > 1 else ""
        return (
            f"{type(self.model).__name__}, {parameters:,} parameters, on {self.device.type} "
            f"({processes}{', '.join(has)}, {torch.get_num_threads()} CPU threads)"
        )


def _check_rows(batches: SentenceBatches | StreamBatches, config: TrainConfig, world: World) -> None:
    if batches.batch_size < world.size * config.accumulate:
        raise InputError(
            f"batch_size is {batches.batch_size}, but {world.size} processes x accumulate "
            f"{config.accumulate} need at least {world.size * config.accumulate} rows"
        )


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
