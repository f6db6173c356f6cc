"""Counting models under the same contract as the neural ones: tokens in, logits out.

Their logits are natural-log probabilities (the logsumexp of a row is 0), and they also score given targets
without making rows of V. Left out: back-off without interpolation. `lmcore.prune` makes smaller ones.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.snapshot import read_snapshot, write_snapshot
from lmcore.tokens import Tokens


class UnigramLM(nn.Module):
    """Each token as often as in the training text, whatever came before; every count plus one.

    Its loss on held-out text is the level that a network reaches by learning frequencies alone.
    """

    def __init__(self, documents: Iterable[np.ndarray], vocab_size: int):
        super().__init__()
        counts = 1.0 + Tokens.of(documents).count_predicted(vocab_size)
        self.register_buffer("log_probs", torch.from_numpy(np.log(counts / counts.sum())).float())

    @property
    def vocab_size(self) -> int:
        return len(self.log_probs)

    def forward(self, tokens: Int[Tensor, "B T"], state=None) -> tuple[Float[Tensor, "B T V"], None]:
        """The same row at every position; there is no state."""
        return self.log_probs.expand(*tokens.shape, -1), None

    def target_nats(
        self, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state=None
    ) -> tuple[Float[Tensor, "B T"], None]:
        """Nats of each target, without making rows of V; there is no state."""
        return -self.log_probs[targets], None


class NGramTable(nn.Module):
    """What the n-grams of one length say: who gets how much after a context, and what is left over.

    ``share`` (M + 1,): the probability that an n-gram's last token gets after the tokens before it;
    ``rest`` (C + 1,): what is left over after each of those. The last entry of each, which index -1 finds,
    stands for everything never seen: share 0, rest 1.
    """

    def __init__(self, keys: Int[Tensor, " M"], share: Float[Tensor, " M1"], rest: Float[Tensor, " C1"]):
        super().__init__()
        self.register_buffer("keys", keys)
        self.register_buffer("share", share)
        self.register_buffer("rest", rest)

    def find(self, keys: Int[Tensor, "*S"]) -> Int[Tensor, "*S"]:
        """Places of n-grams by their keys, -1 for one that is not there."""
        if not len(self.keys):
            return torch.full_like(keys, -1)
        places = torch.searchsorted(self.keys, keys.contiguous()).clamp_(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == keys, places, -1)

    def shares(self, contexts: Int[Tensor, " N"], vocab_size: int) -> Float[Tensor, "N V"]:
        """The share of every token after each context, most of them 0."""
        dense = self.share.new_zeros(len(contexts), vocab_size)
        # the n-grams of a context lie side by side; -1, which was never seen, has none: keys begin at 0
        edges = torch.stack([contexts, contexts + 1]) * vocab_size
        for row, (start, stop) in zip(dense, torch.searchsorted(self.keys, edges).T.tolist(), strict=True):
            if start < stop:
                row[self.keys[start:stop] % vocab_size] = self.share[start:stop]
        return dense


class NGramLM(nn.Module):
    """Predicts a token from the ``order`` - 1 tokens before it, by tables for n-grams of length 1..order.

    From the shortest to the longest: probability = share + rest * (probability after the context without
    its first token); before the first table every token has 1 / V. With ``to_all`` the rest goes to all
    tokens alike instead, and the longest context that the text has room for decides alone.

    The state is the last ``order`` - 1 tokens and nothing else, so that a text may be cut anywhere. Carried
    from one document into the next it does no harm: no context across the border was ever counted, so the
    model falls back to the tokens from ``<bos>`` on (with ``to_all``: to all tokens alike).

    Made by `lmcore.smoothing`; ``about`` says how, as JSON can hold it.
    """

    def __init__(self, vocab_size: int, tables: Sequence[NGramTable], to_all: bool, about: dict[str, Any]):
        super().__init__()
        self.vocab_size, self.to_all, self.about = vocab_size, to_all, about
        self.tables = nn.ModuleList(tables)

    @property
    def order(self) -> int:
        return len(self.tables)

    @property
    def num_ngrams(self) -> list[int]:
        """How many different n-grams of each length 1..order are kept (of length 1: all V tokens)."""
        return [len(table.keys) for table in self.tables]

    def extra_repr(self) -> str:
        return f"order={self.order}, {self.about}"

    def forward(
        self, tokens: Int[Tensor, "B T"], state: Int[Tensor, "B S"] | None = None
    ) -> tuple[Float[Tensor, "B T V"], Int[Tensor, "B S2"]]:
        """Natural-log probabilities (float64) of all tokens, and the last order - 1 tokens.

        For generation and for looking at; several times as much memory as its result. A probability of 0,
        which maximum likelihood gives, is a logit of minus infinity.
        """
        contexts, state = self._read(tokens, state)
        probs = self.tables[0].share.new_full((*tokens.shape, self.vocab_size), 1 / self.vocab_size)
        for table, (context, there) in zip(self.tables, contexts, strict=True):
            shares = table.shares(context.flatten(), self.vocab_size).view_as(probs)
            probs = self._mix(probs, shares, table.rest[context][..., None], there[:, None])
        return probs.log_(), state

    def target_nats(
        self, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], state: Int[Tensor, "B S"] | None = None
    ) -> tuple[Float[Tensor, "B T"], Int[Tensor, "B S2"]]:
        """Nats (float64) of each target, without making rows of V, and the last order - 1 tokens."""
        contexts, state = self._read(inputs, state)
        self._check(targets)
        probs = self.tables[0].share.new_full(targets.shape, 1 / self.vocab_size)
        for table, (context, there) in zip(self.tables, contexts, strict=True):
            shares = table.share[table.find(context * self.vocab_size + targets)]
            probs = self._mix(probs, shares, table.rest[context], there)
        return -probs.log_(), state

    def _mix(self, shorter: Tensor, share: Tensor, rest: Tensor, there: Tensor) -> Tensor:
        """One table on top of the shorter ones. ``there``: the text is long enough for its context."""
        if self.to_all:
            return torch.where(there, share + rest / self.vocab_size, shorter)
        return share + rest * shorter

    def _read(self, tokens: Tensor, state: Tensor | None) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """For each table the places of its contexts (B, T), and whether each is there (T,); the new state.

        A place is -1 where the context was never seen, or where the text has not enough tokens for it.
        """
        self._check(tokens)
        text = tokens if state is None else torch.cat([state, tokens], dim=1)
        T, total = tokens.shape[1], text.shape[1]
        known = torch.arange(total - T + 1, total + 1, device=text.device)  # tokens up to each position
        places = [torch.zeros_like(text), text][: self.order]  # of the last 0 tokens, and of the last one
        for table in self.tables[1:-1]:
            earlier = F.pad(places[-1][:, :-1], (1, 0), value=-1)
            places.append(table.find(earlier * self.vocab_size + text))
        contexts = [(place[:, total - T :], known >= length) for length, place in enumerate(places)]
        return contexts, text[:, max(0, total - self.order + 1) :]

    def _check(self, tokens: Tensor) -> None:
        # an id outside would not fail: its keys are those of other n-grams
        outside = (tokens < 0) | (tokens >= self.vocab_size)
        if outside.any():
            raise InputError(f"token {int(tokens[outside][0])} is outside vocab_size {self.vocab_size}")

    def save(self, path: str | Path) -> None:
        """Write one file with its own checksum (see `lmcore.snapshot`), whole or not at all."""
        about = {"vocab_size": self.vocab_size, "to_all": self.to_all, "about": self.about}
        write_snapshot(path, self.state_dict(), {"ngram": about})

    @classmethod
    def load(cls, path: str | Path) -> "NGramLM":
        """Read what `save` wrote; raises InputError if it is missing, damaged or something else."""
        try:
            found, parts = read_snapshot(path)
            about = found["ngram"]
            tables = [
                NGramTable(*(parts[f"tables.{k}.{name}"] for name in ("keys", "share", "rest")))
                for k in range(len(parts) // 3)
            ]
            return cls(about["vocab_size"], tables, about["to_all"], about["about"])
        except FileNotFoundError:
            raise InputError(f"there is no n-gram model at {path}") from None
        except (KeyError, TypeError):
            raise InputError(f"{path} is not an n-gram model: it holds something else") from None
        except InputError as error:
            raise InputError(f"{path} is not an n-gram model: {error}") from None
