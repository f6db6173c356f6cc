"""Training one neural model of the ladder, and what is measured of it."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import torch
from torch import nn

import lmcore
from benchmarks.ladder.plan import Setting, Spec
from benchmarks.ladder.task import Task
from lmcore.errors import InputError

CALIBRATION_STEPS = 6
GENERATION_ROUNDS = 3
WHOLE_STEPS, KEPT_STEPS = 20, 400  # a record keeps its first steps, and every so many of the others


def make_model(spec: Spec, task: Task, seed: int) -> nn.Module:
    """Fresh weights that depend on the seed only; the output bias knows the token frequencies."""
    torch.manual_seed(seed)
    model = make_shape(spec, task.tokenizer.vocab_size, task.tokenizer.pad_id)
    model.start_from_frequencies(lmcore.UnigramLM(task.train, task.tokenizer.vocab_size).log_probs)
    return model


def make_shape(spec: Spec, vocab_size: int, pad_id: int) -> nn.Module:
    names = ("emb_dim", "num_layers", "dropout", "emb_std", "output")
    common = {name: getattr(spec, name) for name in names}
    common |= {"vocab_size": vocab_size, "pad_id": pad_id, "tie_weights": True}
    if spec.kind == "transformer":
        config = lmcore.GPTConfig(**common, num_heads=spec.heads, context=spec.context)
        return lmcore.TransformerLM(config)
    return lmcore.RecurrentLM(lmcore.RNNConfig(**common, cell=spec.kind, residual=spec.residual))


def with_parameters(spec: Spec, vocab_size: int, parameters: int) -> Spec:
    """The spec at the width that comes closest to a number of parameters; InputError if over 3% off."""
    unit = 2 * spec.heads if spec.kind == "transformer" else 2
    sizes = {}
    for width in range(unit, 2 + parameters // vocab_size, unit):
        candidate = replace(spec, emb_dim=width)
        with torch.device("meta"):  # shapes without numbers
            sizes[candidate] = make_shape(candidate, vocab_size, pad_id=0).num_parameters
    best = min(sizes, key=lambda candidate: abs(sizes[candidate] - parameters))
    if abs(sizes[best] - parameters) > 0.03 * parameters:
        raise InputError(f"{spec.kind}: {sizes[best]:,} parameters is as close as it gets to {parameters:,}")
    return best


def train(
    spec: Spec, task: Task, setting: Setting, seed: int, log: Callable[[str], Any]
) -> tuple[nn.Module, lmcore.Run]:
    """One run; its record holds the first steps and every so many of the others."""
    model = make_model(spec, task, seed)
    batches = lmcore.StreamBatches(task.train, spec.batch_size, spec.seq_len, seed)
    limit: dict[str, Any] = {"max_seconds": setting.seconds}
    if setting.seconds is None:
        limit = {"max_steps": max(1, (setting.epochs or 1) * len(batches))}
        steps = limit["max_steps"]
    else:
        steps = setting.seconds / _seconds_per_step(spec, task, batches, setting.device)
    config = lmcore.TrainConfig(
        **limit,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        eval_every=max(1, math.ceil(steps / setting.evaluations)),
        seed=seed,
        device=setting.device,
    )
    validation = lmcore.DocumentBatches(task.validation, task.tokenizer.pad_id)
    about = {"corpus": task.name, "corpus_sha256": task.sha256, "ladder": setting.name, "spec": asdict(spec)}
    run = lmcore.Trainer(model, batches, task.tokenizer, config, validation, about, log=log).fit()
    return model, thinned(run)


def _seconds_per_step(spec: Spec, task: Task, batches: lmcore.StreamBatches, device: str) -> float:
    """Of a model that is thrown away, after a step of warm-up; only to place the validations."""
    config = lmcore.TrainConfig(max_steps=min(CALIBRATION_STEPS, len(batches)), device=device)
    quiet = lmcore.Trainer(make_model(spec, task, 0), batches, task.tokenizer, config, log=lambda line: None)
    steps = quiet.fit().steps
    return (steps[-1]["seconds"] - steps[0]["seconds"]) / max(1, len(steps) - 1) or steps[0]["seconds"]


def thinned(run: lmcore.Run) -> lmcore.Run:
    every = max(1, len(run.steps) // KEPT_STEPS)
    kept = [s for s in run.steps if s["step"] <= WHOLE_STEPS or s["step"] % every == 0 or s is run.steps[-1]]
    return replace(run, steps=kept)


def generation_speed(model: nn.Module, task: Task, tokens: int) -> float:
    """Tokens per second, one text at a time, the state carried; the median of a few texts."""
    start_ids = [int(task.validation[0][0])]
    sampling = lmcore.Sampling(max_new_tokens=tokens, seed=0)
    seconds = []
    for _ in range(GENERATION_ROUNDS):
        start = time.perf_counter()
        lmcore.generate_ids(model, start_ids, sampling, eos_id=-1)
        seconds.append(time.perf_counter() - start)
    return tokens / median(seconds)
