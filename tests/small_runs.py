"""Tiny training runs, for tests on stopping, going on and faults; also for processes of their own."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import lmcore

DOCUMENTS = (Path(__file__).parent / "documents.txt").read_text(encoding="utf-8").split("\n\n")


@dataclass(frozen=True)
class Case:
    """What is trained, and on which batches; three or four batches are one epoch."""

    model: str = "elman"
    batches: str = "streams"
    accumulate: int = 1
    options: dict[str, Any] = field(default_factory=dict)  # of the model


CASES = {
    **{cell: Case(cell) for cell in lmcore.CELLS},
    "transformer": Case("transformer", options={"num_heads": 2, "context": 24}),
    "transformer, sentences": Case("transformer", "sentences", options={"num_heads": 2, "context": 24}),
    "sentences": Case("elman", "sentences"),
    "sentences in parts": Case("gru", "sentences", accumulate=2),
    "streams in parts": Case("lstm", accumulate=3),
    "sampled": Case(options={"output": "sampled"}),
    "adaptive": Case(options={"output": "adaptive"}),
    "variational, residual, tied": Case(
        "lstm", options={"variational": True, "residual": True, "tie_weights": True}
    ),
}


def make_model(case: Case, tokenizer: lmcore.Tokenizer) -> lmcore.RecurrentLM | lmcore.TransformerLM:
    shared = {"vocab_size": tokenizer.vocab_size, "emb_dim": 16, "dropout": 0.2, **case.options}
    if case.model == "transformer":
        return lmcore.TransformerLM(lmcore.GPTConfig(**shared))
    return lmcore.RecurrentLM(lmcore.RNNConfig(cell=case.model, **shared))


def make_trainer(
    case: Case | str = "elman", folder: Path | lmcore.RunFolder | None = None, watch=None, world=None, **train
) -> lmcore.Trainer:
    """A trainer of seven steps that validates every third; its log goes into a list."""
    case = CASES[case] if isinstance(case, str) else case
    tokenizer = lmcore.train_char(DOCUMENTS)
    encoded = tokenizer.encode_documents(DOCUMENTS)
    torch.manual_seed(5)
    model = make_model(case, tokenizer)
    if case.batches == "streams":
        batches = lmcore.StreamBatches(encoded[:4], batch_size=6, seq_len=20, seed=1)
    else:
        batches = lmcore.SentenceBatches(encoded[:25], 8, 30, tokenizer.pad_id, seed=1)
    assert len(batches) in (3, 4)
    train = {"max_steps": 7, "eval_every": 3, "device": "cpu", "accumulate": case.accumulate, **train}
    validation = lmcore.DocumentBatches(encoded[29:], tokenizer.pad_id)
    config = lmcore.TrainConfig(**train)
    return lmcore.Trainer(
        model, batches, tokenizer, config, validation,
        log=[].append, folder=folder, watch=watch, world=world,
    )  # fmt: skip


def history(run: lmcore.Run) -> dict[str, list]:
    """Everything that happened, but not when."""
    events = {name: asdict(run)[name] for name in ("steps", "validation", "samples")}
    return {
        name: [{key: value for key, value in event.items() if key != "seconds"} for event in found]
        for name, found in events.items()
    }


def outcome(trainer: lmcore.Trainer) -> dict[str, Any]:
    """History, weights, optimizer and random numbers of a run, as plain numbers and bytes."""
    moments = {
        f"{name}.{what}": value.numpy().tobytes()
        for name, parameter in trainer.model.named_parameters()
        for what, value in trainer.optimizer.state[parameter].items()
    }
    weights = {name: value.numpy().tobytes() for name, value in trainer.model.state_dict().items()}
    chance = torch.get_rng_state().numpy().tobytes()
    return {**history(trainer.run), "weights": weights, "moments": moments, "chance": chance}
