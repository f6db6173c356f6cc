"""The reference step in several ways, side by side: predictions/s, peak memory, share of the GEMM roofline.

A step is the whole of it: make the batch, forward, loss, backward, optimizer. Every way starts from the
same weights and sees the same sentences, and the losses of the first batch must agree.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import lmcore
from benchmarks import setting
from benchmarks.measure import in_child, interleave, matmul, new_record, say, spread, text_table
from benchmarks.setting import Sizes
from benchmarks.ways import LMCORE, REFERENCE, make_step, present_ways

SQUARE, OUTPUT = "square product", "the three output products"
ROUNDS, MEMORY_STEPS = 9, 4
MEMORY_BATCHES = 4  # whose sentences a memory child is given


def output_products(sizes: Sizes, rows: int) -> Callable[[], None]:
    """The output layer's matrix products for so many predictions, and nothing else: no softmax, no sums."""
    D, V = sizes.emb_dim, sizes.vocab_size
    products = [matmul(rows, D, V), matmul(rows, V, D), matmul(V, rows, D)]
    return lambda: [product() for product in products] and None


def check_equal(losses: dict[str, float]) -> None:
    """Raises RuntimeError if the ways do not compute the same loss: then they did not do the same work."""
    expected = losses[REFERENCE]
    for way, loss in losses.items():
        if abs(loss - expected) > 1e-4 * abs(expected):
            raise RuntimeError(f"first loss of {way} is {loss}, but the reference way has {expected}")


def measure_times(quick: bool) -> dict[str, Any]:
    """Seconds and predictions of every step, and seconds of the bare matrix products, all interleaved."""
    sizes, data = setting.sizes(quick), setting.data(quick)
    steps = {way: make_step(way, sizes, data.tokenizer, data.train) for way in present_ways()}
    first = {way: step() for way, step in steps.items()}
    check_equal({way: loss for way, (loss, _) in first.items()})
    predictions, side = first[REFERENCE][1], 64 if quick else 2048
    bare = {SQUARE: matmul(side, side, side), OUTPUT: output_products(sizes, predictions)}
    seconds, results = interleave({**steps, **bare}, rounds=2 if quick else ROUNDS)
    return {
        "first_loss": {way: loss for way, (loss, _) in first.items()},
        "seconds": {way: seconds[way] for way in steps},
        "predictions": [count for _, count in results[REFERENCE]],
        "matrix_products": {
            SQUARE: {"side": side, "gflop": 2 * side**3 / 1e9, "seconds": seconds[SQUARE]},
            OUTPUT: {
                "predictions": predictions,
                "gflop": 6 * predictions * sizes.emb_dim * sizes.vocab_size / 1e9,
                "seconds": seconds[OUTPUT],
            },
        },
    }


def measure_memory(quick: bool) -> dict[str, Any]:
    """Peak bytes of a process per way, and of one that has model and sentences but takes no step."""
    data, ways = setting.data(quick), present_ways()
    count = MEMORY_BATCHES * setting.sizes(quick).batch_size
    with tempfile.TemporaryDirectory() as folder:
        data.tokenizer.save(f"{folder}/tokenizer.json")
        Path(folder, "sentences.json").write_text(json.dumps(data.train[:count]), encoding="utf-8")
        common = {"folder": folder, "quick": quick}
        _, idle = in_child("benchmarks.step:take_steps", way=LMCORE, steps=0, **common)
        peaks = {}
        for way in ways:
            say(f"memory: {way}")
            arguments = {"way": way, "steps": MEMORY_STEPS, **common}
            _, peaks[way] = in_child("benchmarks.step:take_steps", **arguments)
    return {"idle_peak_bytes": idle, "peak_bytes": peaks}


def take_steps(way: str, steps: int, folder: str, quick: bool) -> list[float]:
    """The child process of `measure_memory`: a few steps of one way; returns their losses."""
    tokenizer = lmcore.load_tokenizer(f"{folder}/tokenizer.json")
    sentences = json.loads(Path(folder, "sentences.json").read_text(encoding="utf-8"))
    step = make_step(way, setting.sizes(quick), tokenizer, sentences)
    return [step()[0] for _ in range(steps)]


def run(quick: bool) -> dict[str, Any]:
    sizes = setting.sizes(quick)
    record = new_record("step", quick, **asdict(sizes), corpus_sha256=setting.data(quick).sha256)
    record["mflop_per_prediction"] = sizes.mflop_per_prediction()
    return {**record, **measure_times(quick), **measure_memory(quick)}


def shares(record: dict[str, Any], way: str) -> dict[str, float]:
    """Part of each roofline that a way reaches: needed operations / (the product's rate x step time)."""
    needed = record["mflop_per_prediction"] / 1e3 * median(record["predictions"])  # GFLOP
    rate = {name: p["gflop"] / median(p["seconds"]) for name, p in record["matrix_products"].items()}
    return {name: needed / (rate[name] * median(record["seconds"][way])) for name in rate}


def speed(record: dict[str, Any], way: str) -> float:
    """Predictions (real targets) per second, over all rounds."""
    return sum(record["predictions"]) / sum(record["seconds"][way])


def table(record: dict[str, Any]) -> str:
    return "\n".join([_time_table(record), "", _memory_table(record), *_notes(record)])


def _time_table(record: dict[str, Any]) -> str:
    block = record["settings"]["batch_size"] * record["settings"]["seq_len"]
    rows = []
    for way, seconds in record["seconds"].items():
        part, ratio = shares(record, way), speed(record, way) / speed(record, REFERENCE)
        rates = (f"{speed(record, way):,.0f}", f"{block / median(seconds):,.0f}", f"{ratio:.2f}")
        rows.append([way, spread(seconds), *rates, f"{part[SQUARE]:.0%}", f"{part[OUTPUT]:.0%}"])
    header = ["way", "s/step (min..max)", "predictions/s", "block tokens/s", "x reference"]
    return text_table([*header, "of square GEMM", "of output GEMMs"], rows)


def _memory_table(record: dict[str, Any]) -> str:
    peaks, idle = record["peak_bytes"], record["idle_peak_bytes"]
    rows = [
        [way, f"{peak / 1e6:,.0f}", f"{peak / peaks[REFERENCE]:.0%}", f"{(peak - idle) / 1e6:,.0f}"]
        for way, peak in peaks.items()
    ]
    rows.append(["(no step taken)", f"{idle / 1e6:,.0f}", f"{idle / peaks[REFERENCE]:.0%}", "0"])
    return text_table(["way", "peak MB", "of reference's", "MB above no step"], rows)


def _notes(record: dict[str, Any]) -> list[str]:
    rates = [
        f"{name} {spread([p['gflop'] / s for s in p['seconds']], digits=0)} GFLOP/s"
        for name, p in record["matrix_products"].items()
    ]
    return [
        f"alone in the same rounds: {'; '.join(rates)}",
        f"needed: {record['mflop_per_prediction']:.2f} MFLOP per prediction, "
        f"{median(record['predictions']):,.0f} predictions per step (median)",
    ]
