"""Chapter 6, training data shifting."""

from collections.abc import Callable

import torch
from torch import Tensor

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same

Window = tuple[Tensor, Tensor]  # inputs and targets, both (B, T)


@exercise("6.1")
def predictions(answer: Callable[[list[int], int], tuple[int, int]]) -> None:
    """Real predictions in a padded batch of sentences, and its width; the last batch needs no cut."""
    for lengths, seq_len in (([5, 9, 12], 10), ([7, 30, 2], 8), ([3, 6], 10)):
        number, width = _two(result(answer, lengths, seq_len), "the predictions, and the width")
        cut = [min(n, seq_len) for n in lengths]
        right = sum(cut) - len(cut)
        mistakes = {
            "the first token of a sentence is no target: n tokens give n - 1 predictions.": sum(cut),
            "what goes over seq_len is cut off, and predicts nothing.": sum(lengths) - len(lengths),
            "a row cut to seq_len tokens gives seq_len - 1 predictions.": sum(
                min(n - 1, seq_len) for n in lengths
            ),
            "padding is counted. Nobody asks for these predictions.": len(cut) * (max(cut) - 1),
        }
        for message, value in mistakes.items():
            expect(value == right or number != value, message)
        expect(number == right, f"for {lengths} and seq_len = {seq_len} there are not {number} predictions.")
        expect(width != max(cut), "the width is that of the inputs, after the shift.")
        expect(width != seq_len - 1 or width == max(cut) - 1, "a row is only as wide as the longest needs.")
        expect(width == max(cut) - 1, f"for {lengths} and seq_len = {seq_len} the width is not {width}.")


@exercise("6.2")
def windows_of(answer: Callable[[int, int, int], tuple[int, int]]) -> None:
    """Windows of a text of N tokens in B rows, and the predictions left over; B T divides 60 and 32."""
    for N, B, T in ((42, 2, 4), (32, 2, 4), (61, 3, 5)):
        windows, left = _two(result(answer, N, B, T), "the windows, and what is left over")
        right = (N - 1) // (B * T)
        mistakes = {
            "a window that is not full is no window. Round down.": -(-(N - 1) // (B * T)),
            "a window needs T + 1 tokens, but neighbours share one: nothing is lost.": N // (B * (T + 1)),
            "the text is cut into B rows first; one window takes T predictions from each.": (N - 1) // T,
            "N tokens give N - 1 predictions.": N // (B * T),
        }
        for message, value in mistakes.items():
            expect(value == right or windows != value, message)
        expect(windows == right, f"for N = {N}, B = {B}, T = {T} there are not {windows} windows.")
        expect(left != N - right * B * T, "left over are predictions, and N tokens give N - 1 of them.")
        expect(left == N - 1 - right * B * T, f"for N = {N}, B = {B}, T = {T} not {left} are left over.")


@exercise("6.3")
def one_text(answer: Callable[[list[Window]], bool]) -> None:
    """A test of windows: it lets a text pass that is cut in the right way, and no other."""

    def passes(windows: list[Window]) -> bool:
        got = result(answer, windows)
        one = isinstance(got, bool) or getattr(got, "shape", None) == ()
        expect(one, "return one True or False for all windows together, not one per token.")
        return bool(got)

    right = _cut_every(4)
    x, y = right[0]
    if not passes([(x, y)]):
        expect(not passes([(y, x)]), "the slices are exchanged: target t is input t + 1.")
        expect(not passes([(x[:1], y[:1])]), "one row passes, two do not: each row is a text of its own.")
        raise NotYet("a window whose targets are its inputs, shifted by one, is refused.")
    expect(passes(right), "windows that follow each other are refused. What do neighbours share?")
    for message, windows in _broken(right).items():
        expect(not passes(windows), message)


def _cut_every(step: int) -> list[Window]:
    """Three windows of two rows by four, one every ``step`` tokens; no token comes twice in the text."""
    rows = torch.arange(40).mul(17).remainder(41).view(2, 20)
    return [(rows[:, k : k + 4], rows[:, k + 1 : k + 5]) for k in (0, step, 2 * step)]


def _broken(right: list[Window]) -> dict[str, list[Window]]:
    x, y = right[0]
    one_wrong = y.clone()
    one_wrong[1, 1] = 99
    return {
        "targets that are not shifted at all pass.": [(x, x)],
        "a single wrong target in the second row passes. Compare all.": [(x, one_wrong)],
        "targets that are shifted twice pass. Look inside of the windows, too.": [
            (x[:, :-1], y[:, 1:]) for x, y in right
        ],
        "windows with a gap between them pass. Compare neighbours at the seam.": _cut_every(5),
        "windows that overlap pass. Compare neighbours at the seam.": _cut_every(3),
        "a mistake in the last window passes.": [*right[:2], (right[2][0], right[2][0])],
        "rows that change places between windows pass.": [(x, y), tuple(ids.flip(0) for ids in right[1])],
    }


@exercise("6.4")
def without_bos(answer: Callable[[Tensor, int, int], Tensor]) -> None:
    """Targets whose <bos> has become padding, for two choices of the marks."""
    tokens = torch.tensor([[5, 1, 7, 2, 0], [1, 8, 2, 1, 4]])
    for bos, pad in ((1, 9), (2, 0)):
        given = tokens.clone()
        got = torch.as_tensor(result(answer, given, bos, pad))
        is_bos = tokens == bos
        expect(torch.equal(given, tokens), "the targets that were handed in have changed. Make new ones.")
        if got.shape != tokens.shape:
            raise NotYet("tokens are gone. Targets keep the shape of the inputs: replace, do not remove.")
        mistakes = {
            "<bos> is still there.": tokens,
            "zeros stand where <bos> was. The padding id is an argument.": tokens.masked_fill(is_bos, 0),
            "it is the other way round: everything but <bos> was replaced.": tokens.masked_fill(~is_bos, pad),
        }
        right = tokens.masked_fill(is_bos, pad)
        for message, value in mistakes.items():
            expect(same(value, right) or not same(got, value), message)
        expect_close(got, right, f"with <bos> = {bos} and <pad> = {pad} the targets are others.")


def _two(got: tuple, what: str) -> tuple:
    expect(isinstance(got, (tuple, list)) and len(got) == 2, f"return two numbers: {what}.")
    return got
