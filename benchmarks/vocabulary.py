"""Output layers for large vocabularies: what a step costs, where its time goes, what is learnt.

Six variants of one model (d 128, 2 Elman layers, streams of 32 × 32) on the built-in corpus, at three
sizes of vocabulary. Quality at the largest: validation loss after the same seconds of training, and
after the same steps. Left out: GPUs, where the balance is another one.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import lmcore
from benchmarks.measure import in_child, interleave, new_record, peak_bytes, say, spread, text_table
from benchmarks.outputs import (
    BATCH_SIZE,
    EMB_DIM,
    NUM_LAYERS,
    PIECES,
    SEQ_LEN,
    VARIANTS,
    Stepper,
    make_model,
)


@dataclass(frozen=True)
class Sizes:
    """What ``quick`` changes."""

    vocab_sizes: tuple[int, ...] = (2048, 8192, 32_011)
    rounds: int = 5
    budget_seconds: float = 45.0
    budget_steps: int = 150
    characters: int | None = None  # of each document; None: all


QUICK = Sizes((400,), rounds=2, budget_seconds=0.2, budget_steps=3, characters=300)


@dataclass
class Text:
    """The built-in corpus under one tokenizer."""

    tokenizer: lmcore.Tokenizer
    train: list[np.ndarray]
    validation: list[np.ndarray]
    log_probs: Tensor  # (V,) of the training text

    def batches(self) -> lmcore.StreamBatches:
        return lmcore.StreamBatches(self.train, BATCH_SIZE, SEQ_LEN)


def read_text(vocab_size: int, characters: int | None) -> Text:
    corpus = lmcore.builtin_corpus()
    train, validation = ([text[:characters] for text in part] for part in (corpus.train, corpus.validation))
    tokenizer = lmcore.train_bpe(train, vocab_size)
    ids = [tokenizer.encode_documents(part) for part in (train, validation)]
    return Text(tokenizer, *ids, lmcore.UnigramLM(ids[0], tokenizer.vocab_size).log_probs)


def memory_of_steps(name: str, folder: str) -> dict[str, int]:
    """For a child process: its peak before the first step, and its number of parameters."""
    torch.set_flush_denormal(True)
    log_probs = torch.from_numpy(np.load(f"{folder}/log_probs.npy"))
    batches = lmcore.StreamBatches([np.load(f"{folder}/ids.npy")], BATCH_SIZE, SEQ_LEN)
    stepper = Stepper(name, log_probs, batches)
    before = peak_bytes()
    for _ in range(3):
        stepper.step()
    return {"before_bytes": before, "parameters": stepper.model.num_parameters}


def measure_memory(text: Text) -> dict[str, dict[str, int]]:
    """Peak bytes of three steps of each variant, in a process of its own."""
    with TemporaryDirectory() as folder:
        few = np.concatenate(text.train)[: 10 * BATCH_SIZE * SEQ_LEN]
        np.save(Path(folder) / "ids.npy", few)
        np.save(Path(folder) / "log_probs.npy", text.log_probs.numpy())
        found = {}
        for name in VARIANTS:
            result, peak = in_child("benchmarks.vocabulary:memory_of_steps", name=name, folder=folder)
            found[name] = {**result, "peak_bytes": peak}
    return found


def measure_steps(text: Text, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds of interleaved steps of every variant, whole and by pieces."""
    steppers = {name: Stepper(name, text.log_probs, text.batches()) for name in VARIANTS}
    seconds, pieces = interleave({name: s.step for name, s in steppers.items()}, rounds, warm_up=2)
    return {
        name: {
            "seconds": seconds[name],
            "pieces": {piece: [entry[piece] for entry in pieces[name]] for piece in PIECES},
        }
        for name in VARIANTS
    }


def train(name: str, text: Text, **budget: Any) -> dict[str, Any]:
    """Train one variant within a budget and score it, exactly, on the validation text."""
    model = make_model(name, text.log_probs)
    config = lmcore.TrainConfig(device="cpu", **budget)
    run = lmcore.Trainer(model, text.batches(), text.tokenizer, config, log=say).fit()
    result = score(model, text)
    last = run.steps[-1]
    say(f"{name}: {last['step']:,} steps in {last['seconds']:.0f} s, {result}")
    return {"variant": name, "steps": last["step"], "seconds": last["seconds"], **_figures(result)}


def score(model: nn.Module, text: Text) -> lmcore.Evaluation:
    pad_id = text.tokenizer.pad_id
    batches = lmcore.DocumentBatches(text.validation, pad_id)
    return lmcore.evaluate(model, batches, pad_id, text.tokenizer.token_bytes())


def _figures(result: lmcore.Evaluation) -> dict[str, float | None]:
    names = ("nats_per_token", "perplexity", "bits_per_byte")
    return {name: getattr(result, name) for name in names}


def run(quick: bool) -> dict[str, Any]:
    sizes = QUICK if quick else Sizes()
    torch.set_flush_denormal(True)
    record = new_record(
        "vocabulary",
        quick,
        emb_dim=EMB_DIM,
        num_layers=NUM_LAYERS,
        batch_size=BATCH_SIZE,
        seq_len=SEQ_LEN,
        budget_seconds=sizes.budget_seconds,
        budget_steps=sizes.budget_steps,
    )
    record["steps"] = []
    for vocab_size in sizes.vocab_sizes:
        text = read_text(vocab_size, sizes.characters)
        say(f"vocabulary of {vocab_size:,}: steps")
        memory, steps = measure_memory(text), measure_steps(text, sizes.rounds)
        record["steps"] += [
            {"vocab_size": vocab_size, "variant": name, **memory[name], **steps[name]} for name in VARIANTS
        ]
    unigram = lmcore.UnigramLM(text.train, text.tokenizer.vocab_size)
    record["unigram"] = _figures(score(unigram, text))  # under the largest vocabulary, as all below
    record["same_seconds"] = [train(name, text, max_seconds=sizes.budget_seconds) for name in VARIANTS]
    # whole logits and chunks are the same numbers, step for step: once is enough
    names = [name for name in VARIANTS if name != "whole logits"]
    record["same_steps"] = [train(name, text, max_steps=sizes.budget_steps) for name in names]
    return record


def table(record: dict[str, Any]) -> str:
    return "\n\n".join([_step_table(record), _quality_table(record)])


def _step_table(record: dict[str, Any]) -> str:
    header = ["output layer", "V", "parameters", "ms/step (range)", *(f"{p}, ms" for p in PIECES), "MiB"]
    rows = [
        [
            entry["variant"],
            f"{entry['vocab_size']:,}",
            f"{entry['parameters']:,}",
            spread(entry["seconds"], 1e-3, 1),
            *(f"{1e3 * np.median(entry['pieces'][piece]):,.1f}" for piece in PIECES),
            f"{(entry['peak_bytes'] - entry['before_bytes']) / 2**20:,.0f}",
        ]
        for entry in record["steps"]
    ]
    return text_table(header, rows) + "\nMiB: peak memory of the step beyond the model and the data"


def _quality_table(record: dict[str, Any]) -> str:
    header = ["output layer", "steps", "seconds", "perplexity", "bits/byte"]
    start = record["unigram"]
    rows = [["unigram", 0, 0, f"{start['perplexity']:,.1f}", f"{start['bits_per_byte']:.3f}"]]
    parts = []
    for key, title in (("same_seconds", "same seconds"), ("same_steps", "same steps")):
        trained = [
            [
                entry["variant"],
                f"{entry['steps']:,}",
                f"{entry['seconds']:.1f}",
                f"{entry['perplexity']:,.1f}",
                f"{entry['bits_per_byte']:.3f}",
            ]
            for entry in record[key]
        ]
        parts.append(f"{title}, validation text\n{text_table(header, rows + trained)}")
    return "\n\n".join(parts)
