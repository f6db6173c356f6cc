"""Trains a few steps with one thread and with two: `python determinism_worker.py` prints JSON."""

import hashlib
import json

import small_runs
import torch

import lmcore


def train(threads: int) -> dict:
    """Losses to the last bit, and a hash of the weights; large enough for threads to share the work."""
    torch.set_num_threads(threads)
    tokenizer = lmcore.train_char(small_runs.DOCUMENTS)
    torch.manual_seed(2)
    config = lmcore.RNNConfig(vocab_size=1500, emb_dim=160, cell="lstm", dropout=0.2)
    batches = lmcore.StreamBatches(tokenizer.encode_documents(small_runs.DOCUMENTS), 24, 32, seed=2)
    trainer = lmcore.Trainer(
        lmcore.RecurrentLM(config), batches, tokenizer,
        lmcore.TrainConfig(max_steps=4, device="cpu", seed=2), log=[].append,
    )  # fmt: skip
    losses, note = [], trainer.ledger.note

    def note_exactly(step, result, learning_rate):
        losses.append(result.loss.item().hex())
        note(step, result, learning_rate)

    trainer.ledger.note = note_exactly
    trainer.fit()
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in trainer.model.parameters()))
    return {"threads": torch.get_num_threads(), "losses": losses, "weights": digest.hexdigest()}


if __name__ == "__main__":
    print(json.dumps([train(threads) for threads in (1, 2)]))
