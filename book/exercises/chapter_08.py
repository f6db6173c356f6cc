"""Chapter 8, training."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same


class _Batch(NamedTuple):
    inputs: list[float]
    targets: list[float]
    carries_state: bool


BATCHES = [  # of unequal lengths, so that a sum and a mean differ; the last begins a new text
    _Batch([1.0, -2.0, 0.5], [0.5, 0.1, -0.3], False),
    _Batch([2.0, 1.0], [-0.4, 0.6], True),
    _Batch([-1.0, 0.5, 1.5], [0.2, -0.6, 0.3], True),
    _Batch([0.5, 1.0], [0.8, -0.1], False),
]
TO_LEARN = _Batch([1.0, -0.5], [0.834, -0.181], False)


class _Reader:
    """A recurrent model of one number w in place of a large one, read like lmcore.next_token_nats."""

    def __init__(self, w: float, learning_rate: float):
        self.w = torch.nn.Parameter(torch.tensor([w], dtype=torch.float64))
        self.optimizer = torch.optim.SGD([self.w], lr=learning_rate)

    def __call__(
        self, inputs: list[float], targets: list[float], state: list[Tensor] | None
    ) -> tuple[Tensor, int, list[Tensor]]:
        h = torch.zeros(1, dtype=torch.float64) if state is None else state[0]
        nats = torch.zeros((), dtype=torch.float64)
        for x, y in zip(inputs, targets, strict=True):
            h = torch.tanh(self.w * x + 0.5 * h)
            nats = nats + (h - y).pow(2).sum()
        return nats, len(inputs), [h]


@exercise("8.1")
def learning_rate(answer: Callable[[float, float, float, float], float]) -> None:
    """Warm-up, then half a cosine down to a floor; at points where each mistake shows."""
    got = result(answer, 0.05, 2.0, 0.2, 0.1)  # a quarter of the warm-up
    expect(not same(got, 0.1), "the warm-up is too slow: at its end the rate must be the peak.")
    expect(float(got) < 1, "there is no warm-up: the rate has to rise from zero.")
    expect_close(got, 0.5, "in the warm-up the rate rises from zero to the peak, in a straight line.")
    got = result(answer, 0.4, 2.0, 0.2, 0.1)  # a quarter of the way down
    mistakes = {
        "the cosine begins where the warm-up ends, not at the start of the run.": _way_down(0.4),
        "the cosine has to end with the run. It has 1 - warmup of it.": _way_down(0.2),
        "that is a whole cosine, down and up again. Half of one ends at the bottom.": 1.1,
        "that is a quarter of a cosine. Half of one goes from 1 to -1.": 0.2 + 1.8 * math.cos(math.pi / 8),
        "that is a straight line down.": 1.55,
        "the floor is added on top: this way begins above the peak.": _way_down(0.25, floor=0.2, span=2.0),
        "the cosine should end at the floor, and runs on to zero.": _way_down(0.25, floor=0.0, span=2.0),
        "the floor is a share of the peak.": _way_down(0.25, floor=0.1, span=1.9),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, _way_down(0.25), "after the warm-up the rate is another one.")
    for progress, wanted in ((0.0, 0.0), (0.2, 2.0), (0.6, 1.1), (1.0, 0.2)):
        expect_close(result(answer, progress, 2.0, 0.2, 0.1), wanted, f"at progress {progress} it is wrong.")
    expect_close(result(answer, 0.75, 1.0, 0.5, 0.0), 0.5, "with another warm-up the rate is wrong.")


def _way_down(done: float, floor: float = 0.2, span: float = 1.8) -> float:
    return floor + span * (1 + math.cos(math.pi * done)) / 2


@exercise("8.2")
def train_loop(answer: Callable[[Callable, torch.optim.Optimizer, list], list[float]]) -> None:
    """A training loop on four small batches: what it hands on, what it returns, and what it has learned."""
    model, seen = _Reader(0.3, learning_rate=0.5), []

    def read(inputs: list[float], targets: list[float], state: list[Tensor] | None):
        expect(len(seen) < len(BATCHES), "read is called more than once for a batch.")
        carries = BATCHES[len(seen)].carries_state
        seen.append(inputs)
        expect(state is None or carries, "a batch that carries no state is a new text: give it None.")
        expect(state is not None or not carries, "a batch goes on with the text before, and is given None.")
        past = state is not None and any(h.requires_grad for h in state)
        expect(not past, "the state is handed on together with its past. Only its numbers should stay.")
        return model(inputs, targets, state)

    got = result(answer, read, model.optimizer, BATCHES)
    if not isinstance(got, list) or len(got) != len(BATCHES):
        raise NotYet("return a list with one loss for each batch.")
    if any(isinstance(loss, Tensor) and loss.requires_grad for loss in got):
        raise NotYet("a loss in the list is a tensor, and keeps its graph in memory. Keep the number only.")
    expect(model.w.item() != 0.3, "the parameter has not moved. step() comes right after backward().")
    mistakes = {
        "the gradients of all batches so far are added up. Forget the old ones.": {"forget": False},
        "a loss is the mean of its batch. These are sums.": {"report_sum": True},
        "the step is on a sum, so that longer batches take longer steps.": {"step_on_sum": True},
        "the losses are sums, and so is what the step is on.": {"report_sum": True, "step_on_sum": True},
    }
    for message, mistake in mistakes.items():
        expect(not same(got, _losses(**mistake)), message)
    expect_close(got, _losses(), "the chapter's loop has other losses. Compare the order of its lines.")


def _losses(forget: bool = True, report_sum: bool = False, step_on_sum: bool = False) -> list[float]:
    """The losses of a loop that makes these mistakes; of the right one by default."""
    model, losses, state = _Reader(0.3, learning_rate=0.5), [], None
    for batch in BATCHES:
        nats, count, state = model(batch.inputs, batch.targets, state if batch.carries_state else None)
        if forget:
            model.optimizer.zero_grad()
        (nats if step_on_sum else nats / count).backward()
        model.optimizer.step()
        state = [h.detach() for h in state]
        losses.append(nats.item() if report_sum else nats.item() / count)
    return losses


@exercise("8.3")
def loss_of_bias(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Nats per token of a model that is nothing but its output bias, on a text given by its counts."""
    bias, counts = torch.tensor([1.0, 0.0, -1.0, 0.5]), torch.tensor([6.0, 2.0, 1.0, 3.0])
    nats, share = -bias.log_softmax(dim=0), counts / counts.sum()
    got = result(answer, bias, counts)
    mistakes = {
        "every token of the vocabulary has the same weight: some come more often in the text.": nats.mean(),
        "that is the whole text. Divide by its number of tokens.": counts @ nats,
        "the bias is a logit. What is missing on the way to a probability?": -(share @ bias),
        "divide by the number of tokens in the text, not in the vocabulary.": (counts * nats).mean(),
        "how often tokens come is for the text to say, not for the model.": (-nats).exp() @ nats,
        "first the logarithm of each probability, then the mean.": -(share @ (-nats).exp()).log(),
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, share @ nats, "for the bias [1, 0, -1, 0.5] the loss is another one.")
    flat = result(answer, torch.full((4,), 7.0), counts)
    expect_close(flat, math.log(4), "four equal biases make four equal probabilities.")


@exercise("8.4")
def against_seeds(answer: Callable[[list[float], list[float]], float]) -> None:
    """The difference of two settings in units of what seeds do; in an order where each mistake shows."""
    high, low = [4.0, 4.4, 4.3], [4.2, 4.1, 3.7]
    for a, b in ((high, low), (low, high), ([5.1, 5.0], [4.2, 5.2])):
        got = result(answer, list(a), list(b))
        size = abs(sum(a) / len(a) - sum(b) / len(b))
        range_a, range_b = max(a) - min(a), max(b) - min(b)
        widest = max(range_a, range_b)
        mistakes = {
            "that is the difference alone. Divide it by what the seeds do.": size,
            "the sign has no part in it: which setting comes first is chance.": -size / widest,
            "compare the means. The best of several runs is luck.": abs(min(a) - min(b)) / widest,
            "that is the first seed only.": abs(a[0] - b[0]) / widest,
            "one range over all runs holds the difference itself. Take each setting's own range.": (
                size / (max(a + b) - min(a + b))
            ),
            "that is the range of the first setting. Take the larger of the two.": size / range_a,
            "that is the range of the second setting. Take the larger of the two.": size / range_b,
            "that is the sum of the ranges. Take the larger of the two.": size / (range_a + range_b),
        }
        right = size / widest
        for message, value in mistakes.items():
            expect(same(value, right) or not same(got, value), message)
        expect_close(got, right, f"for {a} and {b} it is not {got}.")


@exercise("8.5")
def steps_to_learn(answer: Callable[..., float]) -> None:
    """Steps until one batch is known by heart; a model that cannot learn, and one that has nothing to."""

    def steps(learning_rate: float, limit: float, at_most: int) -> float:
        model, calls = _Reader(0.1, learning_rate), []

        def read(inputs: list[float], targets: list[float], state: list[Tensor] | None):
            calls.append(inputs)
            expect(state is None, "the batch is read from its beginning at each step, so its state is None.")
            expect(len(calls) <= 2 * at_most + 2, f"it goes on after {at_most} steps.")
            return model(inputs, targets, state)

        return result(answer, read, model.optimizer, TO_LEARN, limit, at_most)

    got = steps(0.3, limit=0.012, at_most=30)
    expect(not isinstance(got, bool), "the number of steps is asked for, not only whether it went well.")
    mistakes = {
        "these are too few: do old gradients take part in the steps?": 3,
        "these are too few: the step is on the sum over the tokens, not on their mean.": 5,
        "these are too many: the limit is for the loss per token, not for the whole batch.": 14,
        "the step that would come next is counted, too. Read the loss, compare, then step.": 11,
        "it goes on, although the loss is below the limit.": 30,
    }
    for message, number in mistakes.items():
        expect(got != number, message)
    expect(got == 10, f"after {got} steps the loss is not below the limit for the first time.")
    never = steps(0.0, limit=0.012, at_most=5)
    expect(never == math.inf, f"at a learning rate of 0 nothing is learned, and the answer is {never}.")
    expect(steps(0.3, limit=10.0, at_most=5) == 0, "a loss below the limit at the start needs no step.")
    last = steps(0.3, limit=0.012, at_most=10)
    expect(last == 10, "ten steps are allowed and enough, but the loss after the tenth is not looked at.")
    expect(steps(0.3, limit=0.012, at_most=9) == math.inf, "nine steps are allowed, and it took more.")
