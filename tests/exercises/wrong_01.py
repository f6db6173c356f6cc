"""Wrong answers to the exercises of chapter 1, of the kind that learners write."""

from fractions import Fraction


def walked(follows, steps, chance):
    """The finished probability per step, and a way to spoil the chance of each step."""
    at, finished = {"<bos>": 1.0}, []
    for _ in range(steps):
        new = {}
        for before, p in at.items():
            for word in follows[before]:
                new[word] = new.get(word, 0.0) + chance(p, follows[before], word)
        finished.append(new.pop("<eos>", 0.0))
        at = new
    return finished


def counted(p, counts, word):
    return p * counts[word] / counts.total()


def one_step_short(follows, n):
    return sum(walked(follows, n, counted))


def exactly_n(follows, n):
    return walked(follows, n + 1, counted)[-1]


def equal_shares(follows, n):
    return sum(walked(follows, n + 1, lambda p, counts, word: p / len(counts)))


def forgets_the_way(follows, n):
    return sum(walked(follows, n + 1, lambda p, counts, word: counts[word] / counts.total()))


def unfinished(follows, n):
    return 1 - sum(walked(follows, n + 1, counted))


def through_the_product(p):
    return -p.prod().log()


def sum_of_logs(p):
    return p.log().sum()


def bits(p):
    return -p.log2().sum()


def mean_surprise(p):
    return -p.log().mean()


def language_model_alone(log_p, log_fit):
    return log_p.softmax(dim=0)


def products_only(log_p, log_fit):
    return (log_p + log_fit).exp()


def without_a_shift(log_p, log_fit):
    weights = (log_p + log_fit).exp()
    return weights / weights.sum()


def logarithms(log_p, log_fit):
    return log_p + log_fit


def multiplied(log_p, log_fit):
    return (log_p * log_fit).softmax(dim=0)


WRONG = {
    "1.1": [
        ([1, 2 / 6, 1 / 2, 1, 1 / 6], "end is a factor"),
        ([1, 1 / 4, 1 / 2, 1, 1 / 4, 1], "not the different words"),
        ([1 / 2, 1, 1, 1 / 6, 1, 1 / 3], "turned round"),
        (Fraction(1, 36), "one number"),
        ([1, 2 / 6, 1 / 2, 1, 2 / 6, 1], r"P\(rug \| the\) again"),
    ],
    "1.2": [
        (one_step_short, "n \\+ 1 steps"),
        (exactly_n, "exactly n words"),
        (equal_shares, "same share"),
        (forgets_the_way, "above 1"),
        (unfinished, "not finished yet"),
    ],
    "1.3": [
        (through_the_product, "Avoid the product"),
        (sum_of_logs, "sign is turned round"),
        (bits, "in bits"),
        (mean_surprise, "mean per token"),
    ],
    "1.4": [
        (language_model_alone, "sound has no part"),
        (products_only, "sum to one"),
        (without_a_shift, "Move them up"),
        (logarithms, "still logarithms"),
        (multiplied, "logarithm of a product"),
    ],
}
