"""Wrong answers to the exercises of chapter 7, of the kind that learners write."""

import math

import torch
import torch.nn.functional as F


def in_bits(probabilities):
    bits = -sum(math.log2(p) for p in probabilities) / len(probabilities)
    return bits, 2**bits


def mean_of_perplexities(probabilities):
    nats = -sum(math.log(p) for p in probabilities) / len(probabilities)
    return nats, sum(1 / p for p in probabilities) / len(probabilities)


def reciprocal(probabilities):
    mean = sum(math.log(p) for p in probabilities) / len(probabilities)
    return -mean, math.exp(mean)


def log_of_the_mean(probabilities):
    mean = sum(probabilities) / len(probabilities)
    return -math.log(mean), 1 / mean


def by_the_product(probabilities):
    P, n = torch.tensor(probabilities).prod(), len(probabilities)
    return -P.log() / n, P ** (-1 / n)


def log_of_the_product(probabilities):
    nats = -math.log(math.prod(probabilities)) / len(probabilities)
    return nats, math.exp(nats)


def padding_scored(logits, targets, pad_id):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def padding_in_the_count(logits, targets, pad_id):
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=pad_id, reduction="sum")
    return nats / targets.numel()


def mean_of_row_means(logits, targets, pad_id):
    rows = [F.cross_entropy(z, y, ignore_index=pad_id) for z, y in zip(logits, targets, strict=True)]
    return sum(rows) / len(rows)


def axes_renamed(logits, targets, pad_id):
    B, T, V = logits.shape
    return F.cross_entropy(logits.view(B, V, T), targets, ignore_index=pad_id)


def softmax_twice(logits, targets, pad_id):
    probabilities = logits.softmax(dim=-1)
    return F.cross_entropy(probabilities.flatten(0, 1), targets.flatten(), ignore_index=pad_id)


def of_the_sum(z, y):
    return z.softmax(dim=1) - F.one_hot(y, z.shape[1])


def truth_minus_probability(z, y):
    return (F.one_hot(y, z.shape[1]) - z.softmax(dim=1)) / len(y)


def truth_forgotten(z, y):
    return z.softmax(dim=1) / len(y)


def softmax_down_the_rows(z, y):
    return (z.softmax(dim=0) - F.one_hot(y, z.shape[1])) / len(y)


def overflows(z, y):
    exps = z.exp()
    return (exps / exps.sum(dim=1, keepdim=True) - F.one_hot(y, z.shape[1])) / len(y)


def loss_scaled(logits, targets, a):
    return a * F.cross_entropy(logits, targets)


def divided(logits, targets, a):
    return F.cross_entropy(logits / a, targets)


def probabilities_scaled(logits, targets, a):
    probabilities = a * logits.softmax(dim=1)
    return F.nll_loss(probabilities.log(), targets)


def probabilities_to_the_power(logits, targets, a):
    probabilities = logits.softmax(dim=1) ** a
    return F.nll_loss(probabilities.log(), targets)


def nats_per_byte(nats_per_token, num_tokens, num_words, num_bytes):
    total = nats_per_token * num_tokens
    return total / num_bytes, math.exp(total / num_words)


def times_ln_2(nats_per_token, num_tokens, num_words, num_bytes):
    total = nats_per_token * num_tokens
    return total * math.log(2) / num_bytes, math.exp(total / num_words)


def perplexity_shared_out(nats_per_token, num_tokens, num_words, num_bytes):
    total = nats_per_token * num_tokens
    return total / math.log(2) / num_bytes, math.exp(nats_per_token) * num_tokens / num_words


def still_per_token(nats_per_token, num_tokens, num_words, num_bytes):
    total = nats_per_token * num_tokens
    return total / math.log(2) / num_bytes, math.exp(nats_per_token)


WRONG = {
    "7.1": [
        (in_bits, "bits"),
        (mean_of_perplexities, "mean of the tokens' perplexities"),
        (reciprocal, "reciprocal"),
        (log_of_the_mean, "first the logarithm"),
        (by_the_product, "rounded to 0"),
        (log_of_the_product, "rounded to 0"),
    ],
    "7.2": [
        (padding_scored, "scored like real tokens"),
        (padding_in_the_count, "still in the number"),
        (mean_of_row_means, "each row"),
        (axes_renamed, "mixed"),
        (softmax_twice, "too many"),
    ],
    "7.3": [
        (of_the_sum, "mean over N"),
        (truth_minus_probability, "sign"),
        (truth_forgotten, "What was true"),
        (softmax_down_the_rows, "last axis"),
        (overflows, "overflows"),
    ],
    "7.4": [
        (loss_scaled, "loss was scaled"),
        (divided, "divided"),
        (probabilities_scaled, "no longer sum to one"),
        (probabilities_to_the_power, "before the softmax"),
    ],
    "7.5": [
        (nats_per_byte, "nats per byte"),
        (times_ln_2, "less than a nat"),
        (perplexity_shared_out, "shared out"),
        (still_per_token, "perplexity per token"),
    ],
}
