"""Many prompts in one pass, against one prompt at a time: tokens per second.

64 prompts of unequal length and 256 new tokens for each, by untrained models of several kinds; what a token
costs does not depend on what it is. Greedy, drawn, and drawn from a nucleus, which needs the tokens sorted.
Left out: reading long prompts, and text (tokenizer, stop strings).
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

import lmcore
from benchmarks.measure import interleave, new_record, say, spread, text_table

NO_END = -1  # no token has this id, so that nothing ends early
WAYS = {
    "greedy": lmcore.Sampling(temperature=0.0),
    "drawn": lmcore.Sampling(temperature=0.8),
    "top-p 0.9": lmcore.Sampling(temperature=0.8, top_p=0.9),
}


@dataclass(frozen=True)
class Sizes:
    """What ``quick`` changes."""

    prompts: int = 64
    alone: int = 8  # of these prompts, as many one after the other: each takes as long as the next
    new_tokens: int = 256
    prompt_tokens: tuple[int, int] = (2, 33)  # from, and up to but not including
    rounds: int = 5
    shrink: int = 1  # divides vocabulary and width


QUICK = Sizes(prompts=3, alone=2, new_tokens=4, prompt_tokens=(1, 4), rounds=2, shrink=16)


def make_models(shrink: int) -> dict[str, torch.nn.Module]:
    """By name: the reference model, what `train` makes without options, and two of other kinds."""
    small, large = {"vocab_size": 8192 // shrink}, {"vocab_size": 32_011 // shrink}
    narrow, wide = {"emb_dim": 128 // shrink}, {"emb_dim": 512 // shrink}
    torch.manual_seed(0)
    return {
        "elman 2x128, V 32,011": lmcore.RecurrentLM(lmcore.RNNConfig(**large, **narrow)),
        "elman 2x128, V 8,192": lmcore.RecurrentLM(lmcore.RNNConfig(**small, **narrow)),
        "lstm 1x512, V 8,192": lmcore.RecurrentLM(
            lmcore.RNNConfig(**small, **wide, num_layers=1, cell="lstm")
        ),
        "transformer 2x128, V 8,192": lmcore.TransformerLM(lmcore.GPTConfig(**small, **narrow)),
    }


def make_prompts(sizes: Sizes, vocab_size: int) -> list[list[int]]:
    """Random tokens, of lengths that are spread evenly over the range, in random order."""
    draws = torch.Generator().manual_seed(1)
    low, high = sizes.prompt_tokens
    lengths = (torch.arange(sizes.prompts) % (high - low) + low)[
        torch.randperm(sizes.prompts, generator=draws)
    ]
    return [torch.randint(4, vocab_size, (n,), generator=draws).tolist() for n in lengths.tolist()]


def compare(model: torch.nn.Module, sampling: lmcore.Sampling, sizes: Sizes) -> dict[str, Any]:
    """Seconds of both ways, interleaved, and how many texts are the same token by token.

    Some may differ: a matrix product of many rows rounds otherwise than one of a single row, and untrained
    models have many near ties.
    """
    prompts = make_prompts(sizes, model.config.vocab_size)
    sampling = replace(sampling, max_new_tokens=sizes.new_tokens)

    def alone() -> list[list[int]]:
        return [
            lmcore.generate_ids(model, prompt, replace(sampling, seed=row), NO_END)
            for row, prompt in enumerate(prompts[: sizes.alone])
        ]

    def together() -> list[list[int]]:
        return lmcore.generate_batch_ids(model, prompts, sampling, NO_END)

    seconds, texts = interleave({"alone": alone, "together": together}, sizes.rounds)
    one, other = texts["alone"][0], texts["together"][0]
    same = sum(mine == yours for mine, yours in zip(one, other[: sizes.alone], strict=True))
    return {"seconds": seconds, "same_texts": same}


def run(quick: bool) -> dict[str, Any]:
    sizes = QUICK if quick else Sizes()
    record = new_record("batch", quick, **vars(sizes))
    record["models"] = []
    for name, model in make_models(sizes.shrink).items():
        for way, sampling in WAYS.items():
            say(f"{name}, {way}")
            entry = compare(model, sampling, sizes)
            record["models"].append({"model": name, "way": way, **entry})
    return record


def rates(entry: dict[str, Any], settings: dict[str, Any]) -> dict[str, list[float]]:
    """Tokens per second of each way, round by round."""
    texts = {"alone": settings["alone"], "together": settings["prompts"]}
    return {
        way: [texts[way] * settings["new_tokens"] / seconds for seconds in entry["seconds"][way]]
        for way in texts
    }


def table(record: dict[str, Any]) -> str:
    settings, rows = record["settings"], []
    for entry in record["models"]:
        found = rates(entry, settings)
        ratio = median(found["together"]) / median(found["alone"])
        same = f"{entry['same_texts']} of {settings['alone']}"
        shown = [spread(found[way], digits=0) for way in ("alone", "together")]
        rows.append([f"{entry['model']}, {entry['way']}", *shown, f"{ratio:.1f}", same])
    together = f"{settings['prompts']} together, tokens/s"
    return text_table(["model", "one at a time, tokens/s", together, "times", "same texts"], rows)
