"""Chapter 19, the ladder."""

import math
from collections.abc import Callable
from itertools import combinations
from statistics import mean, median

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

CURVES = {  # name: batch_size, seq_len, steps, losses
    "narrow": (8, 32, [0, 1000, 4000], [6.0, 5.0, 4.0]),
    "wide": (32, 64, [0, 500], [6.0, 3.9]),
    "stuck": (16, 16, [0, 8000], [6.0, 5.8]),
}


@exercise("19.1")
def leader_after(answer: Callable[[dict, float], str]) -> None:
    """Who has the lowest loss after the same number of tokens; two questions, two leaders."""
    for tokens, leader in ((512_000, "narrow"), (900_000, "wide"), (256_000, "narrow")):
        got = result(answer, dict(CURVES), tokens)
        expect(isinstance(got, str) and got in CURVES, f"the answer should be a name, and it is {got!r}.")
        expect(got != "stuck", "that one has the highest loss. The lowest leads.")
        at_the_end = got == "wide" and leader == "narrow"
        expect(not at_the_end, f"{got!r} leads at the end. At which step has it read {tokens:,} tokens?")
        expect(
            got == leader, f"not {got!r} after {tokens:,} tokens. Between two points draw a straight line."
        )


@exercise("19.2")
def expected_best(answer: Callable[[list[float], int], float]) -> None:
    """The mean over all choices of n trials, without replacement, of the lowest score."""
    for v in ([3.0, 2.0, 1.0, 5.0], [0.4, 0.9, 0.1, 0.6, 0.5, 0.2]):
        for n in range(2, len(v)):
            examine_best(result(answer, list(v), n), v, n)
        expect_close(result(answer, list(v), 1), mean(v), "with one trial it is the mean of all scores.")
        expect_close(result(answer, list(v), len(v)), min(v), "with all trials it is the best of all scores.")


def examine_best(got: float, v: list[float], n: int) -> None:
    """For n between 1 and the number of scores, where the mistakes have values of their own."""
    N, ordered = len(v), sorted(v)
    choices = list(combinations(v, n))
    right = mean(map(min, choices))
    twice = sum(v_i * (((N - i) / N) ** n - ((N - i - 1) / N) ** n) for i, v_i in enumerate(ordered))
    mistakes = {
        "that is the best of all trials. With fewer, one may miss it.": min(v),
        "the first n trials are one choice among many. Take the mean over all choices.": min(v[:n]),
        "that is the expected worst. A lower score is better.": mean(map(max, choices)),
        "the formula wants the scores in order, the best first.": without_order(v, n),
        "no trial is drawn twice, and your formula allows it.": twice,
        "that is the mean of the n best. Of each choice, only its best one counts.": mean(ordered[:n]),
        "that is the mean of all trials: the best of one, and not of n.": mean(v),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, right, f"the best of {n} out of {N} has another mean. List all choices.")


def without_order(v: list[float], n: int) -> float:
    """The formula for scores in order, for scores as they came."""
    N = len(v)
    return sum(v[i] * math.comb(N - i - 1, n - 1) for i in range(N)) / math.comb(N, n)


@exercise("19.3")
def flattery(answer: Callable[[list[float], float], float]) -> None:
    """How far the best seed lies below the mean, in bits per byte."""
    for nats, size in (([4.4, 4.9, 4.1, 4.2], 2.0), ([3.9, 3.3, 3.6, 3.5, 3.6], 4.0)):
        got = result(answer, list(nats), size)
        gain = mean(nats) - min(nats)
        bits, factor = gain / math.log(2), math.log(2) * size
        middle, whole, worst = median(nats) - min(nats), max(nats) - min(nats), max(nats) - mean(nats)
        mistakes = {
            "those are nats per token. Bits per byte are asked for.": gain,
            "those are bits per token. How many bytes has a token?": bits,
            "those are nats per byte. How many nats are a bit?": gain / size,
            "a byte is less than a token, so it has fewer bits, not more.": bits * size,
            "one bit is ln 2 nats, so there are more bits than nats.": gain * math.log(2) / size,
            "the sign is the wrong one: what flatters is above 0.": -bits / size,
            "that is the distance from the worst seed, not from the mean.": whole / factor,
            "that is the distance from the median, not from the mean.": middle / factor,
            "that is how far the worst seed lies above the mean.": worst / factor,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, bits / size, "first the distance in nats per token, then the two conversions.")


@exercise("19.4")
def mixture_nats(answer: Callable[[list[float], list[float], float], float]) -> None:
    """The loss of a mixture of probabilities."""
    for p, q, weight in (([0.5, 0.01, 0.2], [0.1, 0.4, 0.3], 0.25), ([0.9, 0.02], [0.05, 0.6], 0.6)):
        got = result(answer, list(p), list(q), weight)
        pairs = list(zip(p, q, strict=True))
        mixed = [weight * a + (1 - weight) * b for a, b in pairs]
        swapped = [weight * b + (1 - weight) * a for a, b in pairs]
        oracle = -mean(math.log(max(pair)) for pair in pairs)
        losses = [-weight * math.log(a) - (1 - weight) * math.log(b) for a, b in pairs]
        right = -mean(map(math.log, mixed))
        mistakes = {
            "you mixed the losses. Mix the probabilities, and take the logarithm afterwards.": mean(losses),
            "the weight is that of the first model.": -mean(map(math.log, swapped)),
            "that is the sum over the tokens, not the mean.": right * len(p),
            "those are bits. Nats come from the logarithm to base e.": right / math.log(2),
            "the mean comes after the logarithm: each token has its own loss.": -math.log(mean(mixed)),
            "that takes the better model at every token, and nobody knows it beforehand.": oracle,
            "the sign is the wrong one: a loss is above 0.": -right,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, right, f"with a weight of {weight} it is another number. Do one token by hand.")
