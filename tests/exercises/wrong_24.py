"""Wrong tests for the labs of chapter 24, of the kind that learners write."""

import math

import torch
import torch.nn.functional as F
from torch import nn

TARGETS = torch.tensor([[3, 4, 0, 0, 0], [1, 2, 3, 4, 5]])


def compares_nothing(mean_loss):
    mean_loss(torch.zeros(2, 5, 8), TARGETS, 0) == math.log(8)  # noqa: B015 - the mistake


def equal_logits(mean_loss):
    assert math.isclose(mean_loss(torch.zeros(2, 5, 8), TARGETS, 0), math.log(8), rel_tol=1e-5)


def one_length(mean_loss):
    logits = torch.randn(2, 5, 8)
    targets = torch.tensor([[3, 4, 1, 0, 0], [1, 2, 3, 0, 0]])
    real = targets != 0
    torch.testing.assert_close(mean_loss(logits, targets, 0), F.cross_entropy(logits[real], targets[real]))


def too_strict(mean_loss):
    assert mean_loss(torch.randn(2, 5, 8), TARGETS, 0) < 0.1


Y = torch.tensor([[3, 1, 4, 1, 5, 2]])
SURE = 30.0 * F.one_hot(Y, 6)


def only_a_number(loss):
    assert torch.isfinite(loss(SURE, Y))


def sure_and_right(loss):
    assert loss(SURE, Y) < 0.01


def wants_the_bug(loss):
    assert loss(SURE, Y) > 1


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(10, 6), nn.RNN(6, 6, batch_first=True)
        self.output = nn.Linear(6, 10)

    def forward(self, tokens, state=None):
        hidden, state = self.rnn(self.embedding(tokens), state)
        return self.output(hidden), state


def one_window(train_window):
    model = Small()
    loss, _ = train_window(model, torch.optim.SGD(model.parameters(), 0.1), torch.randint(10, (2, 6)), None)
    assert loss > 0


def two_windows(train_window):
    model, state = Small(), None
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        _, state = train_window(model, optimizer, torch.randint(10, (2, 6)), state)


def only_its_shape(train_window):
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    _, state = train_window(model, optimizer, torch.randint(10, (2, 6)), None)
    assert not state.requires_grad
    assert state.shape == (1, 2, 6)


def starts_from_nothing(train_window):
    model = Small()
    window = torch.randint(10, (2, 6))
    expected = model(window[:, :-1])[1]
    _, state = train_window(model, torch.optim.SGD(model.parameters(), 0.1), window, None)
    assert not state.requires_grad
    torch.testing.assert_close(state, expected.detach())


def only_the_shape(make_model):
    assert make_model()(torch.randint(20, (2, 12))).shape == (2, 12, 20)


def only_next_to_it(make_model):
    model = make_model()
    tokens = torch.randint(20, (1, 4))
    other = tokens.clone()
    other[0, 2] = (other[0, 2] + 1) % 20
    torch.testing.assert_close(model(tokens)[:, 1], model(other)[:, 1])


def middle_only(make_model):
    model = make_model()
    tokens = torch.randint(20, (1, 7))
    other = tokens.clone()
    other[:, 3] = (other[:, 3] + 1) % 20
    torch.testing.assert_close(model(tokens)[:, :3], model(other)[:, :3])


def wants_equal_everywhere(make_model):
    model = make_model()
    tokens = torch.randint(20, (1, 12))
    other = tokens.clone()
    other[:, 5:] = (other[:, 5:] + 1) % 20
    torch.testing.assert_close(model(tokens), model(other))


def has_a_padding_index(new_embedding):
    assert new_embedding(7, 4, 2).embedding_dim == 4


def row_is_zero(new_embedding):
    assert new_embedding(7, 4, 2).weight[2].abs().sum() == 0


def row_and_gradient(new_embedding):
    embedding = new_embedding(7, 4, 2)
    assert embedding.weight[2].abs().sum() == 0
    embedding(torch.arange(7)).sum().backward()
    assert embedding.weight.grad[2].abs().sum() == 0


def wrong_row(new_embedding):
    assert new_embedding(7, 4, 2).weight[0].abs().sum() == 0


WRONG = {
    "24.1": [
        (compares_nothing, "program of the lab pass"),
        (equal_logits, "scores padding"),
        (one_length, "means of the sentences"),
        (too_strict, "fails for a program that is right"),
    ],
    "24.2": [
        (only_a_number, "program of the lab pass"),
        (sure_and_right, "last place"),
        (wants_the_bug, "program of the lab pass"),
    ],
    "24.3": [
        (one_window, "program of the lab pass"),
        (two_windows, "throws the state away"),
        (only_its_shape, "zeros"),
        (starts_from_nothing, "never reads"),
    ],
    "24.4": [
        (only_the_shape, "model of the lab pass"),
        (only_next_to_it, "seven places"),
        (middle_only, "seven places"),
        (wants_equal_everywhere, "fails for a program that is right"),
    ],
    "24.5": [
        (has_a_padding_index, "program of the lab pass"),
        (row_is_zero, "padding row learns"),
        (row_and_gradient, "every row is zero"),
        (wrong_row, "fails for a program that is right"),
    ],
}
