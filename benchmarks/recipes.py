"""Two recipes for training the reference model, and the two pieces of code that can follow either."""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

import lmcore
from benchmarks import setting
from benchmarks.reference import ReferenceLM, endless, reference_loss


@dataclass(frozen=True)
class Recipe:
    """How to train, whatever the code: batch size, start, and settings of `lmcore.TrainConfig`."""

    name: str
    batch_size: int  # sentences
    start_from_frequencies: bool  # output bias at unigram log-frequencies; else zero
    embedding_std: float | None  # of a normal start; None: Xavier, which gives 0.008 at this vocabulary
    learning_rate: float  # at its peak
    warmup: float
    final_learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    clip_norm: float
    negatives: int | None = None  # of a sampled softmax in training; None: the exact loss

    def config(self, max_steps: int | None, max_seconds: float | None) -> lmcore.TrainConfig:
        own = {"name", "batch_size", "start_from_frequencies", "embedding_std", "negatives"}
        names = set(asdict(self)) - own
        settings = {name: getattr(self, name) for name in names}
        return lmcore.TrainConfig(
            max_steps=max_steps, max_seconds=max_seconds, device="cpu", seed=0, **settings
        )


PLAIN = Recipe(  # AdamW as torch gives it, a constant rate, no clipping
    name="reference recipe",
    batch_size=128,
    start_from_frequencies=False,
    embedding_std=None,
    learning_rate=1e-3,
    warmup=0.0,
    final_learning_rate=1.0,
    betas=(0.9, 0.999),
    weight_decay=0.01,
    clip_norm=1e9,
)
FAST = Recipe(
    name="lmcore's recipe",
    batch_size=24,
    start_from_frequencies=True,
    embedding_std=0.4,
    learning_rate=7e-3,
    warmup=0.2,
    final_learning_rate=0.02,
    betas=(0.9, 0.99),
    weight_decay=0.01,
    clip_norm=1.0,
)
SAMPLED = replace(
    FAST,
    name="lmcore's recipe, sampled",
    batch_size=64,
    embedding_std=0.2,
    warmup=0.1,
    negatives=1024,
)


@dataclass(frozen=True)
class Task:
    """Sentences as text and as ids, and what preparing the ids took."""

    data: setting.Data
    sizes: setting.Sizes
    train: list[np.ndarray]
    held_out: list[lmcore.Batch]
    log_probs: torch.Tensor  # unigram
    preparation_seconds: float  # tokenising the training sentences and counting them, once

    def epoch_steps(self, recipe: Recipe) -> int:
        return -(-len(self.train) // recipe.batch_size)

    def start(self, recipe: Recipe) -> lmcore.RecurrentLM:
        model = setting.new_model(self.sizes, self.data.tokenizer.pad_id)
        if recipe.negatives:
            model = lmcore.RecurrentLM(replace(model.config, output="sampled"))
            model.output.negatives = recipe.negatives
        if recipe.start_from_frequencies:
            model.start_from_frequencies(self.log_probs)
        if recipe.embedding_std:
            with torch.no_grad():
                model.embedding.weight.normal_(std=recipe.embedding_std)
                model.embedding.weight[self.data.tokenizer.pad_id].zero_()
        return model


def prepare(quick: bool) -> Task:
    data, sizes = setting.data(quick), setting.sizes(quick)
    start = time.perf_counter()
    train = data.tokenizer.encode_documents(data.train)
    log_probs = lmcore.UnigramLM([ids[: sizes.seq_len] for ids in train], sizes.vocab_size).log_probs
    seconds = time.perf_counter() - start
    held_out = data.tokenizer.encode_documents(data.validation)
    batches = lmcore.SentenceBatches(held_out, 64, sizes.seq_len, data.tokenizer.pad_id)
    return Task(data, sizes, train, list(batches.epoch(0)), log_probs, seconds)


def train_lmcore(
    task: Task, recipe: Recipe, max_steps: int | None, max_seconds: float | None
) -> tuple[lmcore.RecurrentLM, dict[str, Any]]:
    """Train with `lmcore.Trainer`; returns the model, and seconds, steps and predictions."""
    model, pad_id = task.start(recipe), task.data.tokenizer.pad_id
    start = time.perf_counter()
    batches = lmcore.SentenceBatches(task.train, recipe.batch_size, task.sizes.seq_len, pad_id)
    config = recipe.config(max_steps, max_seconds)
    trainer = lmcore.Trainer(model, batches, task.data.tokenizer, config, log=lambda line: None)
    steps = trainer.fit().steps
    seconds = time.perf_counter() - start
    return model, {"seconds": seconds, "steps": len(steps), "predictions": steps[-1]["tokens"]}


def train_reference(task: Task, recipe: Recipe, max_steps: int) -> tuple[lmcore.RecurrentLM, dict[str, Any]]:
    """The same with the reference code; its weights come back in a RecurrentLM, for one evaluation."""
    torch.set_flush_denormal(False)  # `lmcore.Trainer` may have turned it on
    model, sizes, pad_id = task.start(recipe), task.sizes, task.data.tokenizer.pad_id
    slow = ReferenceLM(sizes.vocab_size, sizes.emb_dim, sizes.num_layers, pad_id)
    slow.load_state_dict(model.state_dict())
    config = recipe.config(max_steps, None)
    optimizer = torch.optim.AdamW(slow.parameters(), betas=config.betas, weight_decay=config.weight_decay)
    batches = endless(task.data.train, task.data.tokenizer, sizes.seq_len, recipe.batch_size)
    predictions, start = 0, time.perf_counter()
    for step in range(1, max_steps + 1):
        inputs, targets = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = lmcore.learning_rate_at(step / max_steps, config)
        optimizer.zero_grad()
        reference_loss(slow, inputs, targets, pad_id).backward()
        if recipe != PLAIN:
            nn.utils.clip_grad_norm_(slow.parameters(), config.clip_norm)
        optimizer.step()
        predictions += int((targets != pad_id).sum())
    seconds = time.perf_counter() - start
    model.load_state_dict(slow.state_dict())
    return model, {"seconds": seconds, "steps": max_steps, "predictions": predictions}
