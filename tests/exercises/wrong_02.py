"""Wrong answers to the exercises of chapter 2, of the kind that learners write."""

import math


def forgets_specials_and_bytes(merges, vocab_size):
    return merges[:vocab_size]


def forgets_specials(merges, vocab_size):
    return merges[: vocab_size - 256]


def last_ones(merges, vocab_size):
    return merges[-(vocab_size - 260) :]


def how_many(merges, vocab_size):
    return vocab_size - 260


def nats_per_byte(perplexity, bytes_per_token):
    return math.log(perplexity) / bytes_per_token


def bits_per_token(perplexity, bytes_per_token):
    return math.log2(perplexity)


def multiplied_with_ln_2(perplexity, bytes_per_token):
    return math.log(perplexity) * math.log(2) / bytes_per_token


def without_logarithm(perplexity, bytes_per_token):
    return perplexity / bytes_per_token


def characters(encode, texts):
    return sum(map(len, texts)) / sum(len(encode(text)) for text in texts)


def mean_of_ratios(encode, texts):
    return sum(len(text.encode()) / len(encode(text)) for text in texts) / len(texts)


def joined_first(encode, texts):
    text = "".join(texts)
    return len(text.encode()) / len(encode(text))


def tokens_per_byte(encode, texts):
    return sum(len(encode(text)) for text in texts) / sum(len(text.encode()) for text in texts)


def shortest_match(piece, vocabulary):
    pieces = []
    while piece:
        end = next(n for n in range(1, len(piece) + 1) if piece[:n] in vocabulary)
        pieces.append(piece[:end])
        piece = piece[end:]
    return pieces


def from_the_right(piece, vocabulary):
    pieces = []
    while piece:
        start = next(n for n in range(len(piece)) if piece[n:] in vocabulary)
        pieces.insert(0, piece[start:])
        piece = piece[:start]
    return pieces


def first_piece_only(piece, vocabulary):
    return [max((token for token in vocabulary if piece.startswith(token)), key=len)]


WRONG = {
    "2.1": [
        ([["h", "i", "the", "r"], ["he", "re"]], "blank is missing"),
        ([[" ", "h", "i", "t", "he", "r"], ["he", "re"]], "can still be made"),
        ([[" ", "h", "i", "the", "r"], ["here"]], "no merge makes 'here'"),
        ([" hither", "here"], "two lists"),
    ],
    "2.2": [
        (forgets_specials_and_bytes, "not every token comes from a merge"),
        (forgets_specials, "four special tokens"),
        (last_ones, "learned last"),
        (how_many, "that is a number"),
    ],
    "2.3": [
        (nats_per_byte, "in nats"),
        (bits_per_token, "bits per token"),
        (multiplied_with_ln_2, "multiplied by ln 2"),
        (without_logarithm, "logarithm first"),
    ],
    "2.4": [
        (characters, "counts characters"),
        (mean_of_ratios, "divide once"),
        (joined_first, "across the border"),
        (tokens_per_byte, "wrong way round"),
    ],
    "2.5": [
        (shortest_match, "single characters"),
        (from_the_right, "begin at the left"),
        (first_piece_only, "until nothing is left"),
    ],
}
