"""What each process of `test_distributed.py` runs: `python distributed_worker.py DOCUMENTS OUT`."""

import dataclasses
import json
import signal
import sys
from pathlib import Path

import small_runs
import torch

import lmcore
import lmcore.runs.snapshots
import lmcore.trainer
from lmcore.snapshot import write_snapshot

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


RESUMED = ("streams in parts", "sentences", "sampled")  # of small_runs, with dropout


def resume(folder: Path, world: lmcore.World) -> dict[str, bool]:
    """Whether a run that was stopped after each number of steps ended like one that was not."""
    equal = {}
    for case in RESUMED:
        whole = small_runs.make_trainer(case, world=world)
        whole.fit()
        expected = small_runs.outcome(whole)
        for step in range(1, 8):
            at = folder / case / str(step)
            small_runs.make_trainer(case, at, stop_after(step), world).fit()
            made = small_runs.make_trainer(case, at, world=world)
            made.fit()
            equal[f"{case}, {step}"] = small_runs.outcome(made) == expected
    return equal


def stop_after(step: int):
    """A ``watch`` that interrupts this process; only rank 0 calls it, and all have to stop."""

    def watch(kind: str, event: dict) -> None:
        if (kind, event["step"]) == ("step", step):
            signal.raise_signal(signal.SIGINT)

    lmcore.trainer.is_interactive = lambda: True
    return watch


def go_wrong(folder: Path, world: lmcore.World) -> dict:
    """Rank 1 cannot write its second snapshot; its part of the first is damaged afterwards."""

    def full(*_):
        raise OSError(28, "No space left on device")

    made = small_runs.make_trainer("lstm", folder, world=world)
    lmcore.runs.snapshots.write_snapshot = write_snapshot if world.is_first else _first_time(full)
    try:
        made.fit()
    except lmcore.SaveError as error:
        message = str(error)
    lmcore.runs.snapshots.write_snapshot = write_snapshot
    kept = sorted(path.name for path in (folder / "snapshots").iterdir())
    world.wait()
    if not world.is_first:
        part = folder / "snapshots" / "step-00000003.process-1.safetensors"
        part.write_bytes(part.read_bytes()[:-1])
    world.wait()
    try:
        small_runs.make_trainer("lstm", folder, world=world).fit()
    except lmcore.InputError as error:
        return {"save": message, "kept": kept, "resume": str(error)}
    return {}


def _first_time(then):
    """Write once, and from then on do something else."""
    calls = []

    def write(*arguments):
        calls.append(1)
        return (write_snapshot if len(calls) == 1 else then)(*arguments)

    return write


def main(documents: str, out: str) -> None:
    torch.set_num_threads(1)
    texts = json.loads(Path(documents).read_text(encoding="utf-8"))
    with lmcore.join_world() as world:
        result = {case: fit(texts, case, world) for case in CASES}
        result["score"] = score(texts, world)
        result["text"] = world.text_from_first("naïve ☃" if world.is_first else "")
        result["resume"] = resume(Path(out).parent / "runs", world)
        result["wrong"] = go_wrong(Path(out).parent / "wrong", world)
        result["texts"] = world.texts(f"from {world.rank} ☃")
        result["sum"] = world.sum([1, world.rank])
        Path(f"{out}.{world.rank}").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
