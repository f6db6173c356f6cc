"""Scheduled sampling against teacher forcing: the same start, batches and tokens; only the inputs differ.

    python -m benchmarks.scheduled_sampling [--out DIR] [--quick]

A share of the inputs that grows during training is replaced by tokens which the model draws itself (Bengio
et al. 2015), or, as a control, by tokens drawn by frequency. The targets stay the real ones. Each run is
kept as soon as it is done, and one that the record holds is not done again. Left out: greedy own tokens
(chapter 9 has them), other cells, the validation curve on the way.
"""

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

import lmcore
from benchmarks.free_running import Contexts, Lengths, distinct_in_real_text, exposure, own_text
from benchmarks.measure import ROOT, headline, new_record, save, say, text_table
from benchmarks.vocabulary import Text, read_text
from lmcore.step import Step

NAME = "scheduled_sampling"


@dataclass(frozen=True)
class Settings:
    vocab_size: int = 8192
    width: int = 128
    num_layers: int = 1  # Elman
    embedding_std: float = 0.05  # of a normal start; the output layer is tied to it
    batch_size: int = 32  # streams
    seq_len: int = 32
    steps: int = 1100  # half a pass
    learning_rate: float = 3e-3
    seeds: tuple[int, ...] = (0, 1, 2)
    characters: int | None = None  # of each document; None: all
    lengths: Lengths = field(default_factory=Lengths)


QUICK = Settings(
    vocab_size=400,
    width=16,
    batch_size=2,
    seq_len=8,
    steps=4,
    seeds=(0, 1),
    characters=600,
    lengths=Lengths(contexts=5, context=12, scored=4, replaced=4, given=4, written=12, entropy_over=4),
)


def never(steps: int) -> Callable[[int], float]:
    """No input is replaced: teacher forcing."""
    return lambda step: 0.0


def linear(steps: int) -> Callable[[int], float]:
    """The share rises evenly to one half in the last step."""
    return lambda step: step / steps / 2


def inverse_sigmoid(steps: int) -> Callable[[int], float]:
    """1 - k / (k + exp(step / k)), with the k that gives one half in the last step: k ln k = steps.

    Bengio et al. (2015) name it so after the share of true tokens. It rises late and then fast.
    """
    low, high = 1.0, steps + 1.0
    for _ in range(60):
        k = (low + high) / 2
        low, high = (k, high) if k * math.log(k) < steps else (low, k)
    return lambda step: 1 - k / (k + math.exp(step / k))


@dataclass(frozen=True)
class Way:
    schedule: Callable[[int], Callable[[int], float]]  # number of steps -> (step -> share replaced)
    own: bool = True  # by the model's draws; else by tokens drawn by frequency


WAYS = {
    "teacher forcing": Way(never),
    "own tokens, linear": Way(linear),
    "own tokens, inverse sigmoid": Way(inverse_sigmoid),
    "random tokens, linear": Way(linear, own=False),
}


@torch.no_grad()
def with_own_tokens(
    model: lmcore.RecurrentLM,
    inputs: Tensor,
    state: Any,
    chosen: Tensor,
    draw: Callable[[Tensor], Tensor],
) -> Tensor:
    """Inputs (B, T) in which each chosen place (B, T) holds the model's own token for that place.

    ``draw`` makes tokens (n,) of logits (n, V). A place sees what was fed before it, own tokens included.
    Column 0 cannot be chosen: what the model would say there was left behind with the window before.
    """
    mixed = inputs.clone()
    for t in range(1, inputs.shape[1]):
        hidden, state = model.hidden(mixed[:, t - 1 : t], state)  # (B, 1, D)
        rows = chosen[:, t]
        if rows.any():
            mixed[rows, t] = draw(model.output(hidden[rows, 0]))
    return mixed


def train(way: Way, seed: int, text: Text, settings: Settings) -> tuple[lmcore.RecurrentLM, float]:
    """One run; returns the model and the seconds of training. Chance is the same for all ways of a seed."""
    model = make_model(text, settings, seed)
    batches = lmcore.StreamBatches(text.train, settings.batch_size, settings.seq_len, seed)
    config = lmcore.TrainConfig(
        max_steps=settings.steps, learning_rate=settings.learning_rate, seed=seed, device="cpu"
    )
    step = Step(model.train(), config, text.tokenizer.pad_id, torch.device("cpu"), lmcore.World())
    share, frequencies = way.schedule(settings.steps), text.log_probs.exp()
    torch.set_flush_denormal(True)  # this and the next line as lmcore.Trainer has them
    torch.manual_seed(seed)
    draws, states = torch.Generator().manual_seed(seed), None

    def draw(logits: Tensor) -> Tensor:
        points = torch.rand(len(logits), dtype=torch.float64, generator=draws)
        return lmcore.draw_rows(logits.softmax(dim=-1), points)

    start = time.perf_counter()
    for number, batch in zip(range(1, settings.steps + 1), endless(batches), strict=False):
        chosen = torch.rand(batch.inputs.shape, generator=draws) < share(number)
        chosen[:, 0] = False
        inputs = batch.inputs
        if way.own and chosen.any():
            state = states[0] if states is not None and batch.carries_state else None
            inputs = with_own_tokens(model, inputs, state, chosen, draw)
        elif chosen.any():
            noise = torch.multinomial(frequencies, inputs.numel(), replacement=True, generator=draws)
            inputs = torch.where(chosen, noise.view_as(inputs), inputs)
        rate = lmcore.learning_rate_at(number / settings.steps, config)
        states = step(batch._replace(inputs=inputs), states, rate).states
    return model.eval(), time.perf_counter() - start


def make_model(text: Text, settings: Settings, seed: int) -> lmcore.RecurrentLM:
    torch.manual_seed(seed)
    config = lmcore.RNNConfig(
        vocab_size=text.tokenizer.vocab_size,
        emb_dim=settings.width,
        num_layers=settings.num_layers,
        output="sampled",  # in training only: the scores are exact
        tie_weights=True,
        emb_std=settings.embedding_std,
        pad_id=text.tokenizer.pad_id,
    )
    model = lmcore.RecurrentLM(config)
    model.start_from_frequencies(text.log_probs)
    return model


def endless(batches: lmcore.StreamBatches) -> Iterator[lmcore.Batch]:
    for number in itertools.count():
        yield from batches.epoch(number)


def measure(name: str, seed: int, text: Text, settings: Settings, contexts: Contexts) -> dict[str, Any]:
    """One run and its scores on the validation text."""
    model, seconds = train(WAYS[name], seed, text, settings)
    pad_id = text.tokenizer.pad_id
    batches = lmcore.DocumentBatches(text.validation, pad_id)
    score = lmcore.evaluate(model, batches, pad_id, text.tokenizer.token_bytes())
    return {
        "way": name,
        "seed": seed,
        "seconds": seconds,
        "tokens": settings.steps * settings.batch_size * settings.seq_len,
        "parameters": model.num_parameters,
        "nats_per_token": score.nats_per_token,
        "bits_per_byte": score.bits_per_byte,
        "exposure": exposure(model, contexts),
        **own_text(model, contexts),
    }


def fill(path: Path, quick: bool) -> dict[str, Any]:
    """Do the runs that the record at ``path`` lacks, seed by seed, and keep it after each."""
    settings = QUICK if quick else Settings()
    text = read_text(settings.vocab_size, settings.characters)
    contexts = Contexts.cut(text.validation, settings.lengths)
    record = new_record(NAME, quick, **json.loads(json.dumps(asdict(settings))))
    commit = record["environment"]["commit"]
    record |= {"finished": False, "distinct_in_real_text": distinct_in_real_text(contexts), "runs": []}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] == record["settings"]:
            record = kept
    for seed, name in itertools.product(settings.seeds, WAYS):
        if any((run["way"], run["seed"]) == (name, seed) for run in record["runs"]):
            say(f"{name}, seed {seed}: the record has it")
            continue
        run = {**measure(name, seed, text, settings, contexts), "commit": commit}
        record["runs"].append(run)
        say(f"{name}, seed {seed}: {run['seconds']:.0f} s, {run['nats_per_token']:.3f} nats/token")
        save(record, path)
    record["finished"] = True
    save(record, path)
    return record


def table(record: dict[str, Any]) -> str:
    """Means over the seeds."""
    header = [
        "fed in training",
        "s",
        "nats/token",
        "own prefix",
        "other prefix",
        "entropy",
        "distinct 4-grams",
    ]
    rows = []
    for name in WAYS:
        runs = [run for run in record["runs"] if run["way"] == name]
        if not runs:
            continue
        rises = [mean(run["exposure"][prefix][0] for run in runs) for prefix in ("own", "other")]
        drift = mean(run["entropy"]["drawn minus real"][0] for run in runs)
        shares = [mean(run["distinct"][way]["4"] for run in runs) for way in ("drawn", "greedy")]
        rows.append(
            [
                name,
                f"{mean(run['seconds'] for run in runs):.0f}",
                f"{mean(run['nats_per_token'] for run in runs):.3f}",
                *(f"{rise:+.3f}" for rise in rises),
                f"{drift:+.3f}",
                " ".join(f"{share:.3f}" for share in shares),
            ]
        )
    notes = (
        "prefix: rise over the real one; entropy: on drawn text minus on real text; distinct: drawn, greedy"
    )
    return f"{text_table(header, rows)}\n{notes}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help=f"folder of the record (default: book/records/{NAME})")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    options = parser.parse_args(arguments)
    folder = options.out or ROOT / (f"runs/{NAME}_quick" if options.quick else f"book/records/{NAME}")
    record = fill(folder / "record.json", options.quick)
    print(f"{headline(record)}\n{table(record)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
