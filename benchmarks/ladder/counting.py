"""The rungs made of counts: nothing is tuned, and nothing depends on a seed."""

import time
from typing import Any

from torch import nn

import lmcore
from benchmarks.ladder import neural, records
from benchmarks.ladder.plan import Setting
from benchmarks.ladder.task import Task

ORDERS = {"bigram": 2, "kneser-ney 3": 3, "kneser-ney 5": 5}


def make_model(name: str, task: Task) -> nn.Module:
    """Unigram with add-one; bigram and up by interpolated modified Kneser-Ney."""
    vocab_size = task.tokenizer.vocab_size
    if name == "unigram":
        return lmcore.UnigramLM(task.train, vocab_size)
    return lmcore.kneser_ney(task.train, vocab_size, ORDERS[name])


def measure(name: str, task: Task, setting: Setting) -> tuple[dict[str, Any], None]:
    """Count, score, generate. ``parameters``: numbers that the counts gave, one per n-gram kept."""
    start = time.perf_counter()
    model = make_model(name, task)
    seconds = time.perf_counter() - start
    counted = sum(model.num_ngrams) if isinstance(model, lmcore.NGramLM) else model.vocab_size
    result = {
        "parameters": counted,
        "train_tokens": task.num_train_tokens,
        "train_seconds": seconds,
        "train_tokens_per_second": task.num_train_tokens / seconds,
        "generation_tokens_per_second": neural.generation_speed(model, task, setting.generated_tokens),
        "validation": records.scores(task.evaluate(model, "validation")),
        "test": records.scores(task.evaluate(model, "test")) if task.test else None,
    }
    return result, None


def mixed(model: nn.Module, task: Task) -> dict[str, Any]:
    """A trained network and Kneser-Ney 5 as one model, as Mikolov et al. (2010) did.

    The weights are the best ones for the validation text, so only the test scores are a measurement.
    """
    counted = make_model("kneser-ney 5", task)
    batches = lmcore.DocumentBatches(task.validation, task.tokenizer.pad_id)
    mixture = lmcore.fit_mixture([model, counted], batches, task.tokenizer.pad_id)
    return {
        "with": "kneser-ney 5",
        "weight_of_network": float(mixture.weights[0]),
        "validation": records.scores(task.evaluate(mixture, "validation")),
        "test": records.scores(task.evaluate(mixture, "test")),
    }
