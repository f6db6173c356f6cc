"""Greedy generation: the state carried from token to token, against reading the whole prefix again.

Both ways hold the same weights and must write the same tokens. Left out: batches of prompts.
"""

from dataclasses import asdict
from statistics import median
from typing import Any

import lmcore
from benchmarks import setting
from benchmarks.measure import interleave, new_record, say, spread, text_table
from benchmarks.reference import ReferenceLM, generate_by_rerunning
from benchmarks.ways import start_model

CARRIED, RERUN = "state carried", "prefix read again"
PROMPT = "The President"
ROUNDS = {64: 7, 256: 5, 1024: 1}  # the last takes about a minute the slow way
QUICK_ROUNDS = {2: 2, 8: 1}
NO_END = -1  # no token has this id, so that nothing ends early


def run(quick: bool) -> dict[str, Any]:
    sizes, data = setting.sizes(quick), setting.data(quick)
    model = start_model(sizes, data.tokenizer.pad_id).eval()
    slow = ReferenceLM(sizes.vocab_size, sizes.emb_dim, sizes.num_layers, data.tokenizer.pad_id)
    slow.load_state_dict(model.state_dict())
    prompt = data.tokenizer.encode_prompt(PROMPT)
    record = new_record("generation", quick, **asdict(sizes), prompt_tokens=len(prompt))
    record["lengths"] = []
    for new_tokens, rounds in (QUICK_ROUNDS if quick else ROUNDS).items():
        say(f"{new_tokens} tokens, {rounds} rounds")
        seconds = compare(model, slow, prompt, new_tokens, rounds)
        record["lengths"].append({"new_tokens": new_tokens, "seconds": seconds})
    return record


def compare(
    model: lmcore.RecurrentLM, slow: ReferenceLM, prompt: list[int], new_tokens: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each way, interleaved; raises RuntimeError if they write different tokens."""
    greedy = lmcore.Sampling(temperature=0.0, max_new_tokens=new_tokens)
    ways = {
        CARRIED: lambda: lmcore.generate_ids(model, prompt, greedy, NO_END),
        RERUN: lambda: generate_by_rerunning(slow, prompt, new_tokens),
    }
    lmcore.generate_ids(model, prompt, greedy, NO_END)  # warm-up of the short one; the other is long
    seconds, written = interleave(ways, rounds, warm_up=0)
    if any(tokens != written[CARRIED][0] for runs in written.values() for tokens in runs):
        raise RuntimeError(f"the two ways wrote different tokens within {new_tokens}")
    return seconds


def table(record: dict[str, Any]) -> str:
    rows = []
    for entry in record["lengths"]:
        new_tokens, seconds = entry["new_tokens"], entry["seconds"]
        rates = {way: [new_tokens / s for s in values] for way, values in seconds.items()}
        ratio = median(seconds[RERUN]) / median(seconds[CARRIED])
        cells = [spread(rates[way], digits=1) for way in (CARRIED, RERUN)]
        rows.append([f"{new_tokens:,}", *cells, f"{ratio:.1f}"])
    header = ["new tokens", f"{CARRIED}, tokens/s", f"{RERUN}, tokens/s", "times faster"]
    return text_table(header, rows)
