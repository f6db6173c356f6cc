"""Chapter 25, labs: mistakes in counting, measuring and writing."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import exercise
from lmcore_exercises.testing import examine_test


@exercise("25.1")
def perplexity(test: Callable) -> None:
    """One perplexity from batches of (mean nats, number of tokens)."""

    def mean_of_exp(batches: list[tuple[float, int]]) -> float:
        return sum(math.exp(nats) for nats, _ in batches) / len(batches)

    def unweighted(batches: list[tuple[float, int]]) -> float:
        return math.exp(sum(nats for nats, _ in batches) / len(batches))

    def base_two(batches: list[tuple[float, int]]) -> float:
        total = sum(nats * count for nats, count in batches)
        return 2 ** (total / sum(count for _, count in batches))

    def weighted(batches: list[tuple[float, int]]) -> float:
        """sum nats, sum counts, divide, exp"""
        total = sum(nats * count for nats, count in batches)
        return math.exp(total / sum(count for _, count in batches))

    def geometric(batches: list[tuple[float, int]]) -> float:
        """a product of powers"""
        count = sum(n for _, n in batches)
        return math.prod(math.exp(nats) ** (n / count) for nats, n in batches)

    broken = {
        "the test lets the program of the lab pass. Score one text in two ways, in one batch and in two: "
        "what must be true?": mean_of_exp,
        "the test lets a program pass that gives a small batch the weight of a large one. Let the numbers of "
        "tokens differ.": unweighted,
        "the test lets a program pass that raises 2 to the nats. Let one case be known: a model that gives "
        "each of V tokens the same probability.": base_two,
    }
    examine_test(test, [weighted, geometric], broken)


@exercise("25.2")
def back_off(test: Callable) -> None:
    """P(next | last) for all tokens, from counts of pairs (V, V) and of single tokens (V,)."""

    def undiscounted(pairs: Tensor, singles: Tensor, last: int) -> Tensor:
        seen = pairs[last] > 0
        total = pairs[last].sum().clamp_min(1)
        return torch.where(seen, pairs[last] / total, singles / singles.sum())

    def unseen_forgotten(pairs: Tensor, singles: Tensor, last: int) -> Tensor:
        return pairs[last] / pairs[last].sum().clamp_min(1)

    def negative(pairs: Tensor, singles: Tensor, last: int) -> Tensor:
        total = pairs[last].sum().clamp_min(1)
        rest = 2.0 * (pairs[last] > 0).sum() / total  # takes 2 from every count, also from a count of 1
        if pairs[last].sum() == 0:
            return singles / singles.sum()
        return (pairs[last] - 2.0 * (pairs[last] > 0)) / total + rest * singles / singles.sum()

    def discounted(pairs: Tensor, singles: Tensor, last: int) -> Tensor:
        """absolute discounting, interpolated"""
        unigram, total = singles / singles.sum(), pairs[last].sum()
        if total == 0:
            return unigram
        kept = (pairs[last] - 0.5).clamp_min(0)
        return kept / total + (1 - kept.sum() / total) * unigram

    def mixed(pairs: Tensor, singles: Tensor, last: int) -> Tensor:
        """a fixed mixture of pairs and single tokens"""
        unigram, total = singles / singles.sum(), pairs[last].sum()
        return unigram if total == 0 else 0.7 * pairs[last] / total + 0.3 * unigram

    broken = {
        "the test lets the program of the lab pass. What must probabilities sum to?": undiscounted,
        "the test lets a program pass that gives no probability at all after a token that was never "
        "seen before. Try such a token, too.": unseen_forgotten,
        "the test lets a program pass with negative probabilities that sum to one. Look at each of them; let "
        "some pair be seen once, and some single token be rare.": negative,
    }
    examine_test(test, [discounted, mixed], broken)


@exercise("25.3")
def top_p(test: Callable) -> None:
    """The nucleus: the fewest likeliest tokens whose probability reaches p, scaled to sum to one."""

    def by_sorted(probs: Tensor, keep: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        ordered, order = probs.sort(descending=True)
        chosen = order[keep(ordered.cumsum(0), ordered)]
        cut = torch.zeros_like(probs)
        cut[chosen] = probs[chosen]
        return cut / cut.sum()

    def crossing_dropped(probs: Tensor, p: float) -> Tensor:
        return by_sorted(probs, lambda total, _: total <= p)

    def one_too_many(probs: Tensor, p: float) -> Tensor:
        return by_sorted(probs, lambda total, own: total - own <= p)

    def not_rescaled(probs: Tensor, p: float) -> Tensor:
        kept = nucleus(probs, p)
        return kept * probs[kept > 0].sum()

    def nucleus(probs: Tensor, p: float) -> Tensor:
        """a token stays if the ones before it have not reached p"""
        return by_sorted(probs, lambda total, own: total - own < p)

    def by_loop(probs: Tensor, p: float) -> Tensor:
        """token after token, until p is reached"""
        cut, total = torch.zeros_like(probs), 0.0
        for token in probs.argsort(descending=True).tolist():
            cut[token] = probs[token]
            total += probs[token].item()
            if total >= p:
                break
        return cut / cut.sum()

    broken = {
        "the test lets the program of the lab pass. Take a p between two sums, and a distribution whose "
        "first token alone is more than p.": crossing_dropped,
        "the test lets a program pass that keeps a token too many where the sum reaches p exactly. Use "
        "numbers such as 0.5 and 0.25, which a computer holds exactly.": one_too_many,
        "the test lets a program pass whose result does not sum to one.": not_rescaled,
    }
    examine_test(test, [nucleus, by_loop], broken)


@exercise("25.4")
def write(test: Callable) -> None:
    """Greedy writing: write(model, prompt, n) with model(tokens (1, T), state) -> logits (1, T, V), state."""

    def greedy(logits: Tensor) -> int:
        return logits[0, -1].argmax().item()

    def fed_again(model: Callable, prompt: list[int], n: int) -> list[int]:
        tokens, state = list(prompt), None
        for _ in range(n):
            logits, state = model(torch.tensor([tokens]), state)
            tokens.append(greedy(logits))
        return tokens

    def last_twice(model: Callable, prompt: list[int], n: int) -> list[int]:
        tokens = list(prompt)
        _, state = model(torch.tensor([tokens]), None)
        for _ in range(n):
            logits, state = model(torch.tensor([tokens[-1:]]), state)
            tokens.append(greedy(logits))
        return tokens

    def forgetful(model: Callable, prompt: list[int], n: int) -> list[int]:
        tokens = list(prompt)
        for _ in range(n):
            tokens.append(greedy(model(torch.tensor([tokens[-1:]]), None)[0]))
        return tokens

    def prompt_once(model: Callable, prompt: list[int], n: int) -> list[int]:
        """the prompt once, then each new token once"""
        tokens, state, new = list(prompt), None, list(prompt)
        for _ in range(n):
            logits, state = model(torch.tensor([new]), state)
            new = [greedy(logits)]
            tokens += new
        return tokens

    def all_again(model: Callable, prompt: list[int], n: int) -> list[int]:
        """everything again at each step, from an empty state: slow and right"""
        tokens = list(prompt)
        for _ in range(n):
            tokens.append(greedy(model(torch.tensor([tokens]), None)[0]))
        return tokens

    broken = {
        "the test lets the program of the lab pass. Use a model that remembers how much it has read, and "
        "write more than one token.": fed_again,
        "the test lets a program pass that feeds the last token of the prompt twice.": last_twice,
        "the test lets a program pass that feeds only the last token and no state. Use a model whose answer "
        "depends on more than the last token.": forgetful,
    }
    examine_test(test, [prompt_once, all_again], broken)


@exercise("25.5")
def split(test: Callable) -> None:
    """Windows (N, T + 1) for training and for validation that share no place of the text."""

    def overlapping(tokens: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
        rows = tokens.unfold(0, seq_len + 1, 1)
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        cut = len(rows) * 9 // 10
        return rows[:cut], rows[cut:]

    def one_shared_border(tokens: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
        cut = len(tokens) * 9 // 10
        rows = (tokens[: cut + seq_len], tokens[cut:])
        return tuple(part.unfold(0, seq_len + 1, 1) for part in rows)

    def no_validation(tokens: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
        return tokens.unfold(0, seq_len + 1, 1), tokens[:0].view(0, 1).expand(0, seq_len + 1)

    def cut_first(tokens: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
        """the text is cut in two first, and each part into windows"""
        cut = len(tokens) * 9 // 10
        return tuple(part.unfold(0, seq_len + 1, 1) for part in (tokens[:cut], tokens[cut:]))

    def side_by_side(tokens: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
        """windows that do not overlap, shuffled"""
        width = seq_len + 1
        rows = tokens[: len(tokens) // width * width].view(-1, width)
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
        cut = len(rows) * 9 // 10
        return rows[:cut], rows[cut:]

    broken = {
        "the test lets the program of the lab pass. Number the tokens, and collect the numbers of each part: "
        "what must be true of the two sets?": overlapping,
        "the test lets a program pass whose parts overlap at the border only. Look at every place, not at "
        "whole windows.": one_shared_border,
        "the test lets a program pass that leaves nothing for validation.": no_validation,
    }
    examine_test(test, [cut_first, side_by_side], broken)
