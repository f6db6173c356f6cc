"""Text from a model: all at once, several texts in one pass, or piece by piece while it is written.

A `Sampling` says how tokens are drawn; a `BeamSearch` in its place, that a likely whole text is looked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from lmcore.beam import BeamSearch, search_texts
from lmcore.errors import InputError
from lmcore.sampling import Sampling
from lmcore.streaming import LiveText
from lmcore.tokenizer import Tokenizer
from lmcore.writer import Token, Writer, set_up_for_writing


@dataclass(frozen=True)
class Written:
    """One text of a batch, and how it came about. Scores are nats below zero: natural logarithms.

    ``log_probs`` are under the model, every token allowed; ``drawn_log_probs`` under the distribution that an
    id was drawn from. A beam search draws nothing, so the second list is empty there.
    """

    text: str  # the prompt and what follows, cut before a stop string
    ids: list[int]  # what was written, with <eos> if the model ended the text, and with a whole stop string
    ended_by: str  # "eos", "stop" or "length"
    log_probs: list[float] = field(default_factory=list)  # of each id under the model, if asked for
    drawn_log_probs: list[float] = field(default_factory=list)  # as drawn; empty for a search


def generate_ids(
    model: nn.Module,
    prompt_ids: list[int],
    sampling: Sampling,
    eos_id: int,
    never: tuple[int, ...] = (),
) -> list[int]:
    """Ids that follow the prompt, up to ``max_new_tokens`` or to ``eos_id``, which is then the last.

    The prompt is read once; from then on each step feeds one token and the state. ``never`` lists
    ids that must not be drawn. The draws depend on ``sampling.seed`` only, not on global random state.
    Raises InputError for a prompt of 0 tokens, a top-k of more than all tokens, if a logit is no number, as
    damaged weights or a diverged run give, and if no token that may be drawn has a probability above 0.
    """
    return generate_batch_ids(model, [prompt_ids], sampling, eos_id, never)[0]


def generate_batch_ids(
    model: nn.Module,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    eos_id: int,
    never: tuple[int, ...] = (),
) -> list[list[int]]:
    """What `generate_ids` gives for each prompt, in one pass over all (see `Writer`).

    The prompt at index i is drawn for with the seed ``sampling.seed`` + i. Raises InputError as it does.
    """
    writer = Writer(model, prompts, sampling, eos_id, never)
    with set_up_for_writing(model, len(prompts), sampling.max_new_tokens):
        while writer.rows:
            writer.step()
    return [writer.new_ids(row) for row in range(len(prompts))]


def generate(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: Sampling | BeamSearch | None = None,
    stop: str | Sequence[str] = (),
) -> str:
    """The prompt and what the model writes after it; ends at ``<eos>`` or after ``max_new_tokens``.

    With a `BeamSearch` it is the best text that the search finds. It also ends before any of the strings in
    ``stop``, which may span tokens. ``<pad>``, ``<unk>`` and ``<bos>`` are never written: they have no text.
    An empty prompt starts a new document. Raises InputError for a prompt with a piece that the tokenizer does
    not know, an empty stop string, and as `generate_ids` or `beam_search_ids`.
    """
    return generate_batch(model, tokenizer, [prompt], sampling, stop)[0].text


def generate_batch(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling: Sampling | BeamSearch | None = None,
    stop: str | Sequence[str] = (),
    scores: bool = False,
) -> list[Written]:
    """What `generate` gives for each prompt, and more about it.

    Tokens are drawn for all prompts in one pass (see `Writer`), for the prompt at index i with the seed
    ``sampling.seed`` + i. All rows are held at once: a step takes about 32 bytes per row and token of the
    vocabulary. With a `BeamSearch` the prompts are searched one after the other. ``scores`` asks for the
    log-probabilities of each token. Raises InputError as `generate` does.
    """
    if isinstance(sampling, BeamSearch):
        return _search(model, tokenizer, prompts, sampling, stop, scores)
    writer, texts = _begin(model, tokenizer, prompts, sampling or Sampling(), stop, scores)
    tokens: list[list[Token]] = [[] for _ in prompts]
    with set_up_for_writing(model, len(prompts), writer.sampling.max_new_tokens):
        while writer.rows:
            for token in writer.step():
                tokens[token.row].append(token)
                if stop and token.id != tokenizer.eos_id:
                    texts[token.row].push(token.id)
            if stop:
                writer.end([row for row in writer.rows if texts[row].stopped])
    for ids, text in zip(writer.texts, texts, strict=True):
        if stop:
            text.finish()
        else:
            text.text = tokenizer.decode(ids)  # all at once is sooner than token by token
    return [_written(*parts, tokenizer.eos_id, scores) for parts in zip(texts, tokens, strict=True)]


def _search(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    search: BeamSearch,
    stop: str | Sequence[str],
    scores: bool,
) -> list[Written]:
    for prompt in prompts:
        tokenizer.encode_prompt(prompt)  # a bad one shows before any work
    found = []
    for prompt in prompts:
        best, text = search_texts(model, tokenizer, prompt, search, stop)[0]
        ended_by = _ended_by(text, best.ids, tokenizer.eos_id)
        found.append(Written(text.text, best.ids, ended_by, list(best.log_probs) if scores else []))
    return found


def stream(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompt: str,
    sampling: Sampling | BeamSearch | None = None,
    stop: str | Sequence[str] = (),
) -> Iterator[str]:
    """`generate` in pieces: the prompt, then what is written, each piece as soon as it is sure.

    Joined they are what `generate` returns. A piece ends with a whole character and holds no beginning
    of a stop string. The prompt is checked at once, and raises InputError as `generate` does; the model
    runs while the pieces are taken, in evaluation mode. Meanwhile leave its weights as they are, and begin no
    other stream with it: the first to end would undo what the other has set up. A `BeamSearch` is refused.
    """
    if isinstance(sampling, BeamSearch):
        raise InputError("a BeamSearch cannot be streamed: no text is sure before the search ends")
    writer, (text,) = _begin(model, tokenizer, [prompt], sampling or Sampling(), stop, scores=False)
    return (piece for piece in _pieces(writer, text) if piece)


def _pieces(writer: Writer, text: LiveText) -> Iterator[str]:
    yield text.text
    with set_up_for_writing(writer.model, 1, writer.sampling.max_new_tokens):
        while writer.rows and not text.stopped:
            for token in writer.step():
                if token.id != writer.eos_id:
                    yield text.push(token.id)
    yield text.finish()


def _begin(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling: Sampling,
    stop: str | Sequence[str],
    scores: bool,
) -> tuple[Writer, list[LiveText]]:
    """Everything checked and encoded, and no token written."""
    sampling.check_vocabulary(tokenizer.vocab_size)
    never = [i for i in tokenizer.special_ids if i != tokenizer.eos_id]
    encoded = [tokenizer.encode_prompt(prompt) for prompt in prompts]
    writer = Writer(model, encoded, sampling, tokenizer.eos_id, never, scores)
    stops = [stop] if isinstance(stop, str) else stop
    return writer, [LiveText(tokenizer, ids, stops) for ids in encoded]


def _written(text: LiveText, tokens: list[Token], eos_id: int, scores: bool) -> Written:
    ids = [token.id for token in tokens]
    ended_by = _ended_by(text, ids, eos_id)
    if not scores:
        return Written(text.text, ids, ended_by)
    log_probs = [token.log_prob for token in tokens]
    return Written(text.text, ids, ended_by, log_probs, [token.drawn_log_prob for token in tokens])


def _ended_by(text: LiveText, ids: list[int], eos_id: int) -> str:
    return "stop" if text.stopped else "eos" if ids and ids[-1] == eos_id else "length"
