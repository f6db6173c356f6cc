"""Train the models of the playground, if that is not done yet, and write the files of its page.

    python scripts/export_playground.py            some minutes per network on two cores
    python scripts/export_playground.py --quick    tiny, into runs/playground_quick: to see that it runs

A network is trained in runs/playground/NAME; what was interrupted there goes on, what is finished is taken as
it is. The files of the page go to book/_static/playground/models, the records to book/records/playground:
one per training, and export.json with what was measured of the rounded models, which the page quotes.
"""

import argparse
import gzip
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lmcore
from lmcore.record import environment

ROOT = Path(__file__).resolve().parent.parent
CELLS = ("gru", "lstm", "elman")  # the page begins with the first
PROMPT = "The President"
LIMIT = 4_000_000  # bytes of all files as a server sends them, compressed
COMPARED_TOKENS, SHOWN_TOKENS = 1000, 8
EMB_STD = 0.05  # of the tied matrix, at the start


@dataclass(frozen=True)
class Plan:
    """Sizes, and how to train; the same for every network."""

    vocab_size: int = 2048
    emb_dim: int = 144  # 12 by 12 units in the picture of the state
    num_layers: int = 2
    order: int = 4  # of the n-grams
    ngrams: int = 100_000  # kept of them, those of one token not counted
    epochs: int = 3
    batch_size: int = 32  # streams
    seq_len: int = 64
    learning_rate: float = 4e-3  # at its peak
    seed: int = 0
    characters: int | None = None  # of the first document of each part, and nothing else; None: everything


QUICK = Plan(vocab_size=300, emb_dim=16, order=3, ngrams=50, epochs=1, batch_size=4, characters=6_000)


@dataclass(frozen=True)
class Task:
    """The built-in corpus as token ids."""

    tokenizer: lmcore.Tokenizer
    train: list[np.ndarray]
    validation: list[np.ndarray]
    sha256: str  # of the corpus

    @classmethod
    def read(cls, plan: Plan) -> "Task":
        corpus = lmcore.builtin_corpus()
        parts = [list(corpus.train), list(corpus.validation)]
        if plan.characters:
            parts = [[texts[0][: plan.characters]] for texts in parts]
        tokenizer = lmcore.train_bpe(parts[0], plan.vocab_size)
        return cls(tokenizer, *map(tokenizer.encode_documents, parts), corpus.sha256)

    def evaluate(self, model: torch.nn.Module) -> lmcore.Evaluation:
        """Whole documents, the state carried."""
        batches = lmcore.DocumentBatches(self.validation, self.tokenizer.pad_id)
        return lmcore.evaluate(model, batches, self.tokenizer.pad_id, self.tokenizer.token_bytes())


def train(cell: str, plan: Plan, task: Task, folder: Path) -> tuple[lmcore.RecurrentLM, lmcore.Run]:
    """The finished network of a folder; trained there, unless that is done."""
    torch.manual_seed(plan.seed)
    sizes = {name: getattr(plan, name) for name in ("vocab_size", "emb_dim", "num_layers")}
    own = {"cell": cell, "tie_weights": True, "emb_std": EMB_STD, "pad_id": task.tokenizer.pad_id}
    model = lmcore.RecurrentLM(lmcore.RNNConfig(**sizes, **own))
    model.start_from_frequencies(lmcore.UnigramLM(task.train, plan.vocab_size).log_probs)
    batches = lmcore.StreamBatches(task.train, plan.batch_size, plan.seq_len, plan.seed)
    config = lmcore.TrainConfig(
        max_steps=plan.epochs * len(batches),
        eval_every=len(batches),
        learning_rate=plan.learning_rate,
        prompts=(PROMPT,),
        seed=plan.seed,
    )
    validation = lmcore.DocumentBatches(task.validation, task.tokenizer.pad_id)
    about = {"corpus": "sotu", "corpus_sha256": task.sha256}
    trainer = lmcore.Trainer(model, batches, task.tokenizer, config, validation, about, folder=folder)
    run = trainer.fit()
    every = max(1, len(run.steps) // 400)
    steps = [step for step in run.steps if step["step"] % every == 0 or step is run.steps[-1]]
    return lmcore.load_checkpoint(folder).model, replace(run, steps=steps)


def largest_change(model: torch.nn.Module, rounded: torch.nn.Module, task: Task) -> float:
    """By how much float16 moves a logit at most, over the first tokens of the validation text."""
    ids = torch.from_numpy(task.validation[0][:COMPARED_TOKENS].astype(np.int64))[None]
    with torch.inference_mode():
        return float((model(ids)[0] - rounded(ids)[0]).abs().max())


def example(name: str, model: torch.nn.Module, tokenizer: lmcore.Tokenizer) -> dict[str, Any]:
    """What readers without JavaScript see: the likeliest next tokens, and a text."""
    with torch.inference_mode():
        logits, _ = model(torch.tensor([tokenizer.encode_prompt(PROMPT)]))
    likeliest = logits[0, -1].softmax(dim=-1).topk(SHOWN_TOKENS)
    tokens = tokenizer.tokens(likeliest.indices.tolist())
    pairs = zip(tokens, likeliest.values.tolist(), strict=True)
    sampling = lmcore.Sampling(temperature=0.8, max_new_tokens=40, seed=0)
    return {
        "model": name,
        "prompt": PROMPT,
        "next": [{"token": token, "probability": probability} for token, probability in pairs],
        "text": lmcore.generate(model, tokenizer, PROMPT, sampling),
    }


def export(models: dict[str, torch.nn.Module], task: Task, folder: Path) -> dict[str, Any]:
    """Write the files of the page; returns what was measured of them."""
    lmcore.export_playground(folder, task.tokenizer, models)
    rounded = lmcore.load_playground(folder)
    measured: dict[str, Any] = {}
    for name, model in models.items():
        score, before = task.evaluate(rounded[name]), task.evaluate(model)
        content = (folder / f"{name}.bin").read_bytes()
        measured[name] = {
            "numbers": sum(t.numel() for t in [*rounded[name].parameters(), *rounded[name].buffers()]),
            "bytes": len(content),
            "compressed_bytes": len(gzip.compress(content, mtime=0)),
            "nats_per_token": score.nats_per_token,
            "bits_per_byte": score.bits_per_byte,
            "unrounded_bits_per_byte": before.bits_per_byte,
            "largest_logit_change": largest_change(model, rounded[name], task),
        }
    about = {name: {"bits_per_byte": own["bits_per_byte"]} for name, own in measured.items()}
    lmcore.export_playground(folder, task.tokenizer, models, about)
    sent = sum(len(gzip.compress(path.read_bytes(), mtime=0)) for path in folder.iterdir())
    if sent > LIMIT:
        raise lmcore.InputError(f"the files have {sent:,} bytes compressed; {LIMIT:,} is the limit")
    stored = sum(path.stat().st_size for path in folder.iterdir())
    shown = example(CELLS[0], rounded[CELLS[0]], task.tokenizer)
    return {"models": measured, "bytes": stored, "compressed_bytes": sent, "example": shown}


def build(plan: Plan, page: Path, records: Path, runs: Path) -> None:
    head = {"settings": asdict(plan), "environment": environment(torch.device("cpu"))}  # before files change
    task = Task.read(plan)
    models: dict[str, torch.nn.Module] = {}
    for cell in CELLS:
        models[cell], run = train(cell, plan, task, runs / cell)
        run.save(records / f"{cell}.json")
    counted = lmcore.kneser_ney(task.train, plan.vocab_size, plan.order)
    models["ngram"] = lmcore.prune(counted, task.train, plan.ngrams)
    measured = export(models, task, page)
    measured["unpruned_bits_per_byte"] = task.evaluate(counted).bits_per_byte
    text = json.dumps({**head, **measured}, indent=1, ensure_ascii=False)
    (records / "export.json").write_text(text + "\n", encoding="utf-8")
    for name, own in measured["models"].items():
        print(f"{name}: {own['bytes']:,} bytes, {own['bits_per_byte']:.3f} bits per byte")
    print(f"{measured['compressed_bytes']:,} bytes compressed, in {page}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny, into runs/playground_quick")
    parser.add_argument("--epochs", type=int, default=Plan.epochs, help="passes over the training text")
    parser.add_argument("--out", type=Path, help="a folder for everything, instead of the book's")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else Plan(epochs=options.epochs)
    folders = (
        ROOT / "book" / "_static" / "playground" / "models",
        ROOT / "book" / "records" / "playground",
        ROOT / "runs" / "playground",
    )
    out = options.out or (ROOT / "runs" / "playground_quick" if options.quick else None)
    if out is not None:
        folders = (out / "models", out / "records", out / "runs")
    try:
        build(plan, *folders)
    except lmcore.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
