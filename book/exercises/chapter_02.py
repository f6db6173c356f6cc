"""Chapter 2, text to tokens."""

import math
from collections.abc import Callable
from itertools import pairwise

from lmcore_exercises.checking import exercise, expect, expect_close, result, same

TOY_MERGES = [("h", "e"), ("t", "he"), (" ", "the"), ("r", "e"), (" ", "he"), (" the", "re"), (" he", "re")]
MADE = {first + second for first, second in TOY_MERGES}


@exercise("2.1")
def cuts(answer: list[list[str]] | None) -> None:
    """Pieces that the toy's merges make, no merge left to make: each of the words has one such cut only."""
    expect(answer is not None, "cuts is still None. Put two lists of strings there.")
    lists = isinstance(answer, list | tuple) and all(isinstance(pieces, list | tuple) for pieces in answer)
    message = 'give two lists of strings: the pieces of " hither", and those of "here".'
    expect(lists and len(answer) == 2, message)
    for word, pieces in zip((" hither", "here"), answer, strict=True):
        joined = "".join(pieces)
        expect(" " + joined != word, f"{word!r}: the blank is missing. It is a character like the others.")
        expect(joined == word, f"{word!r}: your pieces join to {joined!r}.")
        for piece in pieces:
            message = f"{word!r}: no merge makes {piece!r}. With a blank and without it are two pieces."
            expect(len(piece) == 1 or piece in MADE, message)
        for pair in pairwise(pieces):
            expect(pair not in TOY_MERGES, f"{word!r}: one of the seven merges can still be made.")


@exercise("2.2")
def fewer_merges(answer: Callable[[list, int], list]) -> None:
    """The first merges, as many as the vocabulary has room for; 400 merges that all differ."""
    merges = [(str(number), str(number + 1)) for number in range(400)]
    got = result(answer, list(merges), 300)
    expect(not isinstance(got, int), "that is a number. Give the merges themselves, a list of pairs.")
    mistakes = {
        "these are the merges learned last. A short training ends before it gets to them.": merges[-40:],
        "not every token comes from a merge: some are there before the first one.": merges[:300],
        "the four special tokens take a place in the vocabulary, too.": merges[:44],
        "the 256 bytes take a place in the vocabulary, too.": merges[:296],
    }
    for message, value in mistakes.items():
        expect(_pairs(got) != value, message)
    for vocab_size, number in ((300, 40), (261, 1), (260, 0)):
        got = _pairs(result(answer, list(merges), vocab_size))
        count = f"{len(got)} were given, {number} were expected"
        expect(got == merges[:number], f"vocab_size = {vocab_size} has other merges ({count}).")


@exercise("2.3")
def bits_from_perplexity(answer: Callable[[float, float], float]) -> None:
    """The logarithm to the base 2 of the perplexity, divided by the bytes of a token."""
    for perplexity, size in ((64.0, 4.0), (10.0, 2.5)):
        got = result(answer, perplexity, size)
        bits = math.log2(perplexity)
        mistakes = {
            "that is in nats. One nat is more than one bit.": math.log(perplexity) / size,
            "nats were multiplied by ln 2. One nat is more than one bit.": math.log(perplexity)
            * math.log(2)
            / size,
            "that is bits per token. A token has several bytes.": bits,
            "the number of bytes is on the wrong side. A byte costs less than a token.": bits * size,
            "the perplexity itself was divided. Take its logarithm first.": perplexity / size,
            "the perplexity was divided before the logarithm was taken.": math.log2(perplexity / size),
        }
        for message, value in mistakes.items():
            expect(not same(got, value), message)
        expect_close(got, bits / size, f"for perplexity {perplexity} and {size} bytes it is another number.")


@exercise("2.4")
def bytes_per_token(answer: Callable[[Callable[[str], list[int]], list[str]], float]) -> None:
    """5 and 16 bytes in 3 and 6 tokens of two characters each; then one token per byte."""
    texts = ["ab cd", "£££££ a b c"]
    got = result(answer, lambda text: list(range((len(text) + 1) // 2)), list(texts))
    mistakes = {
        'that counts characters. "£" is one character and two bytes.': 16 / 9,
        "that is the mean of one ratio per text. Add up bytes and tokens, and divide once.": (5 / 3 + 16 / 6)
        / 2,
        "that is tokens per byte, the wrong way round.": 9 / 21,
        "encode the texts one by one: joined, they are cut across the border.": 21 / 8,
        "only one of the texts was counted.": 5 / 3,
        "the second text alone was counted.": 16 / 6,
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(
        got, 21 / 9, 'for "ab cd" and "£££££ a b c", two characters to a token, it is another number.'
    )
    got = result(answer, lambda text: list(text.encode()), ["é", "a free people"])
    expect_close(got, 1.0, "with one token for each byte it is another number.")


@exercise("2.5")
def longest_match(answer: Callable[[str, set[str]], list[str]]) -> None:
    """A text in which the longest first piece makes the later ones short, and a text that is one piece."""
    for piece, longer, right in (
        ("abcde", {"ab", "abc", "cde"}, ["abc", "d", "e"]),
        ("aaaaa", {"aa"}, ["aa", "aa", "a"]),
        ("there", {"the", "there", "ere"}, ["there"]),
    ):
        vocabulary = set(piece) | longer
        got = result(answer, piece, set(vocabulary))
        expect(not isinstance(got, str), "that is one string. Give a list of pieces.")
        got, joined = list(got), "".join(got)
        expect(joined == piece, f"{piece!r}: your pieces join to {joined!r}. Go on until nothing is left.")
        expect(vocabulary.issuperset(got), f"{piece!r}: not all of {got} are in the vocabulary.")
        expect(
            got != list(piece),
            f"{piece!r}: these are single characters. Take the longest piece, not the first.",
        )
        message = (
            f"{piece!r}: begin at the left. The first piece is the longest possible, whatever it leaves."
        )
        expect(got != ["ab", "cde"] and got != ["a", "aa", "aa"], message)
        expect(got == right, f"{piece!r}: another cut was expected, not {got}.")


def _pairs(merges: list) -> list[tuple]:
    return [tuple(pair) for pair in merges]
