"""What a trained model is good for besides writing: completing, choosing, correcting, ranking.

All of it is one number, the probability of a text after another one, put to several uses. Left out: words of
several tokens in `complete` and `complete_word`, and errors that make one known word of another in
`correct_word`.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lmcore.errors import InputError
from lmcore.mixture import nats_of_targets
from lmcore.tokenizer import Tokenizer
from lmcore.writer import device_of, next_logits, select_rows


@torch.no_grad()
def text_log_probs(
    model: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], context: str = "", batch_size: int = 64
) -> Float[Tensor, " N"]:
    """ln P(text | context) of each text, in nats (below zero), float64 on the CPU.

    The context is read once, from ``<bos>`` on, and its state serves all texts. They are encoded apart from
    it, so a text that goes on with a new word begins with a blank. ``<eos>`` is not predicted: a text may go
    on. Texts of similar length are read side by side, ``batch_size`` at a time, padded on the right; this
    is a matter of speed and changes no number, apart from rounding.

    Raises InputError for no texts, a text of 0 tokens, a piece that the tokenizer does not know, and a
    ``batch_size`` below 1.
    """
    before = tokenizer.encode_prompt(context)
    rows = [tokenizer.encode_prompt(text)[1:] for text in texts]
    _check_rows(rows, batch_size)
    was_training = model.training
    model.eval()
    try:
        state = _state_after(model, before[:-1], before[1:])
        return _log_probs(model, state, [[before[-1], *row] for row in rows], tokenizer.pad_id, batch_size)
    finally:
        model.train(was_training)


def _check_rows(rows: list[list[int]], batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    if not rows:
        raise InputError("there are 0 texts to score; at least 1 is needed")
    for index, row in enumerate(rows):
        if not row:
            raise InputError(f"text {index} of {len(rows)} (from 0) has 0 tokens; at least 1 is needed")


def _state_after(model: nn.Module, inputs: list[int], targets: list[int]) -> Any:
    """The state of one row that has read the inputs; with targets, counting models make no rows of V."""
    if not inputs:
        return None
    rows = torch.tensor([inputs, targets], device=device_of(model))
    return nats_of_targets(model, rows[:1], rows[1:])[1]


def _log_probs(
    model: nn.Module, state: Any, rows: list[list[int]], pad_id: int, batch_size: int
) -> Float[Tensor, " N"]:
    """Of all tokens but the first of each row, which follows the state."""
    device = device_of(model)
    found = torch.empty(len(rows), dtype=torch.float64)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # less padding
    for start in range(0, len(order), batch_size):
        group = order[start : start + batch_size]
        lengths = torch.tensor([len(rows[index]) - 1 for index in group])
        ids = pad_sequence([torch.tensor(rows[index]) for index in group], True, pad_id).to(device)
        own_state = select_rows(state, [0] * len(group), device)
        nats, _ = nats_of_targets(model, ids[:, :-1], ids[:, 1:], own_state)  # (B, T)
        padding = torch.arange(nats.shape[1]) >= lengths[:, None]
        # filled, not multiplied by 0: a counting model may hold padding impossible, and 0 * inf is no number
        found[group] = -nats.cpu().double().masked_fill(padding, 0).sum(dim=1)
    return found


def rescore(
    model: nn.Module, tokenizer: Tokenizer, candidates: Mapping[str, float], context: str = ""
) -> list[tuple[str, float]]:
    """The candidates with their scores, best first: ln P(text | context) + what they bring along.

    ``candidates`` maps each text to the logarithm that another model gives it: of the sound for speech, of
    the source for a translation; 0.0 where there is none. Of equal scores the text that is first in the
    alphabet comes first, and the order of the candidates changes nothing. Raises InputError as
    `text_log_probs`. Source: the N-best lists that Mikolov et al. (2010) rescored with a recurrent network.
    """
    texts = sorted(candidates)
    scores = text_log_probs(model, tokenizer, texts, context).tolist()
    scored = [(text, score + candidates[text]) for text, score in zip(texts, scores, strict=True)]
    return sorted(scored, key=lambda pair: -pair[1])


def prefers_first(
    model: nn.Module, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]
) -> Bool[Tensor, " N"]:
    """Whether the first text of each pair is the likelier one; of two equally likely ones it is not.

    For minimal pairs, a sentence and the same with one error (Marvin and Linzen 2018). The lengths differ
    little in them, so nothing is divided by the length. Raises InputError as `text_log_probs`.
    """
    texts = [text for pair in pairs for text in pair]
    first, second = text_log_probs(model, tokenizer, texts).view(-1, 2).unbind(dim=1)
    return first > second


def complete_word(
    log_probs: Float[Tensor, " V"], words: Mapping[str, int], typed: str, k: int = 3
) -> list[str]:
    """The ``k`` likeliest words that begin with what was ``typed``, best first; fewer where there are fewer.

    ``log_probs`` is what a model says of the next token (logits will do: only their order counts), ``words``
    maps words to the ids of their tokens. Of equally likely words the first in the alphabet comes first.
    Raises InputError for a ``k`` below 1.
    """
    if k < 1:
        raise InputError(f"k is {k}; it must be at least 1")
    scores = log_probs.tolist()
    fitting = sorted(word for word in words if word.startswith(typed))
    return sorted(fitting, key=lambda word: -scores[words[word]])[:k]


@torch.no_grad()
def complete(
    model: nn.Module, tokenizer: Tokenizer, text: str, typed: str, words: Mapping[str, int], k: int = 3
) -> list[str]:
    """What `complete_word` offers after a text: the ``k`` likeliest words that begin with what was ``typed``.

    ``words`` maps words to the ids of their tokens; the text ends where the word begins, before its blank.
    Raises InputError for a text with a piece that the tokenizer does not know, and for a ``k`` below 1.
    """
    was_training = model.training
    model.eval()
    try:
        tokens = torch.tensor([tokenizer.encode_prompt(text)], device=device_of(model))
        logits, _ = next_logits(model, tokens, None)  # (1, V)
        return complete_word(logits[0], words, typed, k)
    finally:
        model.train(was_training)


def misspellings(word: str) -> set[str]:
    """All strings that one typing error makes of a word; the letters typed wrongly are those from a to z.

    The four kinds of Damerau (1964): a letter too many, one left out, a wrong one, two neighbours exchanged.
    """
    found = set()
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        found |= {head + letter + tail for letter in ascii_lowercase}
        if tail:
            found |= {head + letter + tail[1:] for letter in ascii_lowercase} | {head + tail[1:]}
        if len(tail) > 1:
            found.add(head + tail[1] + tail[0] + tail[2:])
    return found - {word}


def correct_word(
    model: nn.Module, tokenizer: Tokenizer, before: str, typo: str, after: str, words: Collection[str]
) -> list[tuple[str, float]]:
    """Words that ``typo`` may stand for in ``before + typo + after``, with their scores, best first.

    A score is ln P(typo | word) + ln P(sentence with the word): a noisy channel (Kernighan, Church and Gale
    1990), and one that knows next to nothing of typing, since each of a word's `misspellings` is as likely
    as any other. Nothing comes back where none of the ``words``, which are of lower-case letters, is one
    error away. Raises InputError as `text_log_probs`.
    """
    channel = {
        before + word + after: -math.log(len(misspellings(word)))
        for word in misspellings(typo).intersection(words)
    }
    ranked = rescore(model, tokenizer, channel) if channel else []
    return [(text.removeprefix(before).removesuffix(after), score) for text, score in ranked]


def rank_documents(
    model: nn.Module, tokenizer: Tokenizer, query: str, documents: Sequence[str]
) -> list[tuple[int, float]]:
    """The documents by how likely the query is after each of them: their indices and ln P, best first.

    The model reads a document and says how likely the query, behind a blank, is as what comes next. Of two
    equal scores the document that is given first comes first. A document costs one reading per query.
    Raises InputError for no documents, and as `text_log_probs`.
    """
    if not documents:
        raise InputError("there are 0 documents to rank; at least 1 is needed")
    scores = [text_log_probs(model, tokenizer, [" " + query], document).item() for document in documents]
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


class QueryLikelihood:
    """How likely a query is under each of some documents: a unigram model of each, mixed with one of all.

    P(word | document) = (its count there + mu P(word | all documents)) / (words there + mu), a Dirichlet
    prior (Zhai and Lafferty 2004); ranking by the likelihood of the query is Ponte and Croft's (1998). The
    larger ``mu`` (in words), the less a document's own counts say. Documents and queries are lists of words.
    Raises InputError for documents without any word, and for a ``mu`` not above 0.
    """

    def __init__(self, documents: Sequence[Sequence[str]], mu: float):
        if not 0 < mu < math.inf:
            raise InputError(f"mu is {mu}; it must be above 0")
        self.mu = mu
        self.counts = [Counter(document) for document in documents]
        self.lengths = torch.tensor([counts.total() for counts in self.counts], dtype=torch.float64)
        self.shared = Counter(word for document in documents for word in document)
        if not self.shared:
            raise InputError(f"{len(documents)} documents hold 0 words; at least 1 is needed")

    def log_probs(self, query: Sequence[str]) -> Float[Tensor, " N"]:
        """ln P(query | document) for each document, float64.

        Words that are in no document tell none from another and are left out. Raises InputError if no
        others are left.
        """
        known = [word for word in query if self.shared[word]]
        if not known:
            raise InputError(f"0 of {len(query)} words of the query are in a document; at least 1 is needed")
        shared = torch.tensor([self.shared[word] for word in known], dtype=torch.float64)
        counts = torch.tensor([[own[word] for word in known] for own in self.counts])  # (N, words)
        smoothed = counts + self.mu * shared / self.shared.total()
        return (smoothed / (self.lengths[:, None] + self.mu)).log().sum(dim=1)
