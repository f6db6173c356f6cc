"""Counting models on the built-in corpus: seconds and memory to count, and quality against the order.

Each model is made in a process of its own that holds the token ids and nothing else. Quality is in bits per
byte on the validation documents; where a model holds a token impossible its loss is infinite, and the table
says how many tokens. Left out: test documents (the ladder has them), generation.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import lmcore
from benchmarks.measure import in_child, new_record, peak_bytes, say, text_table

SMOOTHINGS = {
    "maximum likelihood": lmcore.maximum_likelihood,
    "laplace": lmcore.laplace,
    "kneser-ney": lmcore.kneser_ney,
}
ORDERS, VOCAB_SIZE = (1, 2, 3, 4, 5), 8192
QUICK_ORDERS, QUICK_VOCAB_SIZE, QUICK_CHARACTERS = (1, 2), 400, 300
PARTS = ("train", "validation")


def run(quick: bool) -> dict[str, Any]:
    orders = QUICK_ORDERS if quick else ORDERS
    record = new_record("ngrams", quick, vocab_size=QUICK_VOCAB_SIZE if quick else VOCAB_SIZE, orders=orders)
    record["models"] = []
    with TemporaryDirectory() as folder:
        record["tokens"] = write_tokens(Path(folder), quick)
        for smoothing in SMOOTHINGS:
            for order in orders:
                setting = {"smoothing": smoothing, "order": order}
                found, _ = in_child("benchmarks.ngrams:measure", folder=folder, **setting)
                record["models"].append({**setting, **found})
                say(f"ngrams: {smoothing}, order {order}: {found['count_seconds']:.1f} s")
    return record


def write_tokens(folder: Path, quick: bool) -> dict[str, int]:
    """The ids of training and validation documents as arrays in files; returns how many there are."""
    corpus, characters = lmcore.builtin_corpus(), QUICK_CHARACTERS if quick else None
    texts = {part: [text[:characters] for text in getattr(corpus, part)] for part in PARTS}
    tokenizer = lmcore.train_bpe(texts["train"], QUICK_VOCAB_SIZE if quick else VOCAB_SIZE)
    np.save(folder / "token_bytes.npy", tokenizer.token_bytes())
    sizes = {}
    for part in PARTS:
        tokens = lmcore.Tokens.of(tokenizer.encode_documents(texts[part]))
        np.savez(folder / f"{part}.npz", ids=tokens.ids, starts=tokens.starts)
        sizes[part] = len(tokens.ids)
    return sizes


def measure(folder: str, smoothing: str, order: int) -> dict[str, Any]:
    """For a child process: make one model and score it."""
    train, validation = (_read(Path(folder) / f"{part}.npz") for part in PARTS)
    token_bytes = np.load(Path(folder) / "token_bytes.npy")
    lmcore.kneser_ney([train[0]], len(token_bytes), 2)  # libraries load parts of themselves late
    before = peak_bytes()
    start = time.perf_counter()
    model = SMOOTHINGS[smoothing](train, len(token_bytes), order)
    count_seconds = time.perf_counter() - start
    peak = peak_bytes()
    start = time.perf_counter()
    result, impossible = score(model, validation, token_bytes)
    return {
        "count_seconds": count_seconds,
        "before_bytes": before,
        "peak_bytes": peak,
        "score_seconds": time.perf_counter() - start,
        "num_ngrams": model.num_ngrams,
        "model_bytes": sum(buffer.nbytes for buffer in model.buffers()),
        "about": model.about,
        "impossible": impossible,
        "num_tokens": result.num_tokens,
        "perplexity": None if impossible else result.perplexity,
        "bits_per_byte": None if impossible else result.bits_per_byte,
    }


def _read(path: Path) -> lmcore.Tokens:
    with np.load(path) as arrays:
        return lmcore.Tokens(arrays["ids"], arrays["starts"])


@torch.no_grad()
def score(
    model: lmcore.NGramLM, documents: lmcore.Tokens, token_bytes: np.ndarray
) -> tuple[lmcore.Evaluation, int]:
    """The sums over whole documents, and how many tokens have probability 0."""
    total, num_tokens, num_bytes, impossible = 0.0, 0, 0, 0
    for document in documents:
        ids = torch.from_numpy(document).long()[None]
        nats, _ = model.target_nats(ids[:, :-1], ids[:, 1:])
        total += float(nats.sum())
        num_tokens += nats.numel()
        num_bytes += int(token_bytes[document[1:]].sum())
        impossible += int(nats.isinf().sum())
    return lmcore.Evaluation(total, num_tokens, num_bytes), impossible


def table(record: dict[str, Any]) -> str:
    rows = [
        [
            found["smoothing"],
            found["order"],
            f"{sum(found['num_ngrams']):,}",
            f"{found['count_seconds']:.2f}",
            f"{(found['peak_bytes'] - found['before_bytes']) / 1e6:,.0f}",
            f"{found['peak_bytes'] / 1e6:,.0f}",
            f"{found['score_seconds']:.2f}",
            f"{found['impossible'] / found['num_tokens']:.1%}",
            *(_number(found[name], digits) for name, digits in (("perplexity", 1), ("bits_per_byte", 3))),
        ]
        for found in record["models"]
    ]
    header = ["smoothing", "order", "n-grams", "count s", "MB above start", "peak MB", "score s"]
    header += ["impossible", "perplexity", "bits/byte"]
    return f"{record['tokens']['train']:,} training tokens\n{text_table(header, rows)}"


def _number(value: float | None, digits: int) -> str:
    return "infinite" if value is None else f"{value:,.{digits}f}"
