"""Random models of every kind that say something else after every text, for tests with other libraries."""

import torch
from small_runs import CASES, make_model

import lmcore

NAMES = [*lmcore.CELLS, "transformer", "sampled", "adaptive", "variational, residual, tied"]


def lively(name: str, tokenizer: lmcore.Tokenizer) -> lmcore.RecurrentLM | lmcore.TransformerLM:
    """In float64, and with weights so large that what was read matters for every token."""
    torch.manual_seed(3)
    model = make_model(CASES[name], tokenizer).double().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    if not model.config.tie_weights:  # or minLSTM would soon say one letter again and again
        torch.nn.init.normal_(model.embedding.weight, std=2.0)
    return model


def prompts(documents: list[str], count: int) -> list[str]:
    """Pieces of the documents, of unequal length."""
    return [documents[i % len(documents)][i : i + 3 + 7 * i % 19] for i in range(count)]
