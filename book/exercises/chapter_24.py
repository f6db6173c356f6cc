"""Chapter 24, labs: mistakes in what a network is trained on, and in how."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmcore_exercises.checking import exercise
from lmcore_exercises.testing import examine_test


@exercise("24.1")
def mean_loss(test: Callable) -> None:
    """A loss in which padding must not count."""

    def divided_by_all(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
        flat, y = logits.flatten(0, 1), targets.flatten()
        return F.cross_entropy(flat, y, ignore_index=pad_id, reduction="sum") / len(y)

    def padding_scored(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def mean_of_means(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
        rows = zip(logits, targets, strict=True)
        return torch.stack([F.cross_entropy(x[y != pad_id], y[y != pad_id]) for x, y in rows]).mean()

    def library(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
        """torch's ignore_index"""
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=pad_id)

    def by_mask(logits: Tensor, targets: Tensor, pad_id: int) -> Tensor:
        """a mask, a sum and one division"""
        nats = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        real = targets != pad_id
        return (nats * real).sum() / real.sum()

    broken = {
        "the test lets the program of the lab pass. Put padding into the targets, and work out by another "
        "way what the loss has to be.": divided_by_all,
        "the test lets a program pass that scores padding like any other target. Equal logits hide "
        "that: every target costs ln V then. Take logits that differ.": padding_scored,
        "the test lets a program pass that averages the means of the sentences. Take sentences of different "
        "lengths.": mean_of_means,
    }
    examine_test(test, [library, by_mask], broken)


@exercise("24.2")
def next_token_loss(test: Callable) -> None:
    """A loss for targets that are shifted already."""

    def shifted_again(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())

    def shifted_back(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, 1:].flatten(0, 1), y[:, :-1].flatten())

    def last_left_out(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, :-1].flatten())

    def library(logits: Tensor, y: Tensor) -> Tensor:
        """every logit against the target at its own place"""
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    def by_hand(logits: Tensor, y: Tensor) -> Tensor:
        """the same with log_softmax and gather"""
        return -logits.log_softmax(-1).gather(-1, y[..., None]).mean()

    broken = {
        "the test lets the program of the lab pass. Make logits that are sure of y[:, t] at place t: "
        "what must their loss be?": shifted_again,
        "the test lets a program pass that is shifted the other way.": shifted_back,
        "the test lets a program pass that leaves out the last place. Make the last logits matter: let them "
        "be wrong.": last_left_out,
    }
    examine_test(test, [library, by_hand], broken)


@exercise("24.3")
def train_window(test: Callable) -> None:
    """A training step whose state goes on to the next window while the gradient stays."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, window: Tensor, state: Tensor | None):
        logits, new = model(window[:, :-1], state)
        loss = F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), new

    def thrown_away(*arguments):
        return step(*arguments)[0], None

    def zeroed(*arguments):
        loss, state = step(*arguments)
        return loss, torch.zeros_like(state).detach()

    def not_read(model, optimizer, window, state):
        loss, new = step(model, optimizer, window, None)
        return loss, new.detach()

    def detached(*arguments):
        """the state is detached on its way out"""
        loss, state = step(*arguments)
        return loss, state.detach()

    def cloned(*arguments):
        """the state leaves as a copy without a graph"""
        loss, state = step(*arguments)
        return loss, state.detach().clone()

    broken = {
        "the test lets the program of the lab pass. How does a tensor show that it hangs on a graph?": step,
        "the test lets a program pass that throws the state away. That stops the error and the memory, too: "
        "compare the state with what the model itself returns.": thrown_away,
        "the test lets a program pass that returns zeros for a state. Compare the numbers.": zeroed,
        "the test lets a program pass that never reads the state which it is given. Hand over a state "
        "that is not zero.": not_read,
    }
    examine_test(test, [detached, cloned], broken)


class _Reads(nn.Module):
    """Tokens to logits through one way of looking at the sequence."""

    def __init__(self, look: Callable[[Tensor], Tensor]):
        super().__init__()
        self.embedding, self.output = nn.Embedding(20, 8), nn.Linear(8, 20)
        self.look = look

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self.look(self.embedding(tokens)))


@exercise("24.4")
def make_model(test: Callable) -> None:
    """A model that may look back and must not look ahead."""

    def one_ahead() -> nn.Module:
        layer = nn.Conv1d(8, 8, kernel_size=3, padding=1)
        return _Reads(lambda x: layer(x.transpose(1, 2)).transpose(1, 2))

    def mean_of_all() -> nn.Module:
        return _Reads(lambda x: x - x.mean(dim=1, keepdim=True))

    def far_ahead() -> nn.Module:
        return _Reads(lambda x: x + x.roll(-7, dims=1))

    def convolution() -> nn.Module:
        """a convolution, padded on the left"""
        layer = nn.Conv1d(8, 8, kernel_size=3)
        return _Reads(lambda x: layer(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2))

    def recurrent() -> nn.Module:
        """a recurrent layer"""
        layer = nn.GRU(8, 8, batch_first=True)
        return _Reads(lambda x: layer(x)[0])

    broken = {
        "the test lets the model of the lab pass. Change a token, and look at the logits at the places "
        "before it.": one_ahead,
        "the test lets a model pass that takes the mean of the whole sequence.": mean_of_all,
        "the test lets a model pass that looks seven places ahead. Take at least ten tokens, and change each "
        "place in turn or all places from t on.": far_ahead,
    }
    examine_test(test, [convolution, recurrent], broken)


@exercise("24.5")
def new_embedding(test: Callable) -> None:
    """An embedding whose padding row is zero and stays zero."""

    def overwritten(V: int, D: int, pad_id: int) -> nn.Embedding:
        embedding = nn.Embedding(V, D, padding_idx=pad_id)
        nn.init.xavier_uniform_(embedding.weight)
        return embedding

    def learns(V: int, D: int, pad_id: int) -> nn.Embedding:
        embedding = nn.Embedding(V, D)
        with torch.no_grad():
            embedding.weight[pad_id].zero_()
        return embedding

    def all_zero(V: int, D: int, pad_id: int) -> nn.Embedding:
        embedding = nn.Embedding(V, D, padding_idx=pad_id)
        nn.init.zeros_(embedding.weight)
        return embedding

    def xavier(V: int, D: int, pad_id: int) -> nn.Embedding:
        """Xavier, and then the row set back to zero"""
        embedding = overwritten(V, D, pad_id)
        with torch.no_grad():
            embedding.weight[pad_id].zero_()
        return embedding

    def normal(V: int, D: int, pad_id: int) -> nn.Embedding:
        """torch's own start"""
        return nn.Embedding(V, D, padding_idx=pad_id)

    broken = {
        "the test lets the program of the lab pass. Look at the row of the padding token.": overwritten,
        "the test lets an embedding pass whose padding row learns. Let a loss use the row, call backward, "
        "and look at its gradient.": learns,
        "the test lets an embedding pass in which every row is zero.": all_zero,
    }
    examine_test(test, [xavier, normal], broken)
