"""Chapter 9, teacher forcing."""

from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise, expect, expect_close, result, same


def _guess(fed: list[int]) -> int:
    """A "model" that depends on all tokens that it was fed, and on their order."""
    return sum(place * token for place, token in enumerate(fed, start=1)) % 7


@exercise("9.1")
def fed_tokens(answer: Callable[[list[int], Callable, bool], list[int]]) -> None:
    """What goes in at each step in both ways of reading, for two texts."""
    for truth in ([3, 1, 4, 1, 5, 2], [2, 6, 5, 3, 5]):
        n = len(truth) - 1
        prefixes = [truth[:t] for t in range(1, n)]
        one_step, own, forgetful = [truth[0], *map(_guess, prefixes)], truth[:1], truth[:1]
        while len(own) < n:
            own.append(_guess(own))
            forgetful.append(_guess(forgetful[-1:]))
        got = [int(token) for token in result(answer, list(truth), _guess, True)]
        expect(got != truth, "the last true token is a target only: n + 1 tokens give n steps.")
        expect(got != truth[1:], "teacher forcing: these are the targets. The token before goes in.")
        expect(got != own, "teacher forcing: these are the model's own tokens. The true ones go in.")
        expect(got != one_step, "teacher forcing: these are guesses. The true tokens go in, right or wrong.")
        expect(got == truth[:-1], f"teacher forcing feeds other tokens of {truth} than {got}.")
        got = [int(token) for token in result(answer, list(truth), _guess, False)]
        mistakes = {
            "these are the true tokens. Nobody corrects the model.": truth[:-1],
            "guess was asked about the true tokens. It should see what was fed.": one_step,
            "guess was asked about the last token only. It should see all that was fed.": forgetful,
            "the last guess is not fed: after n steps nothing follows.": [*own, _guess(own)],
            "the first token is the true one: there is no guess before it.": [*own, _guess(own)][1:],
        }
        for message, tokens in mistakes.items():
            expect(got != tokens, f"free running: {message}")
        expect(got == own, f"free running feeds other tokens than {got}.")


@exercise("9.2")
def expected_run(answer: Callable[[float, int], float]) -> None:
    """The expected number of right guesses before the first wrong one, among n."""
    for a, n in ((0.6, 3), (0.9, 10)):
        got = result(answer, a, n)
        mistakes = {
            "that is for a run without end. Here it stops after n guesses.": a / (1 - a),
            "that counts all right guesses. After the first wrong one, no more are counted.": n * a,
            "that is the probability that all n are right. Fewer count, too.": a**n,
            "that is n if all are right, and else nothing. A shorter run counts, too.": n * a**n,
            "the wrong guess is counted, too.": sum(a**k for k in range(n)),
            "that is the probability of at least one mistake.": 1 - a**n,
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, sum(a**k for k in range(1, n + 1)), f"for a = {a} and n = {n} it is not {got}.")
    expect_close(result(answer, 0.0, 4), 0.0, "a model that is never right has no run.")
    expect_close(result(answer, 1.0, 5), 5.0, "a model that is always right has a run of n.")


@exercise("9.3")
def paired(answer: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
    """The mean difference of scores of the same tokens, and its standard error over contexts."""
    a = torch.tensor([[3.0, 4.0, 5.0], [2.0, 3.0, 7.0], [6.0, 5.0, 4.5], [1.0, 2.5, 3.4]])
    b = torch.tensor([[2.5, 4.5, 4.0], [2.5, 2.0, 6.0], [5.0, 5.5, 4.0], [1.5, 1.0, 2.5]])
    got = result(answer, a, b)
    expect(isinstance(got, (tuple, list)) and len(got) == 2, "return two numbers: the mean, and its error.")
    mean, error = got
    each, N = (a - b).mean(dim=1), len(a)
    expect(not same(mean, -each.mean()), "the mean has the other sign: it is for a minus b.")
    expect_close(mean, each.mean(), f"the mean difference is not {mean}.")
    in_pairs = each.var() / N
    apart = a.mean(dim=1).var() / N + b.mean(dim=1).var() / N
    mistakes = {
        "that is the scatter of one context. The mean of N scatters less.": each.std(),
        "the scatter is divided by N, not by its root.": each.std() / N,
        "the standard deviation divides by N - 1.": each.std(correction=0) / N**0.5,
        "the scores of one context are not independent. First its mean, then the scatter.": (
            (a - b).std() / a.numel() ** 0.5
        ),
        "that is the scatter of single scores. First the mean of each context.": (a - b).std() / N**0.5,
        "a and b are the same tokens. Subtract first, and what they share is gone.": apart**0.5,
    }
    for message, value in mistakes.items():
        expect(not same(error, value), message)
    expect_close(error, in_pairs**0.5, f"the standard error is not {error}.")


@exercise("9.4")
def misprint(answer: Callable[[Tensor, Tensor, float, torch.Generator], Tensor]) -> None:
    """Tokens of which a share, at random places, has become others; by what must hold for any draws."""
    tokens, pool = torch.full((40, 50), 7), torch.arange(100, 1100)
    got = result(answer, tokens, pool, 0.2, torch.Generator().manual_seed(0))
    expect(bool((tokens == 7).all()), "the tokens that were handed in have changed. Make new ones.")
    expect(got.shape == tokens.shape, f"the shape is {tuple(got.shape)}, it should be {tuple(tokens.shape)}.")
    changed = got != 7
    expect(bool(((got >= 100) | ~changed).all()), "a token is neither the old one nor one of the pool.")
    share = changed.double().mean().item()
    expect(abs(share - 0.8) > 0.05, "the wrong way round: the share is kept, and the rest replaced.")
    expect(abs(share - 0.2) < 0.05, f"a share of {share:.2f} is replaced where 0.2 was asked for.")
    expect(bool((changed != changed[0]).any()), "all rows are hit at the same places. Draw for each row.")
    new = got[changed].unique().numel()
    expect(new > 1, "one and the same token comes in everywhere. Draw one for each place.")
    expect(new > 100, f"only {new} different tokens come in. A token of a row or column is not enough.")
    again = result(answer, tokens, pool, 0.2, torch.Generator().manual_seed(0))
    expect(torch.equal(got, again), "the same seed gives other tokens: hand the generator to every draw.")
    for share in (0.0, 1.0):
        got = result(answer, tokens, pool, share, torch.Generator().manual_seed(1))
        expect((got != 7).double().mean().item() == share, f"with a share of {share:g} it is wrong.")
