"""Sixty seconds of training an Elman network on the characters of one text (Tiny Shakespeare).

The first 90% of the text is for training, the rest for validation, which is read in one pass with the
state carried. Left out: other cells, which come with the chapters that derive them.
"""

import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

import lmcore
from benchmarks.measure import ROOT, new_record, text_table

TEXT = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"


@dataclass(frozen=True)
class Settings:
    """Found by short trials on the validation part."""

    width: int = 256
    num_layers: int = 1
    embedding_std: float = 0.3  # of a normal start; the recurrent matrix starts orthogonal
    batch_size: int = 32  # streams
    seq_len: int = 64  # time steps
    learning_rate: float = 1e-2
    weight_decay: float = 0.1
    seconds: float = 60.0  # of training
    seeds: tuple[int, ...] = (0, 1)


QUICK = Settings(width=8, batch_size=4, seq_len=16, seconds=0.2, seeds=(0,))


def run(quick: bool, path: Path = TEXT) -> dict[str, Any]:
    settings = QUICK if quick else Settings()
    record = new_record("chars", quick, **asdict(settings))
    if not path.exists():
        return {**record, "skipped": f"there is no text at {path}; give one with --text"}
    content = path.read_bytes()
    record["text"] = {"name": path.name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
    text = content.decode("utf-8")[: 20_000 if quick else None]
    record["runs"] = [train(text, settings, seed) for seed in settings.seeds]
    return record


def train(text: str, settings: Settings, seed: int) -> dict[str, Any]:
    """One run; returns its speed and its nats per character of the validation part."""
    tokenizer = lmcore.train_char([text])
    cut = len(text) * 9 // 10
    ids, held_out = (part[1:-1] for part in tokenizer.encode_documents([text[:cut], text[cut:]]))
    torch.manual_seed(seed)
    config = lmcore.RNNConfig(
        vocab_size=tokenizer.vocab_size,
        emb_dim=settings.width,
        num_layers=settings.num_layers,
        emb_std=settings.embedding_std,
    )
    model = lmcore.RecurrentLM(config)
    for layer in model.layers:
        nn.init.orthogonal_(layer.U)
    batches = lmcore.StreamBatches([ids], settings.batch_size, settings.seq_len, seed)
    how = lmcore.TrainConfig(
        max_seconds=settings.seconds,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        seed=seed,
        device="cpu",
    )
    start = time.perf_counter()
    steps = lmcore.Trainer(model, batches, tokenizer, how, log=lambda line: None).fit().steps
    seconds = time.perf_counter() - start
    one_pass = lmcore.DocumentBatches([held_out], tokenizer.pad_id)
    score = lmcore.evaluate(model, one_pass, tokenizer.pad_id)
    return {
        "seed": seed,
        "parameters": model.num_parameters,
        "seconds": seconds,
        "steps": len(steps),
        "characters": steps[-1]["tokens"],
        "nats_per_char": score.nats_per_token,
        "validation_characters": score.num_tokens,
    }


def table(record: dict[str, Any]) -> str:
    rows = [
        [
            f"Elman, seed {run['seed']}",
            f"{run['parameters']:,}",
            f"{run['seconds']:.1f}",
            f"{run['steps']:,}",
            f"{run['characters'] / run['seconds']:,.0f}",
            f"{run['nats_per_char']:.3f}",
        ]
        for run in record["runs"]
    ]
    return text_table(["run", "parameters", "seconds", "steps", "characters/s", "nats/char"], rows)
