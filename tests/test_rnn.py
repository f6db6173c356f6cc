"""RecurrentLM: the same numbers as PyTorch's modules, and no look at the future."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from lmcore.errors import InputError
from lmcore.rnn import RecurrentLM, RNNConfig

V, D, B, T = 20, 8, 3, 7


def make(**changes) -> RecurrentLM:
    """A float64 model whose biases are not zero."""
    torch.manual_seed(2)
    model = RecurrentLM(RNNConfig(**{"vocab_size": V, "emb_dim": D, **changes})).double()
    for name, parameter in model.named_parameters():
        if name.endswith(("b", "bias")):
            nn.init.normal_(parameter)
    return model


def tokens() -> torch.Tensor:
    return torch.randint(1, V, (B, T), generator=torch.Generator().manual_seed(3))


def state_like(model: RecurrentLM) -> list[torch.Tensor]:
    return [torch.randn(B, D, dtype=torch.float64) for _ in model.layers]


def torch_twin(model: RecurrentLM) -> nn.RNN:
    rnn = nn.RNN(D, D, len(model.layers), batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for i, layer in enumerate(model.layers):
            getattr(rnn, f"weight_ih_l{i}").copy_(layer.W.t())
            getattr(rnn, f"weight_hh_l{i}").copy_(layer.U.t())
            getattr(rnn, f"bias_ih_l{i}").copy_(layer.b)
            getattr(rnn, f"bias_hh_l{i}").zero_()
    return rnn


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_torch_rnn_with_gradients(num_layers):
    model = make(num_layers=num_layers)
    rnn, state = torch_twin(model), state_like(model)
    logits, new_state = model(tokens(), state)
    outputs, last = rnn(model.embedding(tokens()), torch.stack(state))
    expected = outputs @ model.output.weight.t() + model.output.bias
    close(logits, expected)
    close(torch.stack(new_state), last)

    outside = [model.embedding.weight, model.output.weight, model.output.bias]
    weighting = torch.randn_like(logits)
    found_grads = torch.autograd.grad(
        (logits * weighting).sum(), [*outside, *(p for layer in model.layers for p in layer.parameters())]
    )
    names = [f"{kind}_l{i}" for i in range(num_layers) for kind in ("weight_ih", "weight_hh", "bias_ih")]
    expected_grads = torch.autograd.grad(
        (expected * weighting).sum(), [*outside, *(getattr(rnn, name) for name in names)]
    )
    for i, (one, other) in enumerate(zip(found_grads, expected_grads, strict=True)):
        close(one, other if i < len(outside) else other.t() if other.ndim == 2 else other)


@pytest.mark.parametrize("cuts", [[1] * T, [3, 4], [6, 1], [T]])
def test_reading_in_chunks_equals_reading_at_once(cuts):
    model, state, pieces = make(), None, []
    for chunk in tokens().split(cuts, dim=1):
        logits, state = model(chunk, state)
        pieces.append(logits)
    whole, last = model(tokens())
    close(torch.cat(pieces, dim=1), whole)
    for one, other in zip(state, last, strict=True):
        close(one, other)


@pytest.mark.parametrize("t", range(1, T))
def test_no_logit_depends_on_a_later_token(t):
    model, changed = make(), tokens()
    changed[:, t:] = (changed[:, t:] + 5) % V
    before, after = model(tokens())[0], model(changed)[0]
    assert torch.equal(before[:, :t], after[:, :t])
    assert (before[:, t:] != after[:, t:]).any(dim=-1).all()


def test_no_state_means_the_zero_state_and_the_caller_s_state_is_left_alone():
    model = make()
    close(model(tokens())[0], model(tokens(), model.initial_state(B))[0])
    assert all(h.shape == (B, D) and h.count_nonzero() == 0 for h in model.initial_state(B))
    state = state_like(model)
    copies = [h.clone() for h in state]
    _, new_state = model(tokens(), state)
    assert all(torch.equal(h, copy) for h, copy in zip(state, copies, strict=True))
    assert [h.shape for h in new_state] == [(B, D)] * 2


def test_logits_are_the_output_layer_over_hidden():
    model = make()
    hidden, _ = model.hidden(tokens())
    close(model(tokens())[0], model.output(hidden))


def test_padding_has_no_gradient_in_the_embedding():
    model = make()
    padded = tokens()
    padded[:, -2:] = 0
    model(padded)[0].sum().backward()
    assert model.embedding.weight.grad[0].count_nonzero() == 0
    assert model.embedding.weight.grad[padded[0, 0]].count_nonzero() == D


def test_tied_weights_are_one_matrix():
    tied, untied = make(tie_weights=True), make()
    assert tied.output.weight.data_ptr() == tied.embedding.weight.data_ptr()
    assert untied.output.weight.data_ptr() != untied.embedding.weight.data_ptr()


def test_dropout_acts_before_every_layer_and_in_training_only(monkeypatch):
    dropping, plain = make(dropout=0.5), make()
    seen = []
    for layer in dropping.layers:
        scan = layer.scan
        monkeypatch.setattr(layer, "scan", lambda x, h, scan=scan: (seen.append(x), scan(x, h))[1])
    hidden, _ = dropping.train().hidden(tokens().repeat(40, 8))
    for x in (*seen, hidden):
        assert 0.45 < (x == 0).double().mean() < 0.55
    assert torch.equal(dropping.eval()(tokens())[0], plain(tokens())[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"emb_dim": 0}, "emb_dim is 0"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": math.nan}, "dropout is nan"),
        ({"pad_id": V}, r"pad_id is 20; it must be in \[0, 20\)"),
        ({"cell": "gru2"}, "cell is 'gru2'; it must be one of elman, gru, lstm, slstm, mingru, minlstm"),
    ],
)
def test_configuration_out_of_range_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        RNNConfig(**{"vocab_size": V, **changes})


def test_tokens_of_the_wrong_shape_or_type_are_refused():
    with pytest.raises(TypeCheckError):
        make()(tokens()[0])
    with pytest.raises(TypeCheckError):
        make()(tokens().float())
