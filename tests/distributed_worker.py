"""What each process of `test_distributed.py` runs: `python distributed_worker.py DOCUMENTS OUT`."""

import dataclasses
import json
import sys
from pathlib import Path

import torch

import lmcore

CASES = {  # batches, batch size, accumulate
    "streams": ("streams", 4, 1),
    "streams in parts": ("streams", 4, 2),
    "sentences": ("sentences", 6, 1),
    "last batch of one row": ("sentences", 3, 1),  # 25 sentences: the other process has nothing to do
}


def fit(documents: list[str], case: str, world: lmcore.World) -> dict:
    kind, batch_size, accumulate = CASES[case]
    tokenizer = lmcore.train_char(documents)
    encoded = tokenizer.encode_documents(documents)
    torch.manual_seed(world.rank)  # only rank 0's start may count
    model = lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size=tokenizer.vocab_size, emb_dim=12)).double()
    if kind == "streams":
        batches = lmcore.StreamBatches(encoded[:25], batch_size, seq_len=8)
    else:
        batches = lmcore.SentenceBatches(encoded[:25], batch_size, 40, tokenizer.pad_id)
    held_out = lmcore.DocumentBatches(encoded[25:], tokenizer.pad_id, batch_size=3, seq_len=50)
    config = lmcore.TrainConfig(
        max_steps=20, max_seconds=1e6, eval_every=9, accumulate=accumulate, device="cpu"
    )
    saved = []
    trainer = lmcore.Trainer(
        model, batches, tokenizer, config, held_out, log=[].append, save=lambda: saved.append(1), world=world
    )
    run = trainer.fit()
    return {"run": dataclasses.asdict(run), "weight": model.layers[0].U.tolist(), "saved": len(saved)}


def score(documents: list[str], world: lmcore.World) -> dict:
    """An untrained model's evaluation with everything that is added up over the processes."""
    tokenizer = lmcore.train_char(documents)
    torch.manual_seed(0)
    model = lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size=tokenizer.vocab_size, emb_dim=12)).double()
    ids = tokenizer.encode_documents(documents[:5])  # the last batch has one row: one process has none
    batches = lmcore.DocumentBatches(ids, tokenizer.pad_id, batch_size=2, seq_len=50)
    text = (tokenizer.pad_id, tokenizer.token_bytes(), tokenizer.unk_id)
    return dataclasses.asdict(lmcore.evaluate(model, batches, *text, world, by_position=True))


def main(documents: str, out: str) -> None:
    torch.set_num_threads(1)
    texts = json.loads(Path(documents).read_text(encoding="utf-8"))
    with lmcore.join_world() as world:
        result = {case: fit(texts, case, world) for case in CASES}
        result["score"] = score(texts, world)
        result["text"] = world.text_from_first("naïve ☃" if world.is_first else "")
        result["sum"] = world.sum([1, world.rank])
        Path(f"{out}.{world.rank}").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
