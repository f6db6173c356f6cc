"""Chapter 21, a language model at work."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

IDS = [2, 4, 1, 3, 0, 3]  # six tokens of a vocabulary of five
WEIGHTS = torch.tensor([[1.0 + (3 * t + 2 * v + t * v) % 7 for v in range(5)] for t in range(6)])
LOG_PROBS = (WEIGHTS / WEIGHTS.sum(dim=1, keepdim=True)).double().log()  # (6, 5)


@exercise("21.1")
def text_score(answer: Callable[[Tensor, list[int], int], float]) -> None:
    """The sum of the log-probabilities of the text's tokens, each from the row before it."""
    for start in (2, 4):
        got = result(answer, LOG_PROBS, list(IDS), start)
        places = range(start, len(IDS))
        right = sum(float(LOG_PROBS[i - 1, IDS[i]]) for i in places)
        mistakes = {
            "row t was used for ids[t], which it has read already. It predicts the token after it.": sum(
                float(LOG_PROBS[i, IDS[i]]) for i in places
            ),
            "the context is scored, too. Its tokens are given; they cost nothing.": sum(
                float(LOG_PROBS[i - 1, IDS[i]]) for i in range(1, len(IDS))
            ),
            "ids[start] is missing: the row that predicts it is the last one of the context.": sum(
                float(LOG_PROBS[i - 1, IDS[i]]) for i in places[1:]
            ),
            "that is the mean over the tokens. A score is the sum.": right / len(places),
            "the sign: the logarithm of a probability is below zero.": -right,
            "these are probabilities. Add their logarithms, as they stand in log_probs.": math.exp(right),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, right, f"for start = {start} it is another number. Name the row of each token.")


@exercise("21.2")
def posterior(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """The softmax of the sums; also where every exponential is zero."""
    channel = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    sentence = torch.tensor([0.2, 0.4, 0.1], dtype=torch.float64)
    got = result(answer, channel.log(), sentence.log())
    product = channel * sentence
    right = product / product.sum()
    mistakes = {
        "the channel has no part in it.": sentence / sentence.sum(),
        "the sentence has no part in it.": channel / channel.sum(),
        "they do not sum to 1: one of the candidates must be right, so divide by their sum.": product,
        "probabilities of two things that both happen are multiplied; these were added.": (channel + sentence)
        / (channel + sentence).sum(),
        "these are logarithms. The probabilities were asked for.": right.log(),
        "the logarithms were divided by their sum. Take the exponentials first.": product.log()
        / product.log().sum(),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, right, "for three candidates these are not the probabilities of Bayes' rule.")
    far = result(answer, torch.tensor([-5.0, -5.0]), torch.tensor([-900.0, -901.0]))
    if not torch.as_tensor(far, dtype=torch.float64).isfinite().all():
        raise NotYet("scores near -900 give no numbers: exp(-900) is 0. Only differences of scores count.")
    high = 1 / (1 + math.exp(-1))
    expect_close(far, [high, 1 - high], "with scores near -900 and one nat apart, they are wrong.")


@exercise("21.3")
def reciprocal_ranks(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """1 / rank, per query; documents with an equal score stand before the right one."""
    scores = torch.tensor(
        [[1.0, 3.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0], [0.0, -1.0, -2.0, -3.0], [2.0, 2.0, 1.0, 0.0]]
    )
    own = torch.tensor([2, 0, 0, 1])
    got = torch.as_tensor(result(answer, scores.clone(), own.clone()), dtype=torch.float64)
    expect(got.shape != (), "that is one number. Give one for each query; the mean comes later.")
    expect(not same(got, [2.0, 4.0, 1.0, 2.0]), "these are the ranks. Their reciprocals were asked for.")
    expect(not same(got, [1 / 3, 1 / 5, 1 / 2, 1 / 3]), "ranks begin at 1: the best document has rank 1.")
    if not got.isfinite().all():
        raise NotYet("a rank was 0. Ranks begin at 1, and the right document itself is one of those counted.")
    expect(not same(got, [1 / 3, 1 / 4, 1 / 4, 1 / 4]), "the lowest score came first. The higher the better.")
    if same(got[[0, 2]], [1 / 2, 1.0]):
        message = (
            "documents with an equal score must count as better than the right one, wherever they stand."
        )
        expect(same(got[[1, 3]], [1 / 4, 1 / 2]), message)
    expect_close(
        got, [1 / 2, 1 / 4, 1.0, 1 / 2], "count the documents with at least the score of the right one."
    )


@exercise("21.4")
def log_channel(answer: Callable[[str, str, float, int], float]) -> None:
    """ln alpha for the word itself, ln (1 - alpha) / n for each misspelling."""
    for word, typo, alpha, n in (("cat", "cot", 0.9, 181), ("to", "too", 0.75, 129)):
        kept, lost = (result(answer, typed, word, alpha, n) for typed in (word, typo))
        expect(not same(kept, 0.0), "a word that is typed right has probability alpha, not 1.")
        mistakes = {
            "these are probabilities. Their logarithms were asked for.": (1 - alpha) / n,
            "1 - alpha is for all misspellings together. Each of the n has its share of it.": math.log(
                1 - alpha
            ),
            "alpha is missing: only 1 - alpha is left for the misspellings.": -math.log(n),
            "the misspellings share 1 - alpha, not alpha.": math.log(alpha / n),
            "the two cases are exchanged.": math.log(alpha),
        }
        for message, value in mistakes.items():
            expect(not same(lost, value), message)
        expect_close(
            lost, math.log((1 - alpha) / n), f"P({typo} | {word}) is wrong for alpha = {alpha}, n = {n}."
        )
        expect_close(kept, math.log(alpha), f"P({word} | {word}) is wrong for alpha = {alpha}.")
